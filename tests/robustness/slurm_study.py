"""A study on a real Slurm, its jobs pushed back into the queue, killed and cancelled, against the same study in one process.

    tests/robustness/slurm_node.sh start DIR           # as root; and export the SLURM_CONF that it prints
    python tests/robustness/slurm_study.py --out OUT
    tests/robustness/slurm_node.sh stop DIR

Two arms of two seeds on the testbed, one of which stops at the tokens of the other: handed over seed by seed to the partition
`low`, pre-empted by a job of `high` in mid-training, requeued by `scontrol`, one job cancelled and handed over again by the
same command. Samples, weights, ledgers (but for seconds) and tables must be those of a run of both seeds. Takes some three
minutes on two idle cores; exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import yaml
from same_numbers import numbers

STUDY = {
    "title": "Two arms on a queue",
    "recipe": "testbed",
    "bench": "tb-id,tb-long",
    "seeds": [0, 1],
    "settings": {
        "testbed.problems": 48,
        "eval.limit": 8,
        "train": {"epochs": 3, "prompts_per_batch": 16, "checkpoint_steps": 1},
        "p2o": {"min_hard": 6, "evolve": {"metric_calls": 120, "dev_size": 8}},
    },
    "arms": {"p2o": {"method": "p2o"}, "grpo": {"method": "grpo", "match": "p2o"}},
}


def output(*words: object) -> str:
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout


def harness(*words: object) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(output(sys.executable, "-m", "harness", *words, "--json").splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True)
    file, queued = out / "study.yaml", out / "queued"
    file.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    again = ["study", "run", file, "--out", queued, "--launcher", "slurm", "--per", "seed", "--partition", "low", "--gpus", 1]

    def look() -> dict[str, str]:
        jobs = harness(*again)["jobs"]
        print(f"{time.strftime('%H:%M:%S')} {jobs}", flush=True)
        return jobs

    jobs = look()
    ids = {name: state.split()[2] for name, state in jobs.items() if state.startswith("submitted")}
    while not (queued / ".parts" / "p2o" / "s0" / "metrics.jsonl").exists():
        time.sleep(0.5)
    output("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 3")
    pre_empted = False
    while not pre_empted:
        time.sleep(1)
        pre_empted = "low" in output("squeue", "--noheader", "--states=PENDING", "--format=%P")
    print("pre-empted", flush=True)
    output("scancel", ids["p2o@s1"])
    while not set(look().values()) <= {"done"}:
        time.sleep(10)
    log = (queued / "logs" / "p2o@s0.log").read_text()
    print(log[-300:])
    for arm in STUDY["arms"]:
        words = ["--match-budget", out / "p2o"] if arm == "grpo" else []
        words += ["--recipe", "testbed", "--bench", STUDY["bench"], "--config", out / "settings.yaml"]
        (out / "settings.yaml").write_text(yaml.safe_dump(nested(STUDY["settings"])))
        harness("run", "--method", arm, "--seeds", "0,1", "--out", out / arm, *words)
    different = 0
    for arm in STUDY["arms"]:
        mine, theirs = (dict(numbers(path)) for path in (queued / "cells" / arm, out / arm))
        tables = [json.loads((path / "result.json").read_text())["suites"] for path in (queued / "cells" / arm, out / arm)]
        mine["tables"], theirs["tables"] = map(json.dumps, tables)
        for name in sorted(mine | theirs):
            different += mine.get(name) != theirs.get(name)
            print(f"{arm + '/' + name:<50} {'the same' if mine.get(name) == theirs.get(name) else 'DIFFERS'}")
    sys.exit(bool(different))


def nested(settings: dict[str, object]) -> dict[str, object]:
    """Dotted names at the top as mappings, for `--config`."""
    tree: dict[str, object] = {}
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        tree[head] = {rest: value} if rest else value
    return tree


if __name__ == "__main__":
    main()
