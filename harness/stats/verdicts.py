"""What an estimated difference decides, given the smallest difference that matters: the margin.

docs/statistics.md has the rules, and how often each verdict is right and wrong (measured).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from harness.stats.intervals import Estimate

Outcome = Literal["gain", "loss", "equivalent", "undecided"]
Verdict = Literal[
    "reproduced",
    "gain, below the claim",
    "no gain",
    "contradicted",
    "undecided",
    "not assessable",
]
VERDICTS: tuple[str, ...] = get_args(Verdict)
MARGIN = 1.0
"""The smallest difference of interest in percent points, unless a board, a claim or `--margin` has another."""


def outcome(e: Estimate, margin: float, alpha: float = 0.05) -> Any:
    """The verdict on a difference, in the units of the estimate; an array of them for an array of estimates.

    gain: the interval lies above the margin; loss: below minus the margin; each is wrong in alpha / 2 of cases at most.
    equivalent: the interval at 1 - 2 alpha lies within the margins, which is two one-sided tests (Schuirmann 1987), each at
    alpha. undecided: anything else. A margin of 0 leaves no room for equivalent.
    """
    low, high = e.interval(alpha)
    narrow = e.interval(2 * alpha)
    within = (narrow[0] > -margin) & (narrow[1] < margin)
    return _chosen([(low > margin, "gain"), (high < -margin, "loss"), (within, "equivalent")])


def on_claim(e: Estimate, effect: float, margin: float, published: Estimate | None = None, alpha: float = 0.05) -> Any:
    """The verdict on a claimed gain `effect` > `margin`, from the measured gain.

    A gain (as in `outcome`) reproduces the claim unless the claimed number lies above the interval of `published`: what a
    repetition of the publication may be expected to find (`prediction`; by default the measured interval itself). no gain:
    a gain of the margin or more is rejected at `alpha`, one-sided. contradicted: a loss.
    """
    low, high = e.interval(alpha)
    ceiling = (published or e).interval(alpha)[1]
    return _chosen(
        [
            ((low > margin) & (effect <= ceiling), "reproduced"),
            (low > margin, "gain, below the claim"),
            (high < -margin, "contradicted"),
            (e.interval(2 * alpha)[1] < margin, "no gain"),
        ]
    )


SAVING = 0.95
"""A share of the baseline's tokens above this is no saving: budgets within 5% count as equal."""


def on_tokens(e: Estimate, tokens: Estimate, share: float, margin: float, alpha: float = 0.05) -> Any:
    """The verdict on "the same score with `share` of the tokens", from the difference of scores and that of log tokens.

    reproduced: a loss of the margin or more is rejected, the arm spends less, and the claimed share is not below the interval
    of what it spends. gain, below the claim: the same, but it saves less than claimed. contradicted: a loss of score. no gain:
    a saving that brings tokens below SAVING is rejected.
    """
    import numpy as np

    low, high = e.interval(alpha)
    spent_low, spent_high = tokens.interval(alpha)
    kept = low > -margin
    saved = spent_high < np.log(SAVING)
    return _chosen(
        [
            (high < -margin, "contradicted"),
            (kept & saved & (spent_low <= np.log(share)), "reproduced"),
            (kept & saved, "gain, below the claim"),
            (spent_low > np.log(SAVING), "no gain"),
        ]
    )


def _chosen(rules: list[tuple[Any, str]]) -> Any:
    import numpy as np

    found = np.select([np.asarray(holds) for holds, _ in rules], [name for _, name in rules], "undecided")
    return found if found.ndim else str(found)


def prediction(e: Estimate, seeds: tuple[int, int], published_seeds: int, apart: Estimate | None = None) -> Estimate:
    """What `published_seeds` seeds an arm of the same process would measure, from ours with `seeds` (Spence and Stanley 2016).

    The variance of a seed is read off ours, of both arms alike. `apart`: where ours are pairs, the estimate without pairing,
    which tells how much seeds of a publication scatter that are none.
    """
    import numpy as np

    from harness.stats.intervals import Estimate

    seed_variance = np.asarray((apart or e).se) ** 2 / (1 / seeds[0] + 1 / seeds[1])
    return Estimate(e.value, np.sqrt(e.se**2 + 2 * seed_variance / published_seeds), e.df, e.rule, e.centre)
