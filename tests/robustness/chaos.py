"""Kill runs at seeded moments, finish them as a user would, and compare with those that nobody killed, bit for bit.

    python tests/robustness/chaos.py [--run 100] [--eval 30] [--study 30] [--add 30]

`run` is a P2O run of two seeds (training, prompt search, evaluation), `eval` an evaluation of two seeds in many blocks,
`study` one of two arms side by side, `add` the filing of a run on a leaderboard. Half of the kills come at a file operation
of the command (the n-th open for writing, rename, truncation or removal, so that every gap between two of them can be hit;
a file that was being appended to gets half a line, as a killed writer leaves), half at a moment of the clock. Of a study
either its own process is killed, or all processes below it too. SIGKILL, nothing is caught; some are killed twice. Compared
are metrics, samples, rollouts, templates, ledger (without seconds), result and the final weights, and which files there
are. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.training.pace import OF_THE_MACHINE

TINY = (
    "--limit 20 --set testbed.problems=64 --set train.epochs=3 --set train.prompts_per_batch=16 --set train.max_rollouts=900 "
    "--set train.checkpoint_steps=2 --set p2o.min_hard=6 --set p2o.evolve.metric_calls=120 --set p2o.evolve.dev_size=8 "
    "--set local.threads=1 --set local.generation_tokens=1000"
)
STUDY = """
title: Two arms
recipe: testbed
bench: tb-id
seeds: [0]
settings:
  eval.limit: 10
  testbed.problems: 48
  local: {threads: 1, generation_tokens: 1000}
  train: {epochs: 2, prompts_per_batch: 16, max_rollouts: 600, checkpoint_steps: 1}
  p2o: {min_hard: 6, evolve: {metric_calls: 60, dev_size: 8}}
arms: {p2o: {method: p2o}, grpo: {method: grpo}}
"""
WORDS = {
    "run": f"run --method p2o --recipe testbed --bench tb-id,tb-long --seeds 0,1 {TINY} --out OUT",
    "eval": "eval testbed --bench tb-id,tb-long --limit 40 --seeds 0,1 --set local.threads=1 "
    "--set local.generation_tokens=400 --out OUT",
    "study": "study run STUDY --jobs 2 --out OUT",
    "add": "leaderboard add RUN --allow-not-a-result --pilot --board OUT",
}
"""OUT is the folder that is compared, STUDY the file above, RUN the run that nobody killed."""
QUICK = {
    "run": "--bench tb-id --limit 6 --seeds 0 --set train.epochs=2 --set train.max_rollouts=600 --set testbed.problems=48",
    "eval": "--bench tb-id --limit 10",
}
PRELOAD = [
    "harness.run",
    "harness.evalrun",
    "harness.study",
    "harness.leaderboard.submit",
    "harness.training.local.backend",
    "harness.report.run",
    "lm_eval",
    "gepa",
]
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
    sys.argv = ["harness", *words]
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


def below(pid: int) -> list[int]:
    """All processes that this one started, and those they did."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for one in map(int, path.read_text().split()):
            found += [one, *below(one)]
    return found


def command(
    context: Any, words: list[str], out: Path, at: int | None = None, after_s: float | None = None, tree: bool = False
) -> Outcome:
    """Run it to its end, or to its kill: at a file operation, or after some seconds, then with all below it if `tree`."""
    said = out.with_suffix(".log")
    process = context.Process(target=child, args=(words, str(out), str(said), at))
    start = time.monotonic()
    process.start()
    process.join(after_s)
    others = below(process.pid) if tree and process.is_alive() else []
    process.kill()
    for other in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other, signal.SIGKILL)
    process.join()
    lines = said.read_text(errors="replace").splitlines() if said.exists() else []  # killed before its first word
    counted = [int(x.split()[1]) for x in lines if x.startswith("OPERATIONS ")]
    killed = [x.removeprefix("KILLED ") for x in lines if x.startswith("KILLED ")]
    seconds = time.monotonic() - start
    return Outcome(process.exitcode, seconds, counted[-1] if counted else 0, killed[-1] if at and killed else "the clock")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k != "run" and not k.startswith("seconds") and not k.endswith("seconds")}
        return {k: without_times(v) for k, v in kept.items()}
    return [without_times(x) for x in value] if isinstance(value, list) else value


def contents(out: Path) -> dict[str, str]:
    """What must be the same, by file: hashes, of JSON without times, of reports only that they are there."""
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = str(path.relative_to(out))
        if path.suffix == ".json" and path.name != "env.json" and "final" not in name:
            data = json.dumps(without_times(json.loads(path.read_text()))).encode()
        elif path.name == "metrics.jsonl":
            rows = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
            rows = [{k: v for k, v in row.items() if k not in OF_THE_MACHINE} for row in rows]
            data = json.dumps(rows).encode()
        elif path.name in ("env.json", ".lock") or path.suffix in (".md", ".html", ".log"):
            data = b""
        elif path.parent.name == "results" and path.suffix == ".sha256":
            data = b""  # of a file with times in it; a resumed run has checked it
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
    return sum(len(path.read_text().splitlines()) for path in out.glob("**/samples/*.jsonl"))


@dataclass
class Whole:
    """One that nobody killed: how it ended, what is in its folder, how many samples."""

    words: list[str]
    outcome: Outcome
    contents: dict[str, str]
    samples: int


def words_for(whole: Whole, out: Path) -> list[str]:
    return [str(out) if word == "OUT" else word for word in whole.words]


def going_on(kind: str, out: Path) -> list[str] | None:
    """What the user adds to the command to go on; None where nothing is left to do."""
    if kind in ("study", "add"):
        return []
    if (out / "result.json").exists() and (out / "report.html").exists():
        return None
    if (out / "spec.json").exists():
        return ["--resume"]
    for path in out.glob("*"):  # nothing was begun: the same command starts over, in an empty folder
        path.unlink()
    return []


def trial(context: Any, kind: str, whole: Whole, number: int, seed: int, folder: Path) -> dict[str, Any]:
    rng = random.Random(f"{seed}/{kind}/{number}")
    out = folder / f"{kind}-{number:03d}"
    words, where = words_for(whole, out), []
    more: list[str] | None = []
    twice = rng.random() < 0.5
    while more is not None and len(where) <= twice:
        if rng.random() < 0.5:
            done = command(context, [*words, *more], out, at=rng.randint(1, whole.outcome.operations))
        else:
            tree, share = rng.random() < 0.5, rng.uniform(0.1, 0.9)
            done = command(context, [*words, *more], out, after_s=share * whole.outcome.seconds, tree=tree)
        if done.code == -signal.SIGKILL:
            where.append(done.killed_at.replace(str(out) + "/", "") + tear(out, done.killed_at))
            more = going_on(kind, out)
        elif where or done.code:
            break
        else:  # it was at its end before its moment came: the machine was slower when the whole one was timed
            whole.outcome.seconds = min(whole.outcome.seconds, done.seconds)
            shutil.rmtree(out)
    if more is not None and (done.code == -signal.SIGKILL or kind in ("study", "add")):
        done = command(context, [*words, *more], out)
    got = contents(out)
    differ = sorted(name for name in whole.contents.keys() | got.keys() if whole.contents.get(name) != got.get(name))
    return {
        "kills": len(where),
        "where": "; ".join(where),
        "exit": done.code if more is not None else 0,
        "differ": differ,
        "lost": whole.samples - samples(out),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, points in (("run", 100), ("eval", 30), ("study", 30), ("add", 30)):
        parser.add_argument(f"--{kind}", type=int, default=points, help=f"Kill points; default {points}.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="A smaller run and evaluation.")
    parser.add_argument("--keep", type=Path, help="Leave everything in this folder.")
    args = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    total = killed = bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.yaml").write_text(STUDY)
        names = {"STUDY": str(folder / "study.yaml"), "RUN": str(folder / "run-whole")}
        for kind in WORDS:
            points, out = getattr(args, kind), folder / f"{kind}-whole"
            if not points and not (kind == "run" and args.add):
                continue
            words = [names.get(word, word) for word in f"{WORDS[kind]} {QUICK.get(kind, '') if args.quick else ''}".split()]
            whole = Whole(words, Outcome(0, 0.0, 0, ""), {}, 0)
            whole.outcome = command(context, words_for(whole, out), out)
            if whole.outcome.code:
                said = out.with_suffix(".log").read_text()
                sys.exit(f"the {kind} that nobody killed ended with {whole.outcome.code}:\n{said}")
            whole.contents, whole.samples = contents(out), samples(out)
            about = f"{whole.outcome.seconds:.1f} s, {whole.outcome.operations} file operations, {whole.samples} samples"
            print(f"{kind}: {about}", flush=True)

            def one(number: int) -> dict[str, Any]:
                return trial(context, kind, whole, number, args.seed, folder)  # noqa: B023

            kills = wrong = 0
            with ThreadPoolExecutor(args.jobs) as pool:
                for number, row in enumerate(pool.map(one, range(points))):
                    amiss = bool(row["differ"] or row["exit"] or row["lost"])
                    wrong += amiss
                    kills += row["kills"]
                    verdict = f"DIFFERS: exit {row['exit']}, {', '.join(row['differ'])}" if amiss else "same"
                    head = f"{kind:<5}{number:>4}  kills {row['kills']}  lost {row['lost']}"
                    print(f"{head}  {verdict:<6}  {row['where']}", flush=True)
            print(f"{kind}: {points} points, {kills} kills, {wrong} differences", flush=True)
            total, killed, bad = total + points, killed + kills, bad + wrong
    print(f"{total} points, {killed} kills, {bad} differences")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
