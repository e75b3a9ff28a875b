"""Where the seconds of a run on OpenRLHF went, after its start-up: share outside generation and optimiser steps.

    harness run --method p2o --recipe testbed --bench tb-id --backend openrlhf --rehearse --seeds 0,1 --out RUN
    python perf/openrlhf_overhead.py RUN

Per epoch: sampling, scoring under the train prompt (the old log-probabilities), optimiser steps, sending the weights to
the engines, and the rest (grading, logs, the trainer's own bookkeeping), as shares of the batches' wall time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

PARTS = ("sample", "score", "update", "sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory")
    args = parser.parse_args()
    rows = [json.loads(line) for line in (args.run / "metrics.jsonl").read_text().splitlines()]
    batches = [r for r in rows if r["kind"] == "batch"]
    print("seed epoch batches  s a batch  " + "  ".join(f"{p:>6}" for p in (*PARTS, "rest")) + "  outside")
    outside = total = 0.0
    for seed, epoch in sorted({(r["seed"], r["epoch"]) for r in batches}):
        of = [r for r in batches if (r["seed"], r["epoch"]) == (seed, epoch)]
        seconds = sum(r["seconds_all"] for r in of)
        share = {p: sum(r[f"seconds_{p}"] for r in of) / seconds for p in PARTS}
        rest = 1 - sum(share.values())
        beside = 1 - share["sample"] - share["update"]
        print(
            f"{seed:4} {epoch:5} {len(of):7} {seconds / len(of):10.2f}  "
            + "  ".join(f"{100 * x:5.1f}%" for x in (*share.values(), rest))
            + f"  {100 * beside:6.1f}%"
        )
        outside, total = outside + beside * seconds, total + seconds
    print(f"outside generation and optimiser steps: {100 * outside / total:.1f}% of {total:.0f} s")


if __name__ == "__main__":
    main()
