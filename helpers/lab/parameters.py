"""A notebook's parameters: which it has, what each takes, and how words of a command line become values."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from papermill.inspection import inspect_notebook
from pydantic import Field, PositiveInt, TypeAdapter, ValidationError

from helpers.model import source, variants

TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list[int]": list[int]}  # of parameters cells
FILES = ("axmodel", "graph", "images", "log", "photo")  # they name a file or a folder, or are empty
# What some take is less than their type. The comment in the parameters cell says it to the reader.
NARROWER: dict[str, Any] = {
    **dict.fromkeys(("batch", "limit", "passes", "repeats", "rounds", "width", "workers"), PositiveInt),
    "board_input": Literal["bgr", "rgb"],
    "keep": Annotated[float, Field(gt=0, le=1)],
    "npu_mode": Literal["NPU1", "NPU2", "NPU3"],
    "opset": Annotated[int, Field(ge=11, le=18)],
    "port": Annotated[int, Field(ge=0, le=65535)],
    "threshold": Annotated[float, Field(ge=0, le=1)],
}


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raises ValueError for a parameter that the notebook does not have, or a value that it does not take.

    Papermill itself only warns of an unknown parameter, and takes any value.
    """
    for name, entry in _known(notebook, parameters).items():
        kind, value = entry["inferred_type_name"], parameters[name]
        try:
            TypeAdapter(NARROWER.get(name, TYPES.get(kind, Any))).validate_python(value, strict=True)
        except ValidationError as error:
            wanted = f"{kind}, such as {entry['default']}, and not {value!r}"
            raise ValueError(f"{name} is {wanted}: {entry['help']}".rstrip(": ")) from error
        if isinstance(value, str) and value != value.encode(errors="replace").decode():
            raise ValueError(f"{name}: the name {value!r} is no UTF-8, as a notebook is: rename the file")
        if name in FILES and value and not Path(value).expanduser().exists():
            raise ValueError(f"{name}: there is no {value}, check the path")
        if name == "model":
            variants.variant(value)
        if name == "checkpoint":
            source.find(value)
    if parameters.get("host") and not parameters.get("axmodel"):
        raise ValueError("host needs axmodel, the compiled.axmodel that the board shall run")
    if parameters.keys() & {"widths", "depths", "heads"}:
        defaults = {
            name: _literal(entry["default"]) for name, entry in inspect_notebook(str(notebook)).items()
        }
        variants.check_plan(*((defaults | dict(parameters))[name] for name in ("widths", "depths", "heads")))


def from_words(notebook: Path, words: Mapping[str, str]) -> dict[str, Any]:
    """What was typed as values: text for a str, else what Python reads, paths from the caller's folder.

    What Python cannot read stays text, for `check_parameters` to refuse. ValueError for an unknown name.
    """
    known = _known(notebook, words)
    return {
        name: from_here(name, word if known[name]["inferred_type_name"] == "str" else _literal(word))
        for name, word in words.items()
    }


def _known(notebook: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook's own entries for the names that were asked for."""
    known = inspect_notebook(str(notebook))
    if unknown := [name for name in asked if name not in known]:
        listed = ", ".join(f"{name} (default {entry['default']})" for name, entry in known.items())
        raise ValueError(f"{notebook.stem} has no parameter {', '.join(unknown)}: it has {listed}")
    return {name: known[name] for name in asked}


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def from_here(name: str, value: Any) -> Any:
    """A file or folder as the caller's folder has it: the notebook runs in another folder.

    A word stays a word, also where a file has its name: `./random` names that file.
    """
    if not isinstance(value, str) or not value or (name == "checkpoint" and value in source.WORDS):
        return value
    path = Path(value).expanduser()
    meant = name in (*FILES, "checkpoint") and path.exists()
    return str(path.resolve()) if meant else value
