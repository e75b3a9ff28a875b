"""Files that survive a crash: whole files are replaced atomically, JSON lines are appended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError


def write_text(path: Path, text: str) -> Path:
    """Atomically and durably: a reader, also after a loss of power, sees the old file or the new one. Returns `path`."""
    write_lines(path, [text])
    return path


def write_lines(path: Path, parts: Iterable[str]) -> None:
    """`write_text` of the parts one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as f:
        f.writelines(parts)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """As `write_text`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows; drops a partial last line left by a killed writer first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    with path.open("a", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows; an absent file has none. A partial last line (a killed writer) is skipped.

    Raises HarnessError, with file and line, for a line that no crash explains.
    """
    return [row for _, row in iter_jsonl(path)]


def iter_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(line, row) one by one."""
    if not path.exists():
        return
    with path.open("rb") as f:  # a partial line may end within a character
        for number, data in enumerate(f, 1):
            if not data.endswith(b"\n") or data == b"\n":
                continue
            try:
                line = data.decode()
                row = json.loads(line)
            except (ValueError, RecursionError) as e:
                raise HarnessError(f"{path}, line {number} is damaged: {e}") from None
            if not isinstance(row, dict):
                raise HarnessError(f"{path}, line {number} is damaged: not a JSON object")
            yield line, row


def mend(path: Path) -> None:
    """Drop a partial last line, so that the file can be appended to."""
    if not path.exists():
        return
    with path.open("rb") as f:
        at = end = f.seek(0, os.SEEK_END)
        while at:  # backwards to the last line end, which is at the very end of an unharmed file
            start = max(0, at - 65536)
            f.seek(start)
            found = f.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
    if at < end:
        os.truncate(path, at)
