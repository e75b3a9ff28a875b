"""Kill a run at seeded moments, finish it with --resume, and compare it bit for bit with one that nobody killed.

    python perf/chaos.py --points 20 --eval-points 10

Half of the kills come at a file operation of the run (the n-th open for writing, rename, truncation or removal, so that
every gap between two of them can be hit; a file that was being appended to gets half a line, as a killed writer leaves),
half at a moment of the clock. SIGKILL, nothing is caught. Compared are metrics, samples, rollouts, templates, ledger
(without seconds), result and the final weights, and which files there are. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = (
    "run --method p2o --bench tb-id,tb-long --limit 20 --seeds 0,1 --set testbed.problems=64 --set train.epochs=3 "
    "--set train.prompts_per_batch=16 --set train.max_rollouts=900 --set train.checkpoint_steps=2 --set p2o.min_hard=6 "
    "--set p2o.evolve.metric_calls=120 --set p2o.evolve.dev_size=8 --set local.threads=1 --set local.generation_tokens=1000"
)
"""A P2O run of two seeds: training, a GEPA phase, evaluation."""
EVAL = "eval testbed --bench tb-id,tb-long --limit 40 --seeds 0,1 --set local.threads=1 --set local.generation_tokens=400"
"""An evaluation of two seeds, in many blocks."""
QUICK = {
    "run": "--bench tb-id --limit 6 --seeds 0 --set train.epochs=2 --set train.max_rollouts=600 --set testbed.problems=48",
    "eval": "--bench tb-id --limit 10",
}
PRELOAD = ["harness.run", "harness.evalrun", "harness.backends.local", "harness.pages.report", "lm_eval", "gepa"]
TORN = '{"torn": [1, 2'


class Kills:
    """An audit hook that ends this process before its n-th file operation below a folder (or only counts them)."""

    WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT

    def __init__(self, root: str, at: int | None, report: int) -> None:
        self.root, self.at, self.report, self.count = root, at, report, 0

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if not args[2] & self.WRITES:
                return
        elif event not in ("os.rename", "os.remove", "os.truncate", "os.rmdir", "os.mkdir"):
            return
        path = os.fspath(args[0]) if isinstance(args[0], str | os.PathLike) else ""
        if not path.startswith(self.root) and (os.path.isabs(path) or not path):  # rmtree removes by relative names
            return
        if path.endswith((".lock", "/null")):
            return
        self.count += 1
        if self.count == self.at:
            os.write(self.report, f"\nKILLED {event} {path}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def child(words: list[str], out: str, said: str, at: int | None) -> None:
    """One command of the harness in a process of its own; its operations are counted in the last line of `said`."""
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    hook = Kills(out, at, log)
    sys.addaudithook(hook)
    sys.argv = ["harness", *words, "--out", out]
    from harness.cli import main

    try:
        main()
    finally:
        os.write(log, f"\nOPERATIONS {hook.count}\n".encode())


@dataclass
class Outcome:
    """How a command ended: exit code (negative: a signal), seconds, file operations, and the one it was killed at."""

    code: int
    seconds: float
    operations: int
    killed_at: str


def command(context: Any, words: list[str], out: Path, at: int | None = None, after_s: float | None = None) -> Outcome:
    said = out.with_suffix(".log")
    process = context.Process(target=child, args=(words, str(out), str(said), at))
    start = time.monotonic()
    process.start()
    process.join(after_s)
    process.kill()
    process.join()
    lines = said.read_text(errors="replace").splitlines()
    counted = [int(x.split()[1]) for x in lines if x.startswith("OPERATIONS ")]
    killed = [x.removeprefix("KILLED ") for x in lines if x.startswith("KILLED ")]
    seconds = time.monotonic() - start
    return Outcome(process.exitcode, seconds, counted[-1] if counted else 0, killed[-1] if at and killed else "the clock")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k != "run" and not k.startswith("seconds_") and not k.endswith("seconds")}
        return {k: without_times(v) for k, v in kept.items()}
    return [without_times(x) for x in value] if isinstance(value, list) else value


def contents(out: Path) -> dict[str, str]:
    """What must be the same, by file: hashes, of JSON without times, of reports only that they are there."""
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = str(path.relative_to(out))
        if path.suffix == ".json" and name != "env.json" and "final" not in name:
            data = json.dumps(without_times(json.loads(path.read_text()))).encode()
        elif name == "metrics.jsonl":
            rows = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
            data = json.dumps(rows).encode()
        elif name in ("env.json", "report.md", "report.html", ".lock"):
            data = b""
        else:
            data = path.read_bytes()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def tear(out: Path, killed_at: str) -> str:
    """Half a line at the end of the file that was opened for appending, as if the kill had come in mid-write."""
    event, _, path = killed_at.partition(" ")
    if event == "open" and path.endswith(".jsonl"):
        with open(path, "a") as f:
            f.write(TORN)
        return " (torn)"
    return ""


def samples(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in (out / "samples").glob("*.jsonl"))


def trial(context: Any, kind: str, words: list[str], number: int, seed: int, whole: Outcome, want: dict[str, str], lost: int,
          folder: Path) -> dict[str, Any]:
    rng = random.Random(f"{seed}/{kind}/{number}")
    out = folder / f"{kind}-{number:03d}"
    kills, where = 0, []
    resume: list[str] = []
    for _ in range(1 + rng.randrange(2)):  # some are killed twice
        if rng.random() < 0.5:
            done = command(context, [*words, *resume], out, at=rng.randint(1, whole.operations))
        else:
            done = command(context, [*words, *resume], out, after_s=rng.uniform(0.1, 0.9) * whole.seconds)
        if done.code != -signal.SIGKILL:
            break
        kills += 1
        where.append(done.killed_at.replace(str(out) + "/", "") + tear(out, done.killed_at))
        resume = ["--resume"] if (out / "spec.json").exists() else []
        if not resume:  # nothing was begun: the same command starts over, in an empty folder
            for path in out.glob("*"):
                path.unlink()
    if not (out / "result.json").exists() or not (out / "report.html").exists():
        done = command(context, [*words, *resume], out)
    got = contents(out)
    differ = sorted(name for name in want.keys() | got.keys() if want.get(name) != got.get(name))
    return {"what": kind, "point": number, "kills": kills, "where": "; ".join(where), "exit": done.code, "differ": differ,
            "lost": lost - samples(out)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--eval-points", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="A smaller run and evaluation.")
    parser.add_argument("--keep", type=Path, help="Leave all runs in this folder.")
    args = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    bad = killed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for kind, words, points in (("run", RUN.split(), args.points), ("eval", EVAL.split(), args.eval_points)):
            words = [*words, *(QUICK[kind].split() if args.quick else [])]
            whole = command(context, words, folder / f"{kind}-whole")
            if whole.code:
                said = (folder / f"{kind}-whole.log").read_text()
                sys.exit(f"the {kind} that nobody killed ended with {whole.code}:\n{said}")
            want, count = contents(folder / f"{kind}-whole"), samples(folder / f"{kind}-whole")
            print(f"{kind}: {whole.seconds:.1f} s, {whole.operations} file operations, {count} samples", flush=True)

            def one(number: int) -> dict[str, Any]:
                return trial(context, kind, words, number, args.seed, whole, want, count, folder)  # noqa: B023

            with ThreadPoolExecutor(args.jobs) as pool:
                for row in pool.map(one, range(points)):
                    wrong = bool(row["differ"] or row["exit"] or row["lost"])
                    bad += wrong
                    killed += row["kills"]
                    verdict = f"DIFFERS: exit {row['exit']}, {', '.join(row['differ'])}" if wrong else "same"
                    head = f"{row['what']:<5}{row['point']:>4}  kills {row['kills']}  lost {row['lost']}"
                    print(f"{head}  {verdict:<6}  {row['where']}", flush=True)
    print(f"{args.points + args.eval_points} points, {killed} kills, {bad} differences")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
