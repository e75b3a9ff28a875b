"""Small runs of the testbed, and what must be equal between two of them."""

import json

from harness.training.pace import OF_THE_MACHINE
from support.command import harness

SMALL = [
    "--limit",
    "10",
    "--seeds",
    "0,1",
    "--set",
    "testbed.problems=64",
    "--set",
    "train.epochs=3",
    "--set",
    "train.prompts_per_batch=16",
    "--set",
    "train.max_rollouts=900",
    "--set",
    "train.checkpoint_steps=1",
    "--set",
    "p2o.min_hard=6",
    "--set",
    "p2o.evolve.metric_calls=120",
    "--set",
    "p2o.evolve.dev_size=8",
    "--set",
    "gepa.evolve.dev_size=16",
]


def run(capsys, method, out, *more):
    return harness(capsys, "run", "--method", method, "--bench", "all", "--out", out, "--json", *SMALL, *more)


def comparable(folder):
    """Everything a run writes that must not depend on interruptions; times and what else is the machine's are left out."""
    result = json.loads((folder / "result.json").read_text())
    for ledger in (result["ledger"], *result["ledgers"].values()):
        del ledger["wall_seconds"]
    names = sorted(p.relative_to(folder) for d in ("samples", "rollouts", "templates") for p in (folder / d).glob("*"))
    files = {str(n): (folder / n).read_text() for n in names}
    del result["run"]
    metrics = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    return result, files, [{k: v for k, v in row.items() if k not in OF_THE_MACHINE} for row in metrics]
