"""Files that may come from anybody: read only where they are plain files of a size that can be held, packed as zstd."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError

MAX_BYTES = 4 << 30
"""Of one file, packed or not: more is refused."""
LEVEL = 12  # of zstd: a third smaller than its default, still 20 MB/s


def read_bytes(path: Path) -> bytes:
    """Raises HarnessError for what is missing, not a plain file, or too large."""
    if path.is_symlink() or not path.is_file():
        raise HarnessError(f"{path}: " + ("is missing" if not path.exists() else "is not a plain file"))
    if path.stat().st_size > MAX_BYTES:
        raise HarnessError(f"{path}: has more than {MAX_BYTES:,} bytes")
    return path.read_bytes()


def compress(data: bytes) -> bytes:
    """As one zstd frame; the same bytes for the same data and version of the library."""
    packed: bytes = _zstd().compress(data, LEVEL)
    return packed


def decompress(data: bytes, size: int, path: Path) -> bytes:
    """One zstd frame of exactly `size` bytes; no more are unpacked. Raises HarnessError."""
    zstd = _zstd()
    unpack = zstd.ZstdDecompressor()
    try:
        out: bytes = unpack.decompress(data, size + 1)
    except zstd.ZstdError as e:
        raise HarnessError(f"{path} cannot be unpacked: {e}") from None
    if len(out) != size or not unpack.eof or unpack.unused_data:
        raise HarnessError(f"{path}: does not unpack to the {size:,} bytes that the manifest says")
    return out


def _zstd() -> Any:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        from backports import zstd
    return zstd


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "unnamed"
