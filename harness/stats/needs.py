"""What it would take to assess a claim: seeds per arm, and the plan of each arm."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from harness.config import RunSpec
from harness.runs.result import Result
from harness.stats.claims import MIN_SEEDS, Claim


def needs(claim: Claim, pilots: Sequence[Result] = ()) -> list[str]:
    """Lines on what it would take: seeds per arm, from the spread of `pilots` if they have any, and the plan of each arm."""
    from harness.data.training_sets import load_training_set
    from harness.stats.scores import pooled_sd

    pooled = pooled_sd([scores_on(claim, r) for r in pilots if all(name in r.suites for name in claim.suites)])
    given = pooled is not None and pooled.sd > 0
    lines = [seeds_line(claim, [pooled.sd] if pooled and given else claim.seed_sd, "the given runs" if given else "")]
    for side, arm in claim.sides.items():
        sets = "".join(f" --set {shlex.quote(f'{k}={_yaml(v)}')}" for k, v in claim.sets(arm).items())
        data = "" if load_training_set(claim.training_set).file is None else " --data-dir DATA"
        bench = ",".join(claim.suites)
        lines.append(f"harness run --method {arm.method} --recipe {claim.recipe} --bench {bench}{sets}{data} --seeds 0,1,2")
        lines.append(f"  {_plan_line(claim, claim.specs[side])}")
    return lines


def scores_on(claim: Claim, result: Result) -> list[float]:
    """The scores of a run's seeds on a claim's suites, in points; of the greedy pass where the claim is about that and the run
    has one."""
    from harness.stats.questions import load_questions

    greedy = [name for name in claim.suites if claim.passes[name].greedy and result.suites[name].greedy is not None]
    asked = load_questions(result) if greedy else {}
    suites = []
    for name in claim.suites:
        own = asked[name].greedy if name in greedy and asked else None
        scores = None if own is None else dict(zip(own.seeds, own.scores_S_Q.mean(-1).tolist(), strict=True))
        suites.append(result.suites[name].per_seed if scores is None else scores)
    return [100 * sum(s[seed] for s in suites) / len(suites) for seed in result.seeds]


def seeds_line(claim: Claim, sds: Sequence[float], source: str) -> str:
    """The seeds at which a verdict is likely at each seed standard deviation, in words; at least MIN_SEEDS."""
    from harness.stats.chances import MAX_SEEDS, seeds_to_exclude, seeds_to_see

    def at(sd: float) -> str:
        see = [(seeds_to_see(claim.effect, claim.margin, sd), "to see it")] if claim.effect else []
        counts = [*see, (seeds_to_exclude(claim.margin, sd), f"to exclude {claim.margin:g} if there is none")]
        words = [f"{f'more than {MAX_SEEDS}' if n is None else max(MIN_SEEDS, n)} {what}" for n, what in counts]
        return f"{' and '.join(words)} at a seed sd of {sd:.1f}"

    of = f" (from {source})" if source else ""
    what = f"a gain of {claim.effect:g} points" if claim.effect else "equal scores"
    return f"seeds per arm for an 80% chance of a verdict on {what}: {', '.join(map(at, sds))}{of}"


def _yaml(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _plan_line(claim: Claim, spec: RunSpec) -> str:
    """The cost of one seed. It needs no data: only the number of training problems matters."""
    from harness.plan import without_data

    p = without_data(spec, ",".join(claim.suites))
    if p is None:
        return "its cost depends on the data: see --dry-run"
    return (
        f"per seed: at most {p.rollouts:,} rollouts and {p.generated_tokens:,} tokens, {p.optimiser_steps:,} optimiser "
        f"steps, {p.eval_samples:,} evaluation samples"
    )
