"""Two greedy evaluations of one policy by different engines: per problem, are the grade and the text the same?

    harness eval testbed --bench all --set eval.decoding.kind=greedy --out runs/transformers
    harness eval testbed --bench all --set eval.decoding.kind=greedy --engine vllm --out runs/vllm
    python perf/engines_agree.py runs/transformers runs/vllm

Tables refuse to mix engines; this is the one place that looks at what that would do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.runs.result import load_result
from harness.runs.samples import read_samples, samples_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path)
    args = parser.parse_args()
    one, two = (load_result(run) for run in args.runs)
    for result in (one, two):
        print(", ".join(f"{k} {v}" for k, v in result.identity.items() if k in ("engine", "version", "dtype")))
    for suite in one.suites:
        files = [samples_path(run, suite) for run in args.runs]
        a, b = ({(r.problem, r.index, r.seed): r for r in read_samples(path)} for path in files)
        assert a.keys() == b.keys(), f"{suite}: not the same problems"
        grade = sum(a[key].score == b[key].score for key in a)
        text = sum(a[key].completion == b[key].completion for key in a)
        scores = " and ".join(f"{100 * r.suites[suite].avg:.1f}" for r in (one, two))
        print(f"{suite}: {len(a)} problems, same grade {grade / len(a):.1%}, same text {text / len(a):.1%}, scores {scores}")


if __name__ == "__main__":
    main()
