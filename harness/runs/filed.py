"""A filed run read back: a folder of a leaderboard, with its manifest, samples and figures.

What a filed run holds may come from anybody: names, paths, sizes and types are checked before anything rests on them.
harness/boards files runs, builds boards and verifies them; what compares runs reads them from here.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import UNREADABLE, HarnessError, reason
from harness.core.text import visible

SCHEMA = 1
"""Of manifest.json; a change that older code cannot read raises it."""
EVIDENCE = ("reported", "recomputed", "re-evaluated", "retrained")
"""Whose work a score rests on: numbers alone; samples graded again; weights run again by others; trained again by others."""
MAX_BYTES = 4 << 30
"""Of one file when unpacked: more is refused."""
LEVEL = 12  # of zstd: a third smaller than its default, still 20 MB/s
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a filed run, with every name, path and number in it checked. Raises HarnessError."""
    path = folder / "manifest.json"

    def refuse(what: str) -> HarnessError:
        return HarnessError(visible(f"{path}: {what}"))

    try:
        m: dict[str, Any] = json.loads(read_bytes(path))
        if m["schema"] != SCHEMA:
            raise refuse(f"schema is {m['schema']!r}, this version of the harness reads {SCHEMA}")
        for name, f in m["files"].items():
            parts = name.split("/")
            if len(parts) > 2 or not all(_NAME.fullmatch(p) for p in parts) or (len(parts) == 2 and parts[0] != "samples"):
                raise refuse(f"{name!r} is no name for a filed file")
            if not 0 <= f.get("content_bytes", 0) <= MAX_BYTES:
                raise refuse(f"{name} has {f['content_bytes']:,} bytes unpacked, more than the {MAX_BYTES:,} that are read")
        filed = sorted(p for p in m["files"] if p.startswith("samples/"))
        suites = sorted(f"samples/{name}.jsonl.zst" for name in m["suites"]) if m["evidence"] != "reported" else []
        checks = {
            "files": (filed, suites),
            "run": (m["run"], run_id(m)),
            "spec_sha256": (m["spec_sha256"], spec_sha256(m["spec"])),
            "evidence": (m["evidence"] in EVIDENCE, True),
            "folder": (folder.name, m["run"]),
            "seeds": (m["seeds"], list(m["spec"].get("seeds", m["seeds"]))),
            "ledgers": (list(m["ledgers"]), [str(s) for s in m["seeds"]]),
            "method": (m["spec"].get("method", m["method"]), m["method"]),
        }
        for key, total in m["ledger"].items():
            checks[f"ledger.{key}"] = (math.isclose(total, sum(x[key] for x in m["ledgers"].values()), rel_tol=1e-9), True)
        for name, s in m["suites"].items():
            fine = _NAME.fullmatch(name) and 0 < s["n"] * s["k"] <= MAX_BYTES and s["role"] in ("id", "ood", "other")
            if f := m["files"].get(f"samples/{name}.jsonl.zst"):  # no array is larger than the file it is read from
                fine = fine and 0 < s["n"] and s["n"] * s["k"] * len(m["seeds"]) <= f["rows"] <= f["content_bytes"]
            checks[f"suites.{name}"] = (bool(fine), True)
        for key, (said, found) in checks.items():
            if said != found:
                raise refuse(f"{key} is wrong" if found is True else f"{key} is {said!r}, its content gives {found!r}")
        return m
    except UNREADABLE as e:
        raise refuse(f"cannot be read: {reason(e)}") from None


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Every file is there, is a plain one, has its size and hash, and there are no others. Raises HarnessError."""
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    for name in sorted(found - set(manifest["files"]) - {"manifest.json"}):
        raise HarnessError(visible(f"{folder / name}: is not in the manifest"))
    for name, said in manifest["files"].items():
        data = read_bytes(folder / name)
        for key, value in (("bytes", len(data)), ("sha256", sha256(data))):
            if said[key] != value:
                raise HarnessError(f"{folder / name}: {key} is {value!r}, the manifest says {said[key]!r}")


def read_samples(folder: Path, manifest: Mapping[str, Any], suite: str) -> bytes:
    """The JSON lines of a suite's samples, unpacked to no more than the manifest says. Raises HarnessError."""
    path = folder / "samples" / f"{suite}.jsonl.zst"
    said = manifest["files"][f"samples/{suite}.jsonl.zst"]
    data = decompress(read_bytes(path), said["content_bytes"], path)
    if sha256(data) != said["content_sha256"]:
        raise HarnessError(f"{path}: content_sha256 is {sha256(data)!r}, the manifest says {said['content_sha256']!r}")
    return data


def result_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a filed run in the form of harness.runs.rundir.load_result, but for "run", its id. Raises HarnessError."""
    metrics = read_json(folder / "metrics.json")
    try:
        suites = {name: {**s, **metrics["suites"][name]} for name, s in manifest["suites"].items()}
        macro = metrics["macro"]
    except UNREADABLE as e:
        raise HarnessError(visible(f"{folder / 'metrics.json'} cannot be read: {reason(e)}")) from None
    facts = (
        "method",
        "model",
        "recipe",
        "training_set",
        "not_a_result",
        "teacher",
        "teacher_tokens",
        "seeds",
        "spec",
        "identity",
        "ledger",
        "ledgers",
    )
    return {
        **{key: manifest.get(key) for key in facts},
        "run": manifest["run"],
        "spec_hash": manifest["spec_sha256"],
        "suites": suites,
        "macro": macro,
    }


def run_id(manifest: Mapping[str, Any]) -> str:
    """`<method>-<spec>-<content>`: its name, eight digits of the spec's hash, eight of seeds and samples (or metrics)."""
    of = {path: f.get("content_sha256", f["sha256"]) for path, f in manifest["files"].items()}
    kept = {p: h for p, h in of.items() if p.startswith("samples/")} or of["metrics.json"]
    content = sha256(json.dumps([manifest["seeds"], kept], sort_keys=True).encode())
    return f"{slug(manifest['method'])}-{manifest['spec_sha256'][:8]}-{content[:8]}"


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """As harness.config has it: the SHA-256 of a spec's canonical JSON."""
    return sha256(json.dumps(spec, sort_keys=True).encode())


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


def read_bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise HarnessError(f"{path}: " + ("is missing" if not path.exists() else "is not a plain file"))
    if path.stat().st_size > MAX_BYTES:
        raise HarnessError(f"{path}: has more than {MAX_BYTES:,} bytes")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as e:
        raise HarnessError(f"{path} cannot be read: {e}") from None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "unnamed"
