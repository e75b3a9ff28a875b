"""Results of runs, made by hand."""

import statistics

import numpy as np

from harness.core.ledger import Ledger
from harness.stats.questions import Questions


def result(method="grpo", scores=None, rollouts=1000, stamp=None, spec=None, **suite):
    """A result of one OOD suite whose score per seed is given."""
    scores = scores or {0: 0.4, 1: 0.5, 2: 0.6}
    per_seed = {str(s): v for s, v in scores.items()}
    mean = statistics.fmean(scores.values())
    ledgers = {s: Ledger(rollouts=rollouts, generated_tokens=20 * rollouts).to_dict() for s in per_seed}
    return {
        "run": f"runs/{method}",
        "method": method,
        "model": "testbed",
        "recipe": "testbed",
        "training_set": "testbed",
        "spec_hash": "0" * 64,
        "seeds": list(scores),
        "not_a_result": stamp,
        "suites": {
            "tb-long": {
                "role": "ood",
                "title": "Longer chains",
                "avg": mean,
                "n": 200,
                "k": 4,
                "temperature": 0.6,
                "max_new_tokens": 32,
                "per_seed": per_seed,
                "pass_at": {"1": mean},
                "truncated": 0.0,
                "unparsed": 0.0,
                "grader_faults": 0,
                "generated_tokens": 96,
                **suite,
            }
        },
        "macro": {"id": None, "ood": mean, "per_seed": {s: {"id": None, "ood": v} for s, v in per_seed.items()}},
        "ledger": Ledger.total(Ledger(**x) for x in ledgers.values()).to_dict(),
        "ledgers": ledgers,
        **({"spec": spec} if spec else {}),
    }


def cells(values_S_Q, k=4, ids=None):
    """Questions of the one suite."""
    y = np.array(values_S_Q, float)
    return {"tb-long": Questions(ids or tuple(f"p{i}" for i in range(y.shape[1])), tuple(range(len(y))), k, y, None)}


def arms(seeds=3, gain=0.1, k=4, n=50, seed=0):
    """Two results with their questions."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(n)
    out = []
    for name, shift in (("grpo", 0.0), ("p2o", gain)):
        y = rng.binomial(k, np.clip(difficulty + shift + 0.01 * rng.standard_normal((seeds, 1)), 0, 1)) / k
        y = np.broadcast_to(y, (seeds, n)).astype(float)
        out.append((result(name, dict(enumerate(y.mean(1))), n=n), cells(y, k)))
    return [r for r, _ in out], [q for _, q in out]
