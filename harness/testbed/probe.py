"""What happens on the branch tokens, the words on which the policy chooses its way of working.

Step 1, 2 = first, second branch word of the style that solves the problem (`let`, then `<S>` or `<L>`). A mean over
all tokens hides them: they are a few per cent of a completion.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence

from harness.core.world import Scorer, TrainedRow
from harness.testbed.world import branch_words, suite_problems


def observe(rows: Sequence[TrainedRow], branch_tokens: int) -> dict[str, float]:
    """Net advantage and mask share on the branch words of a batch.

    `branch_advantage_<step>_<distilled|plain>`: sum over a group's rollouts that wrote the word of advantage times
    mask, averaged over the groups with (without) a template. `branch_masked_<step>`: share of such words that the ratio
    mask drops, over templated rollouts.
    """
    groups: dict[str, list[TrainedRow]] = defaultdict(list)
    for row in rows:
        groups[row.problem.id].append(row)
    net: dict[tuple[int, str], list[float]] = defaultdict(list)
    dropped: dict[int, list[float]] = defaultdict(list)
    for group in groups.values():
        kind = "distilled" if any(r.distilled for r in group) else "plain"
        words = branch_words(group[0].problem, branch_tokens)
        for step in range(1, len(words) + 1):
            wrote = [r for r in group if r.rollout.text.split()[:step] == words[:step]]
            kept = [1.0 if r.weights_T is None else r.weights_T[step - 1].item() for r in wrote]
            net[step, kind].append(sum(r.advantage * k for r, k in zip(wrote, kept, strict=True)))
            dropped[step] += [float(k == 0) for r, k in zip(wrote, kept, strict=True) if r.distilled]
    out = {f"branch_advantage_{step}_{kind}": sum(x) / len(x) for (step, kind), x in sorted(net.items())}
    return out | {f"branch_masked_{step}": sum(x) / len(x) for step, x in sorted(dropped.items()) if x}


def probe(policy: Scorer, branch_tokens: int, temperature: float, count: int = 100) -> dict[str, float]:
    """Mean probability of each branch word, given the ones before it, on bare hard problems held out from training.

    `branch_p_<step>` at the training temperature, `branch_p_joint` of all steps, and `branch_p_joint_t1` at
    temperature 1.
    """
    hard = [p for p in suite_problems("tb-id", 2 * count) if p.meta["n"] >= 3][:count]
    words = [branch_words(p, branch_tokens) for p in hard]
    prompts, headers = [p.text for p in hard], [" ".join(w) for w in words]
    probs_P_T = [[math.exp(x) for x in row] for row in policy.score(prompts, headers, temperature)]
    out = {f"branch_p_{t + 1}": statistics.fmean(column) for t, column in enumerate(zip(*probs_P_T, strict=True))}
    out["branch_p_joint"] = statistics.fmean(map(math.prod, probs_P_T))
    logps_P_T = policy.score(prompts, headers, 1.0)
    return out | {"branch_p_joint_t1": statistics.fmean(math.exp(sum(row)) for row in logps_P_T)}
