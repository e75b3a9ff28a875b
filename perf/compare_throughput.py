"""`harness compare` on synthetic runs: seconds and peak memory.

    python perf/compare_throughput.py [--arms 10] [--seeds 5] [--samples 16] [--chars 300]

Six suites of 1,547 problems; every sample carries a text of `--chars` characters, as real ones do. The comparison runs in
a process of its own; making the runs is not timed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.core.ledger import Ledger
from harness.evaluation.scores import macro_averages
from harness.runs import formats
from harness.runs.result import ResultFile, SuiteScores, write_result
from harness.runs.samples import samples_path
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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / f"arm{i}" for i in range(args.arms)]
        for i, run in enumerate(runs):
            make_run(run, args.seeds, args.samples, args.chars, np.random.default_rng(i))
        size = sum(p.stat().st_size for p in Path(folder).rglob("*.jsonl"))
        code = "from harness.cli import main; main()"
        command = [sys.executable, "-c", code, "compare", *map(str, runs), "--json"]
        start = time.time()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.time() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows = args.arms * args.seeds * args.samples * sum(SIZES.values())
    print(f"{rows:,} samples, {size / 1e6:,.0f} MB: {took:.1f} s, {peak:,.0f} MB at most")


if __name__ == "__main__":
    main()
