"""Seeds of two kinds in words: which measures have them, and what their shares say; the same as the columns beside."""

from __future__ import annotations

from harness.data.training_sets import solved_at
from harness.report.tables import p_value, points
from harness.stats.comparison import Arm, Comparison
from harness.stats.seeds import GAP, GAP_SDS

MOST_ARMS = 12
"""Arms of a measure that are named in a sentence."""


def what_solves(c: Comparison) -> list[str]:
    """A note on the measures whose threshold is declared, and one on those at which the scores show two kinds of seeds."""
    notes = []
    declared = solved_at([c.training_set])
    splits = {m.title: split for m in c.measures if (split := c.spreads[m.key].split if m.key in c.spreads else None)}
    seen = {title: split.at for title, split in splits.items() if not (split.declared or split.at == declared)}
    if said := {split.at for title, split in splits.items() if title not in seen}:
        at = " or ".join(points(x) for x in sorted(said))
        notes.append(
            f"Solved: seeds that score at least {at}, as the training set declares: seeds solve a suite or fail, so their "
            "shares decide, not their means."
        )
    if seen:
        named = ", ".join(f"{title} at {points(at)}" for title, at in seen.items())
        notes.append(
            f"Solved: the scores show two kinds of seeds (a gap of {100 * GAP:g} points and {GAP_SDS:g} standard deviations at "
            f"least) and part on {named}; the shares of the upper kind decide, not means."
        )
    return notes


def who_solves(c: Comparison) -> list[str]:
    """For every macro average with two kinds of seeds: how many of each arm's seeds solve it, and whether that is more or fewer
    than of the baseline's, by the adjusted p of the column."""
    notes = []
    base = c.arms[c.baseline]
    for m in c.measures:
        theirs = base.scores[m.key].solved
        if m.protocol is not None or theirs is None or len(c.arms) < 2:
            continue
        said = []
        for arm in c.arms[:MOST_ARMS]:
            own, x = arm.scores[m.key].solved, arm.contrasts.get(m.key)
            if own is None or x is None or x.solved_p is None:
                continue
            p = p_value(x.solved_p)
            word = "not told apart" if x.solved_p >= 0.05 else "more" if own.share > theirs.share else "fewer"
            said.append(f"{arm.label} {own.count} of {len(arm.seeds)} ({word}, p {p})")
        more = f", and {len(c.arms) - MOST_ARMS} more arms" if len(c.arms) > MOST_ARMS else ""
        notes.append(f"{m.title}: {base.label} solves in {theirs.count} of {len(base.seeds)} seeds; {', '.join(said)}{more}.")
    return notes


def would_decide(c: Comparison, arm: Arm, key: str) -> int | None:
    """The seeds an arm at which shares like those measured (one seed of each kind on top) would be decided."""
    from harness.stats.chances import Kinds, shares_to_decide

    split = c.spreads[key].split
    own, theirs = (x.scores[key].solved for x in (arm, c.arms[c.baseline]))
    assert split is not None and own is not None and theirs is not None
    a, b = ((s.count + 1) / (len(x.seeds) + 2) for s, x in ((own, arm), (theirs, c.arms[c.baseline])))
    return shares_to_decide((a, b), Kinds(float(split.low), float(split.high)), c.margin, c.alpha)
