"""Results of runs, made by hand."""

import statistics
from dataclasses import replace

import numpy as np

from harness.core.ledger import Ledger
from harness.runs.environment import Environment
from harness.runs.result import Macro, Result, RoleMeans, SuiteScores
from harness.runs.samples import SampleRow
from harness.stats.questions import Questions


def suite_scores(scores, **own):
    """A suite from its score per seed; `own` replaces other fields."""
    mean = statistics.fmean(scores.values())
    fields = {
        "role": "ood",
        "title": "Longer chains",
        "data_sha256": None,
        "n": 200,
        "k": 4,
        "temperature": 0.6,
        "max_new_tokens": 32,
        "flagged": [],
        "avg": mean,
        "per_seed": dict(scores),
        "avg_clean": None,
        "per_seed_clean": {},
        "pass_at": {1: mean},
        "truncated": 0.0,
        "unparsed": 0.0,
        "grader_faults": 0,
        "parity_avg": None,
        "disagreement": None,
        "greedy": None,
        "greedy_parity": None,
        "prompt_tokens": 0,
        "generated_tokens": 96,
    }
    return SuiteScores(**{**fields, **own})


def result(method="grpo", scores=None, rollouts=1000, stamp=None, spec=None, name="tb-long", ledger=None, **suite):
    """A result of one OOD suite whose score per seed is given."""
    scores = scores or {0: 0.4, 1: 0.5, 2: 0.6}
    mean = statistics.fmean(scores.values())
    each = ledger or Ledger(rollouts=rollouts, generated_tokens=20 * rollouts)
    ledgers = {seed: replace(each) for seed in scores}
    return Result(
        run=f"runs/{method}",
        method=method,
        model="testbed",
        recipe="testbed",
        training_set="testbed",
        spec_hash="0" * 64,
        seeds=tuple(scores),
        not_a_result=stamp,
        identity={},
        suites={name: suite_scores(scores, **suite)},
        macro=Macro(id=None, ood=mean, per_seed={s: RoleMeans(id=None, ood=v) for s, v in scores.items()}),
        ledger=Ledger.total(ledgers.values()),
        ledgers=ledgers,
        spec=spec or {},
    )


def sample(**own):
    """A row of samples/<suite>.jsonl."""
    fields = {
        "suite": "tb-long",
        "problem": "p",
        "index": 0,
        "greedy": False,
        "prompt": "",
        "completion": "",
        "answer": None,
        "gold": "1",
        "score": 0.0,
        "parity": None,
        "status": "ok",
        "truncated": False,
        "prompt_tokens": 7,
        "tokens": 5,
        "prompt_sha256": "0" * 64,
        "seed": 0,
        "eval_seed": 1,
    }
    return SampleRow(**{**fields, **own})


def environment(**own):
    """env.json."""
    fields = {"python": "3.11", "platform": "Linux x86_64", "cpus": 2, "packages": {}, "code": None}
    return Environment(**{**fields, "started": "2026-01-02T03:04:05+00:00", **own})


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
