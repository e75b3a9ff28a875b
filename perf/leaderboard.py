"""Leaderboards on synthetic runs: seconds to file, build and verify, size of the page, and peak memory.

    python perf/leaderboard.py [--runs 20] [--seeds 5] [--samples 1] [--chars 2000]

Six mathematics suites of 1,547 problems; completions of about `--chars` characters end in a box with an integer, right or
wrong, or, one in ten, with a fraction that math-verify must read. Each verb runs in a process of its own; making the runs
is not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.core.ledger import Ledger
from harness.evaluation.scores import macro_averages, score_suite
from harness.runs import formats
from harness.runs.filed import spec_sha256
from harness.runs.result import ResultFile, SuiteFacts, join, write_result
from harness.runs.samples import SampleRow, samples_path
from harness.runs.spec import SPEC_FILE, StoredSpec

SIZES = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "minerva": 272, "olympiad": 675}
WORDS = "we let the sum of a and b be x so that 2 x = 14 which gives another case to check before the end".split()


def completion(rng: np.random.Generator, chars: int, answer: str) -> str:
    words = rng.choice(WORDS, size=chars // 4)
    return f"{' '.join(words)} \\boxed{{{answer}}}"


def make_run(path: Path, seeds: int, k: int, chars: int, rng: np.random.Generator) -> None:
    """A finished run with random outcomes, scored as a real one is; grades are those the graders give."""
    (path / "samples").mkdir(parents=True)
    suites = {}
    for name, n in SIZES.items():
        ease_Q = rng.random(n)
        rows = []
        for s in range(seeds):
            for q in range(n):
                gold = str(q + 2)
                for j in range(k):
                    right = bool(rng.random() < ease_Q[q])
                    answer = gold if right else str(q + 3 + int(rng.integers(20)))
                    if rng.random() < 0.1:
                        answer = f"\\frac{{{2 * int(answer)}}}{{2}}"
                    rows.append(
                        SampleRow(
                            suite=name,
                            problem=f"{name}-{q}",
                            index=j,
                            greedy=False,
                            prompt="",
                            completion=completion(rng, chars, answer),
                            answer=answer,
                            gold=gold,
                            score=float(right),
                            parity=float(right),
                            status="ok",
                            truncated=False,
                            prompt_tokens=90,
                            tokens=chars // 4,
                            prompt_sha256="0" * 64,
                            seed=s,
                            eval_seed=s,
                        )
                    )
        with samples_path(path, name).open("w") as f:
            f.writelines(map(formats.json_line, rows))
        facts = SuiteFacts(
            role="ood",
            title=name,
            data_sha256="0" * 64,
            n=n,
            k=k,
            temperature=0.6,
            max_new_tokens=4096,
            flagged=[],
        )
        suites[name] = join(facts, score_suite(rows, k, range(seeds)))
    ledgers = {s: Ledger(rollouts=1000, generated_tokens=10**6 + int(rng.integers(10**5))) for s in range(seeds)}
    spec = {"method": path.name, "seeds": list(range(seeds)), "model": {"id": "m"}}
    result = ResultFile(
        run=str(path),
        method=path.name,
        model="m",
        recipe="r",
        training_set="deepscaler",
        spec_hash=spec_sha256(spec),
        seeds=tuple(range(seeds)),
        not_a_result=None,
        identity={},
        suites=suites,
        macro=macro_averages([(suite.role, suite) for suite in suites.values()], range(seeds)),
        ledger=Ledger.total(ledgers.values()),
        ledgers=ledgers,
    )
    formats.write(path / SPEC_FILE, StoredSpec(hash=result.spec_hash, spec=spec))
    write_result(path, result)
    batches = [
        {
            "seed": s,
            "kind": "batch",
            "epoch": 0,
            "batch": b,
            "rollouts": 10 * b,
            "reward": float(rng.random()),
            "degenerate_groups": float(rng.random()),
        }
        for s in range(seeds)
        for b in range(300)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in batches))
    (path / "templates").mkdir()
    for s in range(seeds):
        rows = [
            {
                "seed": s,
                "epoch": e,
                "candidate": i,
                "parent": i // 2 if i else None,
                "template": completion(rng, 600, "x"),
                "mean_score": 0.5,
                "selected": i > 5,
            }
            for e in range(5)
            for i in range(20)
        ]
        (path / "templates" / f"s{s}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def timed(*args: str) -> float:
    start = time.time()
    code = "from harness.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *args], check=True, stdout=subprocess.DEVNULL)
    return time.time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--chars", type=int, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, runs = Path(folder), [Path(folder) / "runs" / f"arm{i}" for i in range(args.runs)]
        for i, run in enumerate(runs):
            make_run(run, args.seeds, args.samples, args.chars, np.random.default_rng(i))
        size = sum(p.stat().st_size for p in root.rglob("samples/*"))
        board = str(root / "board")
        filing = sum(timed("leaderboard", "add", str(run), "--board", board) for run in runs)
        packed = sum(p.stat().st_size for p in Path(board).rglob("*.zst"))
        building, verifying = timed("leaderboard", "build", board), timed("leaderboard", "verify", board)
        [page] = Path(board).rglob("index.html")
        rows = args.runs * args.seeds * args.samples * sum(SIZES.values())
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        on_page = page.stat().st_size / 1e6
        print(f"{rows:,} samples, {size / 1e6:,.0f} MB, filed in {packed / 1e6:,.0f} MB; page {on_page:.2f} MB")
        print(f"add {filing / args.runs:.1f} s a run, build {building:.1f} s, verify {verifying:.1f} s, {peak:,.0f} MB at most")


if __name__ == "__main__":
    main()
