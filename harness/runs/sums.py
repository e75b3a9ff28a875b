"""SHA256SUMS: the checksums of a folder's files, in the form that `sha256sum --check` reads.

They find what a disk, a copy or an editor has changed, not what somebody forges, who can write them as well.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.core.errors import HarnessError
from harness.runs.files import write_text

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Of all files in a folder and in those below it."""
    write_text(folder / SUMS, "".join(f"{sha256}  {name}\n" for name, sha256 in _found(folder).items()))


def check_sums(folder: Path) -> None:
    """Raises HarnessError where a file of the folder is not as it was written, is missing, or is one too many."""
    path = folder / SUMS
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise HarnessError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as e:
        raise HarnessError(f"{path} cannot be read: {e}") from None
    said = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    found = _found(folder)
    for name in sorted(said.keys() | found.keys()):
        if found.get(name) != said.get(name):
            what = "is missing" if name not in found else "is new" if name not in said else "is damaged"
            raise HarnessError(f"{folder / name} {what}: {SUMS} beside it says so")


def _found(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    return {str(p.relative_to(folder)): file_sha256(p) for p in files}


def file_sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
