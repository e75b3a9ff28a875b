"""How the JSON files of a run are read and written: each by its model, each with the version of its schema.

A model is a msgspec Struct whose tag is the version, so that `"schema": 1` is the first key of the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.core.errors import UNREADABLE, HarnessError, MissingError, dotted
from harness.core.text import visible
from harness.runs.files import write_text

T = TypeVar("T", bound=msgspec.Struct)


class _Version(msgspec.Struct):
    schema: Any = None


def read(path: Path, model: type[T]) -> T:
    """A file in its model. Raises MissingError where it is not there, HarnessError as `decode`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{path} is missing") from None
    except OSError as e:
        raise HarnessError(f"{path} cannot be read: {e.strerror}") from None
    return decode(data, model, path)


def decode(data: bytes, model: type[T], path: Path) -> T:
    """The same of the file's bytes; `path` is what an error names.

    Raises HarnessError for another schema version, naming both, and for anything that does not fit the model.
    """
    wanted = model.__struct_config__.tag
    try:
        found = msgspec.json.decode(data, type=_Version).schema
        if found != wanted or isinstance(found, bool):
            has = "no schema version" if found is None else f"schema version {found!r}"
            raise HarnessError(visible(f"{path} has {has}, this version of the harness reads version {wanted}"))
        return msgspec.json.decode(data, type=model)
    except (msgspec.MsgspecError, *UNREADABLE) as e:
        raise HarnessError(visible(f"{path} cannot be read: {dotted([e])}")) from None


def write(path: Path, value: msgspec.Struct) -> None:
    """Atomically and durably."""
    write_text(path, text(value))


def text(value: msgspec.Struct) -> str:
    """The content of such a file."""
    return json.dumps(tree(value), indent=1, ensure_ascii=False) + "\n"


def tree(value: Any) -> Any:
    """A model as JSON has it: mappings, lists, text and numbers."""
    return msgspec.to_builtins(value, str_keys=True)


def json_line(row: msgspec.Struct, ascii_only: bool = False) -> str:
    """A model as one line; the text is that of Python's own json, which keeps files the same byte for byte."""
    return json.dumps(msgspec.to_builtins(row), ensure_ascii=ascii_only) + "\n"
