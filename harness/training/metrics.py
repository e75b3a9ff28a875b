"""What is logged of a batch: rewards, templates, the correction, the gap between trainer and sampler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core.types import Group, Problem, Rollout


@dataclass
class Row:
    """One rollout on its way through the loss. The tensors, shape [T], are None if no forward pass was needed.

    `weights_T` are those of the correction (harness/training/loss.py): 0 drops a token. `bare_logps_T` are the
    log-probabilities under the problem without its hint, if the gradient's prompt has one.
    """

    problem: Problem
    rollout: Rollout
    prompt_ids: list[int]
    advantage: float
    old_logps_T: Tensor | None = None
    weights_T: Tensor | None = None
    bare_logps_T: Tensor | None = None

    @property
    def distilled(self) -> bool:
        return self.rollout.context.rollout != self.rollout.context.train


def batch_metrics(groups: Sequence[Group], rows: Sequence[Row]) -> dict[str, float]:
    """Rewards, all-zero and degenerate groups, templated rows, the correction, and the gap between trainer and sampler.

    `all_zero_before` is the share of groups without a success in their first attempt, among those that began without a hint,
    and `rescued_groups` the share of these that ended with one; `all_zero_groups` is measured at the end, over all groups.
    `hint_reliance` is the mean of log p(y|prompt with hint) - log p(y|prompt without) over the tokens of templated rows,
    `template_diversity` the probability that two such rows have different templates (Simpson's index), `sampler_gap` the mean
    absolute difference between trainer and sampler on untemplated rows, which should be numerical noise. `advantage` is the
    mean absolute advantage, `entropy` a Monte-Carlo estimate: minus the mean log-probability of the sampled tokens.
    """
    count = max(len(rows), 1)
    out = {
        "reward": sum(r.rollout.reward for r in rows) / count,
        "advantage": sum(abs(r.advantage) for r in rows) / count,
        "all_zero_groups": sum(g.successes == 0 for g in groups) / len(groups),
        "degenerate_groups": sum(g.degenerate for g in groups) / len(groups),
        "templated_rollouts": sum(bool(r.rollout.context.template) for r in rows) / count,
        "truncated": sum(r.rollout.truncated for r in rows) / count,
        "tokens_per_rollout": sum(len(r.rollout.tokens_T) for r in rows) / count,
        "entropy": -_mean([x for r in rows for x in r.rollout.logps_T]),
        "grading_faults": float(sum(r.rollout.status in ("timeout", "error") for r in rows)),
        **_rescues(groups),
        **_diversity([r.rollout.context.template for r in rows if r.rollout.context.template]),
    }
    scored = [(r, torch.as_tensor(r.rollout.logps_T) - r.old_logps_T.cpu()) for r in rows if r.old_logps_T is not None]
    templated = [(r, gap_T) for r, gap_T in scored if r.distilled]
    plain = [gap_T.abs() for r, gap_T in scored if not r.distilled]
    gaps = [gap_T for _, gap_T in templated]
    gaps += [torch.as_tensor(r.rollout.logps_T) - r.bare_logps_T for r in rows if r.bare_logps_T is not None]
    if gaps:
        out["hint_reliance"] = _mean(torch.cat(gaps).tolist())
        weights = [r.weights_T for r, _ in templated if r.weights_T is not None]  # set together with old_logps_T
        out["masked_tokens"] = _mean([x == 0 for weights_T in weights for x in weights_T.tolist()])
    if plain:
        out["sampler_gap"] = _mean(torch.cat(plain).tolist())
    return out


def _rescues(groups: Sequence[Group]) -> dict[str, float]:
    begun = []
    for g in groups:
        bare = [r for r in g.discarded + g.rollouts if not r.context.template]
        if bare:
            first = bare[0].context.rollout  # another problem's, where the group turned to a new one
            begun.append((g, any(r.reward >= 1.0 for r in bare if r.context.rollout == first)))
    failed = [g for g, solved in begun if not solved]
    out = {"all_zero_before": len(failed) / len(begun)} if begun else {}
    return out | ({"rescued_groups": sum(g.successes > 0 for g in failed) / len(failed)} if failed else {})


def _diversity(templates: Sequence[str]) -> dict[str, float]:
    n = len(templates)
    if n < 2:
        return {}
    return {"template_diversity": 1 - sum(c * (c - 1) for c in Counter(templates).values()) / (n * (n - 1))}


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)
