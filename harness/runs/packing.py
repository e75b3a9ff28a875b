"""Files that may come from anybody: read only where they are plain files of a size that can be held, packed as zstd."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.core.limits import FREE_BYTES, MAX_BYTES, MAX_RATIO, MAX_ROWS

CHUNK = 4 << 20
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


def decompress(data: bytes, size: int, path: Path, rows: int | None = None) -> bytes:
    """One zstd frame of exactly `size` bytes, and of `rows` lines where that is said; no more are unpacked, nor more than
    harness/core/limits.py allows. Raises HarnessError."""
    zstd = _zstd()
    if size > min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * len(data))):
        raise HarnessError(f"{path}: unpacks to {size:,} bytes, more than are read from {len(data):,}")
    unpack = zstd.ZstdDecompressor()
    parts: list[bytes] = []
    unpacked = lines = 0
    fed = data
    try:
        while unpacked <= size and lines <= MAX_ROWS and not unpack.eof:
            part = unpack.decompress(fed, min(CHUNK, size + 1 - unpacked))
            if not part and unpack.needs_input:
                break
            fed = b""
            parts.append(part)
            unpacked, lines = unpacked + len(part), lines + part.count(b"\n")
    except zstd.ZstdError as e:
        raise HarnessError(f"{path} cannot be unpacked: {e}") from None
    if lines > MAX_ROWS:
        raise HarnessError(f"{path}: holds more than {MAX_ROWS:,} rows")
    if unpacked != size or not unpack.eof or unpack.unused_data:
        raise HarnessError(f"{path}: does not unpack to the {size:,} bytes that the manifest says")
    if rows is not None and lines != rows:
        raise HarnessError(f"{path}: holds {lines:,} rows, the manifest says {rows:,}")
    return b"".join(parts)


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
