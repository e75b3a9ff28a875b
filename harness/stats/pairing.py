"""Whether the seeds of two runs are pairs: read off the runs, never off their scores. docs/statistics.md has the rule."""

from __future__ import annotations

from harness.runs.result import Result
from harness.stats.comparable import of_policy


def unpaired(arm: Result, baseline: Result) -> str | None:
    """Why the seeds of two runs are no pairs, in words; None where they are.

    They are if both runs trained one policy on the same problems with the same seeds, named in one order, and every seed began
    with the same batch: the same problems in the same order, asked in the same words, with the same completions. Seeds that
    only one of the runs has make them no pairs: leaving seeds out would be a choice.
    """
    if arm.seeds != baseline.seeds:
        return f"the seeds are {_listed(arm.seeds)} and {_listed(baseline.seeds)}"
    silent = [r.run for r in (arm, baseline) if set(r.first_rollouts) != set(r.seeds)]
    if silent:
        return f"{' and '.join(silent)} do{'' if len(silent) > 1 else 'es'} not say what training began with"
    if _trained(arm) != _trained(baseline):
        return "another policy was trained, or on other problems"
    other = [s for s in arm.seeds if arm.first_rollouts[s].batch != baseline.first_rollouts[s].batch]
    if other:
        return f"the first batch differs in {len(other)} of {len(arm.seeds)} seeds"
    return None


def same_epochs(arm: Result, baseline: Result) -> int:
    """Of two runs whose seeds are pairs: how many seeds have the same rollouts in the whole first epoch, too."""
    return sum(found.epoch == baseline.first_rollouts[seed].epoch for seed, found in arm.first_rollouts.items())


def _trained(result: Result) -> tuple[object, ...]:
    return result.model, result.training_set, result.problems_sha256, of_policy(result.spec, result.training_set)


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))
