"""`harness compare` on synthetic runs, and `harness claim check` of the shipped claims: seconds and peak memory.

    python perf/compare_throughput.py [--arms 10] [--seeds 5] [--samples 16] [--chars 300] [--times 3]

Six suites of 1,547 problems; every sample carries a text of `--chars` characters, as real ones do. Each command runs in a
process of its own; making the runs is not timed. The floor is what no comparison can do without: reading the files and
decoding their lines.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from harness.core.ledger import Ledger
from harness.evaluation.scores import macro_averages
from harness.runs import formats
from harness.runs.result import ResultFile, SuiteScores, write_result
from harness.runs.samples import Outcome, samples_path
from harness.runs.spec import SPEC_FILE, StoredSpec

SIZES = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "minerva": 272, "olympiad": 675}


def make_run(path: Path, seeds: int, k: int, chars: int, rng: np.random.Generator) -> None:
    """A finished run with random outcomes."""
    (path / "samples").mkdir(parents=True)
    suites, text = {}, "x" * chars
    for name, n in SIZES.items():
        right = rng.random((seeds, n, k)) < rng.random((1, n, 1)) * (1 + 0.02 * rng.standard_normal((seeds, 1, 1)))
        with samples_path(path, name).open("w") as f:
            for s in range(seeds):
                for q in range(n):
                    for j in range(k):
                        f.write(
                            f'{{"suite": "{name}", "problem": "{name}-{q}", "index": {j}, "greedy": false, '
                            f'"prompt": "{text[:80]}", "completion": "{text}", "answer": null, "gold": "1", '
                            f'"score": {float(right[s, q, j])}, "parity": 1.0, "status": "ok", "truncated": false, '
                            f'"prompt_tokens": 9, "tokens": 99, "prompt_sha256": "", "seed": {s}, "eval_seed": 1}}\n'
                        )
        suites[name] = SuiteScores(
            role="ood",
            title=name,
            data_sha256=None,
            n=n,
            k=k,
            temperature=0.6,
            max_new_tokens=9,
            flagged=[],
            avg=float(right.mean()),
            per_seed={s: float(right[s].mean()) for s in range(seeds)},
            avg_clean=None,
            per_seed_clean={},
            pass_at={},
            truncated=0.0,
            unparsed=0.0,
            grader_faults=0,
            parity_avg=1.0,
            disagreement=0.0,
            greedy=None,
            greedy_parity=None,
            prompt_tokens=0,
            generated_tokens=0,
        )
    ledgers = {s: Ledger(rollouts=1000, generated_tokens=1000) for s in range(seeds)}
    result = ResultFile(
        run=str(path),
        method=path.name,
        model="m",
        recipe="r",
        training_set="deepscaler",
        spec_hash="0" * 64,
        seeds=tuple(range(seeds)),
        not_a_result=None,
        identity={},
        suites=suites,
        macro=macro_averages([(suite.role, suite) for suite in suites.values()], range(seeds)),
        ledger=Ledger.total(ledgers.values()),
        ledgers=ledgers,
    )
    formats.write(path / SPEC_FILE, StoredSpec(hash=result.spec_hash, spec={"method": path.name}))
    write_result(path, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--chars", type=int, default=300)
    parser.add_argument("--times", type=int, default=3, help="runs of each command, of which the fastest counts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / f"arm{i}" for i in range(args.arms)]
        for i, run in enumerate(runs):
            make_run(run, args.seeds, args.samples, args.chars, np.random.default_rng(i))
        size = sum(p.stat().st_size for p in Path(folder).rglob("*.jsonl"))
        rows = args.arms * args.seeds * args.samples * sum(SIZES.values())
        print(f"{rows:,} samples, {size / 1e6:,.0f} MB")
        print(f"{'the floor':12} {floor(runs):5.2f} s of CPU")
        for words in (["compare", *map(str, runs)], ["claim", "check"]):
            command = [sys.executable, "-c", "from harness.cli import main; main()", *words, "--json"]
            found = [measured(command) for _ in range(args.times)]
            cpu, wall, peak = (min(column) for column in zip(*found, strict=True))
            print(f"{words[0]:12} {cpu:5.2f} s of CPU, {wall:5.1f} s, {peak:,.0f} MB at most")


def measured(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and most MB of a process."""
    start = time.time()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:6])} ended with status {status}")
    return used.ru_utime + used.ru_stime, time.time() - start, used.ru_maxrss / 1024


def floor(runs: list[Path]) -> float:
    """CPU seconds of reading and decoding all samples, one file after the other, and nothing else."""
    decoder, start = msgspec.json.Decoder(Outcome), time.process_time()
    for run in runs:
        for name in SIZES:
            decoder.decode_lines(samples_path(run, name).read_bytes())
    return time.process_time() - start


if __name__ == "__main__":
    main()
