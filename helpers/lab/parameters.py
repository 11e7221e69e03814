"""A notebook's parameters: which it has, of what type, and how words of a command line become values."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from papermill.inspection import inspect_notebook
from pydantic import TypeAdapter, ValidationError

from helpers.model.source import WORDS

TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list[int]": list[int]}  # of parameters cells
FILES = ("axmodel", "checkpoint", "graph", "log", "photo")  # parameters that may name a file


class UnknownParameter(ValueError):
    """A parameter that the notebook's own parameters cell does not have."""


class WrongValue(ValueError):
    """A value of another type than the parameters cell gives."""


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raises UnknownParameter or WrongValue; papermill itself only warns of the one and takes the other."""
    for name, entry in _known(notebook, parameters).items():
        kind = TYPES.get(entry["inferred_type_name"])
        try:
            TypeAdapter(kind or Any).validate_python(parameters[name], strict=True)
        except ValidationError as error:
            wanted = f"{entry['inferred_type_name']}, such as {entry['default']}"
            raise WrongValue(f"{name} is {wanted}, and not {parameters[name]!r}") from error


def from_words(notebook: Path, words: Mapping[str, str]) -> dict[str, Any]:
    """What was typed as values: text for a str, else what Python reads, paths from the caller's folder.

    What Python cannot read stays text, for `check_parameters` to refuse. Raises UnknownParameter.
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
        raise UnknownParameter(f"{notebook.stem} has no parameter {', '.join(unknown)}: it has {listed}")
    return {name: known[name] for name in asked}


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def from_here(name: str, value: Any) -> Any:
    """A file or folder as the caller's folder has it: the notebook runs in another.

    A word stays a word, also where a file has its name: `./random` names that file.
    """
    if not isinstance(value, str) or not value or (name == "checkpoint" and value in WORDS):
        return value
    path = Path(value).expanduser()
    meant = (name in FILES and path.is_file()) or (name == "images" and path.is_dir())
    return str(path.resolve()) if meant else value
