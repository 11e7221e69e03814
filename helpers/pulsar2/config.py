"""Pulsar2 build configurations: read JSON, YAML or TOML, write plain JSON, make the one of a model of ours.

`pulsar2 build --config` takes "relaxed" JSON (// and # comments), YAML and TOML, and so does `read`. A
refused value is told with its path, a misspelt field with the name that was meant.
"""

import difflib
import json
import re
import reprlib
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from helpers import artifacts
from helpers.graph.preprocess import Preprocessing
from helpers.logs.failures import advise
from helpers.pulsar2.schema import CALIBRATION_SIZE, BuildConfig, Hardware, Message, NpuMode


class ConfigError(ValueError):
    """A configuration that Pulsar2 would refuse or misread: one sentence a line for each problem."""


def read(path: Path | str) -> BuildConfig:
    """The configuration in a .json, .yaml, .yml or .toml file.

    Raises ConfigError: one sentence for a file that cannot be parsed, one line per refused value otherwise.
    """
    path = Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        endings = ", ".join(_PARSERS)
        raise ConfigError(f"{path.name}: a build configuration ends in {endings}; rename or convert it")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; chapter 07 writes one: python -m helpers run 07")
    try:
        data = parse(path.read_text(encoding="utf-8-sig"))
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # JSON, TOML and UTF-8: ValueErrors
        said = " ".join(str(error).split())
        raise ConfigError(f"{path.name}: cannot be parsed: {said}{_unseen(path)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name}: expected an object of fields, found {type(data).__name__}")
    return validate(data)


def validate(data: Mapping[str, Any]) -> BuildConfig:
    """The configuration in plain data; raises ConfigError with one line per refused value."""
    try:
        return BuildConfig.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError("\n".join(map(_problem, error.errors()))) from error


def to_json(config: BuildConfig) -> str:
    """The text of a plain JSON file, without the fields that were never set: `read` gives an equal one."""
    data = config.model_dump(mode="json", exclude_unset=True)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def configure(
    out: Path,
    preprocessing: Preprocessing,
    *,
    calibration: Path,
    tensor_name: str = "input",
    target_hardware: Hardware = "AX650",
    npu_mode: NpuMode = "NPU1",
    batch: int = 1,
    static_batch_sizes: Sequence[int] = (),
    max_dynamic_batch_size: int = 0,
    layer_configs: Sequence[Mapping[str, Any]] = (),
) -> artifacts.Made:
    """Writes `pulsar2.json` and `configuration.json` into `out`, or returns those already there.

    The board feeds uint8 [size, size, 3] in the order of the model. `calibration` is the archive, which lies
    in the work folder of the build; `tensor_name` the graph's input, or DEFAULT for all; `batches` has the
    batches; `layer_configs` are the rehearsal's. Raises ConfigError for what Pulsar2 would refuse.
    """
    inputs = {
        "tensor_name": tensor_name,
        "calibration_dataset": calibration.name,
        "calibration_format": "Image",
        "calibration_size": CALIBRATION_SIZE,
        "calibration_mean": preprocessing.mean,  # the default of the processor's own mean and std
        "calibration_std": preprocessing.std,
    }
    processor = {
        "tensor_name": tensor_name,
        "tensor_format": preprocessing.format,
        "tensor_layout": "NCHW",
        "src_format": preprocessing.format,
        "src_layout": "NHWC",
        "src_dtype": "U8",
        "csc_mode": "NoCSC",
    }
    config = validate(
        {
            "model_type": "ONNX",
            "target_hardware": target_hardware,
            "npu_mode": npu_mode,
            "quant": {
                "input_configs": [inputs],
                **({"layer_configs": layer_configs} if layer_configs else {}),
                "calibration_method": "MinMax",
                "precision_analysis": True,
            },
            "input_processors": [processor],
            "compiler": {"check": 0} | batches(batch, static_batch_sizes, max_dynamic_batch_size),
        }
    )

    def work(scratch: Path) -> artifacts.Facts:
        (scratch / "pulsar2.json").write_text(to_json(config), encoding="utf-8")
        return {}

    return artifacts.step(
        "configuration",
        out,
        work,
        files=["pulsar2.json"],
        arguments=config.model_dump(mode="json", exclude_unset=True),
    )


def batches(batch: int, static_batch_sizes: Sequence[int], max_dynamic_batch_size: int) -> dict[str, Any]:
    """The compiler's fields for a graph of one image, to be run with `batch` or with the batches named.

    A size is a program of its own in the axmodel, and a run of another size is split into those that there
    are (9 into 4 + 4 + 1). `static_batch_sizes` names them; for `max_dynamic_batch_size` the compiler doubles
    from 1 for as long as it gains. A graph exported with a batch needs none. Raises ConfigError for two.
    """
    if batch != 1 and (static_batch_sizes or max_dynamic_batch_size):
        raise ConfigError(f"batch {batch} beside static_batch_sizes or max_dynamic_batch_size: choose one")
    sizes = static_batch_sizes or ([batch] if batch != 1 else ())
    asked = {"static_batch_sizes": sizes, "max_dynamic_batch_size": max_dynamic_batch_size}
    return {name: value for name, value in asked.items() if value}  # the others do not stand in the file


def _problem(details: ErrorDetails) -> str:
    """One refused value: where it is, what it is, and what is allowed there."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in details["loc"])
    value: object = details["input"]
    kind = details["type"]
    if kind == "extra_forbidden":
        hint = f"no such field; {_meant(path)}"
    elif kind == "rule":
        context = details["ctx"]
        path += f".{context['field']}" if context["field"] else ""
        value, hint = context["value"], f"allowed: {context['allowed']}"
        value = list(value) if isinstance(value, tuple) else value
    else:
        said = details["msg"].removeprefix("Input should be ").replace("valid tuple", "list in [ ]")
        hint = f"allowed: {said}"
    path = path.lstrip(".") or "the configuration"
    if path == "target_hardware":
        hint = f"{hint}; {advise('HardwareType', 'build')}"
    return f"{path}: required" if kind == "missing" else f"{path} = {reprlib.repr(value)}: {hint}"


def _meant(path: str) -> str:
    """Which field was meant: one of the same name elsewhere, the nearest here, or else all names here."""
    place, _, name = re.sub(r"\[\d+\]", "[]", path).rpartition(".")
    fields = list(_fields(BuildConfig, ""))
    here = [field for where, field in fields if where == place]
    hints = []
    if places := [where.lstrip(".") or "the top level" for where, field in fields if field == name]:
        hints.append(f"it belongs in {' or '.join(places)}")
    if close := difflib.get_close_matches(name, here, n=1):
        hints.append(f"did you mean {close[0]}?")
    return ", ".join(hints) or f"the fields here are {', '.join(here)}"


def _fields(message: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    """Place and name of every field below a message; a list's own stand at `.quant.layer_configs[]`."""
    for name, info in message.model_fields.items():
        yield place, name
        for kind in (info.annotation, *get_args(info.annotation)):
            inner = f"{place}.{name}" + ("" if kind is info.annotation else "[]")
            if isinstance(kind, type) and issubclass(kind, Message) and inner.count(name) == 1:
                yield from _fields(kind, inner)  # sub_configs holds its own kind, so once is enough


# A string is matched first, so that comment marks and commas inside it survive.
# An unclosed string or comment runs to its end and is left to the parser: no text takes more than one look.
_STRING = r'("(?:[^"\\\n]|\\.)*"?)'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
# A value, and behind it the one comma that may be the last before a bracket.
_LAST_COMMA = re.compile(_STRING + r'(?:\s*,(?=\s*[]}]))?|([^\s,:[{"])\s*,(?=\s*[]}])')


def _parse_json(text: str) -> Any:
    without_comments = _COMMENT.sub(r"\1", text)  # then one comma may be the last before a bracket
    return json.loads(_LAST_COMMA.sub(r"\1\2", without_comments))


def doubts(path: Path | str) -> list[str]:
    """What `read` takes and commentjson refuses, which Magnetar's docker_util.py imports in the image."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).suffix.lower() == ".json" else ""
    block = any(found[0].startswith("/*") for found in _COMMENT.finditer(text))
    held = {"a byte-order mark at its beginning": text.startswith("\ufeff"), "a comment in /* */": block}
    return [f"{what}, which Pulsar2's own parser may refuse" for what, there in held.items() if there]


def _unseen(path: Path) -> str:
    """The first character outside strings and comments that no editor shows, by its code; "" without one."""
    text = _COMMENT.sub("", path.read_text(encoding="utf-8-sig", errors="ignore"))
    odd = next((c for c in text if c not in " \t\r\n" and unicodedata.category(c) in ("Zs", "Cf", "Cc")), "")
    name = unicodedata.name(odd, "control character") if odd else ""
    return f"; it holds an invisible U+{ord(odd):04X} ({name}): replace it by a blank" if odd else ""


class _YamlLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with 1e-6 a number."""


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
_PARSERS: dict[str, Callable[[str], Any]] = {
    ".json": _parse_json,
    ".yaml": lambda text: yaml.load(text, _YamlLoader),
    ".yml": lambda text: yaml.load(text, _YamlLoader),
    ".toml": tomllib.loads,
}
