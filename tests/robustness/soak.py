"""Run a study again and again, and look for what grows or stays behind: memory, file handles, threads, processes, files.

    python tests/robustness/soak.py --out runs/soak [--minutes 45] [--study testbed-worlds] [--jobs 1]

Every two seconds all processes of the study are looked at (Linux's /proc). For each kind of process that lived long
enough, its second and third third are compared, memory by medians, handles and threads by the most; the first third is
warm-up. The C library is told to give freed memory back at once, or what it keeps for later would look like growth. At the
end nothing may be left of what the study started, nothing in its folder for temporary files, and no half-written file or
checkpoint in its runs.
Exit code 1 where memory grew by more than `GROWTH`, handles or threads grew at all, or anything was left behind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

EVERY_S = 2.0
GROWTH = 0.05
"""Share by which a median may grow: allocators round, and batches differ in length."""
SHORTEST_S = 120.0
"""Processes that live less are counted but not compared."""
MARK = "HARNESS_SOAK"
GIVE_BACK = {"MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""Bytes from which glibc returns memory, on the heap and outside of it."""


@dataclass
class Watched:
    """One process: what it is, and a row (MB, file handles, threads) per look."""

    kind: str
    rows: list[tuple[float, int, int]] = field(default_factory=list)


def kind_of(pid: int) -> str:
    """A word of its command line that tells study, method and grader apart."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "--method" in words and "--out" in words:
        return f"cell {Path(words[words.index('--out') + 1]).name}"
    return "study" if "study" in words else "helper process"


def marked(mark: str) -> list[int]:
    """Processes with the mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            pass  # gone, or not ours
    return found


def look(mark: str, seen: dict[int, Watched]) -> None:
    for pid in marked(mark):
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            row = (
                pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
                len(os.listdir(f"/proc/{pid}/fd")),
                len(os.listdir(f"/proc/{pid}/task")),
            )
            if pid not in seen:
                seen[pid] = Watched(kind_of(pid))
            seen[pid].rows.append(row)
        except OSError:
            pass  # it ended meanwhile


def left_behind(out: Path, temporary: Path, mark: str) -> list[str]:
    """What must not be there at the end."""
    half = [p for p in out.rglob("*") if p.suffix == ".tmp" or p.name == "partial" or p.name.startswith("e0")]
    processes = [f"process {pid}, {kind_of(pid)}" for pid in marked(mark)]
    files = [p.name for p in temporary.iterdir() if not p.name.startswith("torchinductor_")]  # torch's cache, one a user
    return [*processes, *map(str, half), *(f"temporary file {name}" for name in files)]


def table(seen: dict[int, Watched]) -> int:
    """Prints a row per kind; returns in how many something grew."""
    by: dict[str, list[Watched]] = defaultdict(list)
    for process in seen.values():
        by[process.kind].append(process)
    grown = 0
    print("| process | how many | longest | MB, second third | MB, last third | most | handles | threads |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, processes in sorted(by.items()):
        longest = max(processes, key=lambda p: len(p.rows))
        n = len(longest.rows)
        head = f"| {kind} | {len(processes)} | {n * EVERY_S / 60:.1f} min |"
        most = max(r[0] for p in processes for r in p.rows)
        if n * EVERY_S < SHORTEST_S:
            print(f"{head} | | {most:.0f} | {max(r[1] for r in longest.rows)} | {max(r[2] for r in longest.rows)} |")
            continue
        middle, last = longest.rows[n // 3 : 2 * n // 3], longest.rows[2 * n // 3 :]
        before, after = ([statistics.median(r[0] for r in x), *(max(r[i] for r in x) for i in (1, 2))] for x in (middle, last))
        amiss = after[0] > before[0] * (1 + GROWTH) or after[1] > before[1] or after[2] > before[2]
        grown += amiss
        print(
            f"{head} {before[0]:.0f} | {after[0]:.0f} | {most:.0f} | {before[1]:.0f}, {after[1]:.0f} "
            f"| {before[2]:.0f}, {after[2]:.0f} |{' grew' if amiss else ''}"
        )
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--study", default="testbed-worlds")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    seen: dict[int, Watched] = {}
    start, rounds = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        temporary, mark = Path(folder), f"{MARK}={os.getpid()}"
        key, _, value = mark.partition("=")
        while time.monotonic() - start < args.minutes * 60:
            rounds += 1
            out = args.out / f"round-{rounds}"
            words = ["study", "run", args.study, "--jobs", str(args.jobs), "--out", str(out)]
            command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
            env = {**os.environ, **GIVE_BACK, key: value, "TMPDIR": folder}
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
            while process.poll() is None:
                look(mark, seen)
                time.sleep(EVERY_S)
            if process.returncode:
                sys.exit(f"round {rounds} ended with {process.returncode}")
        time.sleep(5.0)  # helpers notice by themselves that nobody needs them
        left = left_behind(args.out, temporary, mark)
    grown = table(seen)
    print(
        f"{(time.monotonic() - start) / 60:.0f} minutes, {rounds} rounds, {len(seen)} processes; "
        f"{grown} kinds of process grew, left behind: {', '.join(left) or 'nothing'}"
    )
    sys.exit(bool(grown or left))


if __name__ == "__main__":
    main()
