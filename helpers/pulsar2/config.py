"""Pulsar2 build configurations: read JSON, YAML or TOML, write plain JSON, make the one of a model of ours.

`pulsar2 build --config` takes "relaxed" JSON (// and # comments), YAML and TOML, and so does `read`. A
refused value is told with its path, a misspelt field with the name that was meant.
"""

import difflib
import json
import re
import reprlib
import tomllib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from helpers import artifacts
from helpers.files import replacing
from helpers.finding import Finding
from helpers.graph.preprocess import Preprocessing
from helpers.pulsar2.schema import (
    BuildConfig,
    CompilerConfig,
    Hardware,
    InputProcessor,
    InputQuantConfig,
    LayerConfig,
    Message,
    NpuMode,
    QuantConfig,
)


class ConfigError(ValueError):
    """A configuration that Pulsar2 would refuse or misread: one sentence, in `findings` too, per problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.findings = [Finding("config", "fail", problem) for problem in problems]


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
    try:
        data = parse(path.read_text(encoding="utf-8-sig"))
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # JSON, TOML and UTF-8: ValueErrors
        raise ConfigError(f"{path.name}: cannot be parsed: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path.name}: expected an object of fields at the top, found {type(data).__name__}"
        )
    return validate(data)


def validate(data: Mapping[str, Any]) -> BuildConfig:
    """The configuration in plain data; raises ConfigError with one line per refused value."""
    with _refusals_told():
        return BuildConfig.model_validate(dict(data))


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


def configure(
    out: Path,
    preprocessing: Preprocessing,
    *,
    calibration: Path,
    tensor_name: str = "input",
    npu_mode: NpuMode = "NPU1",
    layer_configs: Sequence[Mapping[str, Any]] = (),
) -> artifacts.Made:
    """Writes `pulsar2.json` and `configuration.json` into `out`, or returns those already there.

    The arguments are those of `build_config_for`; `calibration` is the archive, in the work folder of the
    build. Raises ConfigError for what Pulsar2 would refuse.
    """
    config = build_config_for(
        preprocessing,
        calibration_dataset=calibration.name,
        tensor_name=tensor_name,
        npu_mode=npu_mode,
        layer_configs=layer_configs,
        precision_analysis=True,
    )

    def work(scratch: Path) -> artifacts.Facts:
        write(config, scratch / "pulsar2.json")
        return {}

    return artifacts.step(
        "configuration",
        out,
        work,
        files=["pulsar2.json"],
        arguments=config.model_dump(mode="json", exclude_unset=True),
        code="helpers.pulsar2.config",
    )


def build_config_for(
    preprocessing: Preprocessing,
    *,
    calibration_dataset: str,
    tensor_name: str = "DEFAULT",
    hardware: Hardware = "AX650",
    npu_mode: NpuMode = "NPU1",
    static_batch_sizes: Sequence[int] = (),
    max_dynamic_batch_size: int = 0,
    layer_configs: Sequence[Mapping[str, Any]] = (),
    precision_analysis: bool = False,
) -> BuildConfig:
    """The configuration that feeds the model uint8 [size, size, 3] pictures in its own channel order.

    `calibration_dataset` is a path in the work folder of the build; `tensor_name` is the graph's input, or
    DEFAULT for all; `layer_configs` are the rehearsal's. Raises ConfigError for what Pulsar2 would refuse,
    both kinds of batch at once included.
    """
    # What is not given is left out, so that it does not stand in the file.
    batches: dict[str, Any] = {"static_batch_sizes": tuple(static_batch_sizes)} if static_batch_sizes else {}
    batches |= {"max_dynamic_batch_size": max_dynamic_batch_size} if max_dynamic_batch_size else {}
    with _refusals_told():
        layers = tuple(LayerConfig.model_validate(dict(entry)) for entry in layer_configs)
        mixed: dict[str, Any] = {"layer_configs": layers} if layers else {}
        calibration = InputQuantConfig(
            tensor_name=tensor_name,
            calibration_dataset=calibration_dataset,
            calibration_format="Image",
            calibration_size=32,
            calibration_mean=preprocessing.mean,  # the default of the processor's own mean and std
            calibration_std=preprocessing.std,
        )
        processor = InputProcessor(
            tensor_name=tensor_name,
            tensor_format=preprocessing.format,
            tensor_layout="NCHW",
            src_format=preprocessing.format,
            src_layout="NHWC",
            src_dtype="U8",
            csc_mode="NoCSC",
        )
        return BuildConfig(
            model_type="ONNX",
            target_hardware=hardware,
            npu_mode=npu_mode,
            quant=QuantConfig(
                input_configs=(calibration,),
                calibration_method="MinMax",
                precision_analysis=precision_analysis,
                **mixed,
            ),
            input_processors=(processor,),
            compiler=CompilerConfig(check=0, **batches),
        )


@contextmanager
def _refusals_told() -> Iterator[None]:
    """What a message refuses, as ConfigError."""
    try:
        yield
    except ValidationError as error:
        raise ConfigError(*map(_problem, error.errors())) from error


def _problem(details: ErrorDetails) -> str:
    """One refused value: where it is, what it is, and what is allowed there."""
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
    return f"{path}: required" if kind == "missing" else f"{path} = {_SHORT.repr(value)}: {hint}"


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
    return json.loads(_RELAXED.sub(keep, plain), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return data


class _YamlLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with 1e-6 a number, and without double keys."""

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
