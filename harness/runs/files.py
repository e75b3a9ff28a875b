"""Files that survive a crash: whole files are replaced atomically, JSON lines are appended; no link is written through."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from harness.core.errors import HarnessError

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
LEFTOVER = re.compile(r"\..+-[0-9a-f]{16}\.tmp")
"""Names of the temporary files below, which a killed writer leaves behind."""


def write_text(path: Path, text: str) -> Path:
    """Atomically and durably: a reader, also after a loss of power, sees the old file or the new one. Returns `path`."""
    write_lines(path, [text])
    return path


def write_lines(path: Path, parts: Iterable[str]) -> None:
    """`write_text` of the parts one after the other."""
    _write(path, (part.encode() for part in parts))


def write_bytes(path: Path, data: bytes) -> None:
    """As `write_text`."""
    _write(path, [data])


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Into a new file of a name that nobody can foresee, which then takes the place of `path`: no link is followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:64]}-{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o666), "wb") as f:
            f.writelines(parts)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as e:
        temporary.unlink(missing_ok=True)
        raise OSError(e.errno, e.strerror, str(path)) from None  # whoever reads it knows this name
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def open_appending(path: Path) -> BinaryIO:
    """A file to add to, made where it is not there. Raises OSError for a link."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINKS, 0o666), "ab")


def check_plain(folder: Path) -> None:
    """Raises HarnessError where anything in a folder is neither a file nor a folder: runs come from others, too, and a link
    could lead a reader or a writer out of them. The folder itself may be a link."""
    waiting = [str(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:  # a checkpoint that a running run has just replaced
            continue
        except OSError as e:
            raise HarnessError(f"{e.filename} cannot be read: {e.strerror}") from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry.path):
                what = "a link" if entry.is_symlink() else "no plain file"
                raise HarnessError(f"{entry.path} is {what}, and a run holds nothing but files and folders; replace it")


def sweep(folder: Path) -> None:
    """Delete what writers that were killed left in a folder; for whoever is the only one to write there."""
    for path in folder.rglob(".*.tmp"):
        if LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


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
    with open_appending(path) as f:
        f.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)


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
