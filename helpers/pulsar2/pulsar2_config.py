"""Pulsar2 build configurations as files: read JSON, YAML or TOML, write plain JSON.

`pulsar2 build --config` takes "relaxed" JSON (// and # comments), YAML and TOML, and so does `read`. A
refused value is told with its path, a misspelt field with the name that was meant.
"""

import difflib
import json
import re
import reprlib
import tomllib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from helpers.files import replacing
from helpers.pulsar2.pulsar2_fields import Message
from helpers.pulsar2.pulsar2_schema import BuildConfig, json_schema

__all__ = ["BuildConfig", "ConfigError", "Problem", "json_schema", "read", "validate", "write"]

SIZE_LIMIT = 1 << 20  # bytes; a configuration has a few thousand


@dataclass(frozen=True)
class Problem:
    """One refused value: where it is, what it is (None when it is missing), and what is allowed there."""

    path: str
    value: str | None
    hint: str

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.hint}" if self.value is None else f"{self.path} = {self.value}: {self.hint}"
        )


class ConfigError(ValueError):
    """A configuration that Pulsar2 would refuse or misread; no `problems` when it cannot be parsed."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


def read(path: Path | str) -> BuildConfig:
    """The configuration in a .json, .yaml, .yml or .toml file.

    Raises ConfigError: one sentence for a file that cannot be parsed, one line per refused value otherwise.
    """
    path = Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(
            f"{path.name}: a build configuration ends in {', '.join(_PARSERS)}; rename or convert it"
        )
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; chapter 07 writes one: python -m helpers run 07")
    with path.open("rb") as file:
        raw = file.read(SIZE_LIMIT + 1)
    if len(raw) > SIZE_LIMIT:
        raise ConfigError(
            f"{path.name}: larger than 1 MiB, so not a build configuration; give the right file"
        )
    try:
        data = parse(raw.decode("utf-8-sig"))
    except (ValueError, yaml.YAMLError) as error:  # JSON, TOML and UTF-8 errors are ValueErrors
        raise ConfigError(f"{path.name}: cannot be parsed: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{path.name}: nested too deep to be a build configuration") from error
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path.name}: expected an object of fields at the top, found {type(data).__name__}"
        )
    return validate(data)


def validate(data: Mapping[str, Any]) -> BuildConfig:
    """The configuration in plain data; raises ConfigError with one line per refused value."""
    try:
        return BuildConfig.model_validate(dict(data))
    except ValidationError as error:
        problems = tuple(_problem(details) for details in error.errors())
        raise ConfigError("\n".join(map(str, problems)), problems) from error


def write(config: BuildConfig, path: Path | str) -> Path:
    """Writes `config` as plain JSON without the fields that were never set; `read` gives back an equal one.

    The file appears under its name only when it is whole. Raises ConfigError unless the name ends in .json.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise ConfigError(f"{path.name}: configurations are written as JSON; give a name ending in .json")
    data = config.model_dump(mode="json", exclude_unset=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _problem(details: ErrorDetails) -> Problem:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"])
    value: object = details["input"]
    kind = details["type"]
    if kind == "extra_forbidden":
        *parents, name = details["loc"]
        hint = f"no such field; {_nearest(_message_at(parents), str(name))}"
    elif kind == "rule":
        context = details["ctx"]
        path += f".{context['field']}" if context["field"] else ""
        value, hint = context["value"], f"allowed: {context['allowed']}"
    else:
        said = details["msg"].removeprefix("Input should be ").replace("valid tuple", "list in [ ]")
        hint = f"allowed: {said}"
    path = path.lstrip(".") or "the configuration"
    return Problem(path, None, "required") if kind == "missing" else Problem(path, _SHORT.repr(value), hint)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring = 2, 12, 4, 60


def _nearest(message: type[BaseModel], name: str) -> str:
    """Which field was meant: one of the same name elsewhere, the nearest here, or else all names here."""
    hints = []
    if places := _places(BuildConfig, name):
        hints.append(f"it belongs in {' or '.join(places)}")
    if close := difflib.get_close_matches(name, message.model_fields, n=1):
        hints.append(f"did you mean {close[0]}?")
    return ", ".join(hints) or f"the fields here are {', '.join(message.model_fields)}"


def _places(message: type[BaseModel], name: str, path: str = "") -> list[str]:
    """Paths of all messages that have a field `name`."""
    found = [path or "the top level"] if name in message.model_fields else []
    for field, info in message.model_fields.items():
        inner = _message_in(info.annotation)
        if inner and inner is not message:  # sub_configs holds its own kind
            suffix = "" if inner is info.annotation else "[]"
            found += _places(inner, name, f"{path}.{field}{suffix}".lstrip("."))
    return found


def _message_at(location: list[int | str]) -> type[BaseModel]:
    message: type[BaseModel] = BuildConfig
    for part in location:
        if isinstance(part, str) and part in message.model_fields:
            message = _message_in(message.model_fields[part].annotation) or message
    return message


def _message_in(annotation: Any) -> type[BaseModel] | None:
    """The message type inside an annotation such as `tuple[InputProcessor, ...]`."""
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, Message)), None)


# A string is matched first, so that comment marks and commas inside it survive.
# An unclosed string or comment runs to its end and is left to the parser: no text takes more than one look.
_RELAXED = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)|,(?=\s*[]}])', re.DOTALL)


def _parse_json(text: str) -> Any:
    def keep(match: re.Match[str]) -> str:
        found = match.group()
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)  # line numbers stay right

    plain = _RELAXED.sub(keep, text)
    return json.loads(_RELAXED.sub(keep, plain), object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON has")


class _YamlLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with 1e-6 a number, without double keys, and without aliases, which can unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        _unique([(str(key.value), None) for key, _ in node.value])
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, _YamlLoader)


_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": _parse_json,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".toml": tomllib.loads,
}
