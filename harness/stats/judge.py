"""The verdict on a claim from its evidence; docs/statistics.md has the rules."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.runs.spec import PLANTED
from harness.stats.budgets import BUDGET, SPENT, budget_of, mismatched
from harness.stats.contrasts import Bounds, bounds
from harness.stats.evidence import ArmCells, Evidence
from harness.stats.looks import in_words, level_at
from harness.stats.needs import seeds_line
from harness.stats.pairing import unpaired
from harness.stats.verdicts import Verdict, on_claim, on_tokens, prediction

if TYPE_CHECKING:
    from harness.stats.intervals import Estimate

SIDES = ("arm", "baseline")


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A claim and what the runs say about it; scores, differences and intervals are percent points.

    The intervals `fixed` (these questions) and `new` (new questions) have confidence 1 - `level`; `level` is `alpha`, or what
    it leaves for this one of the claim's `looks`. Both rest on `rule` (harness/stats/seeds.py). `published`: what a repetition
    of the publication, with its number of seeds, may be expected to find. `tokens`: the interval of the share of the
    baseline's tokens that the arm spent, for a claim about it. `spent`: what arm and baseline spent per seed, by field of the
    ledger. `look` says in words which of the planned looks this is. `modifiers` maps each modifier to its reason. `reasons`
    say why a claim was not assessed, `needs` what it would take. `missing`: an arm has no run.
    """

    claim: str
    text: str
    effect: float
    claimed: str
    verdict: Verdict
    runs: dict[str, str]
    seeds: dict[str, int]
    scores: dict[str, float] = field(default_factory=dict)
    difference: float | None = None
    fixed: Bounds | None = None
    new: Bounds | None = None
    published: Bounds | None = None
    tokens: tuple[float, float] | None = None
    spent: dict[str, tuple[float, float]] = field(default_factory=dict)
    look: str = ""
    rule: str = ""
    level: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    modifiers: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    expected: Verdict | None = None
    missing: bool = False

    def as_expected(self, named: bool) -> bool | None:
        """None if the claim expects no verdict, or if it was not `named` on the command line and has no run."""
        if self.expected is None or (self.missing and not named):
            return None
        return self.verdict == self.expected


def budget_lines(off: Mapping[str, tuple[float, float]]) -> list[str]:
    return [f"{BUDGET[key]} {a:,.0f} against {b:,.0f} per seed" for key, (a, b) in off.items()]


@dataclass(frozen=True)
class _Gain:
    """The gain as a share: on these questions, on new ones, and as a repetition of the publication would find it."""

    fixed: Estimate
    new: Estimate
    published: Estimate


def _gain(x: Evidence, cells: ArmCells, without: Mapping[str, set[str]] | None = None) -> _Gain:
    """From the cells; `without` are problems that they leave out."""
    from harness.stats import intervals, seeds

    a_S, b_S = (np.asarray(sum(y_S_Q.mean(-1) for y_S_Q in arm)) / len(arm) for arm in cells)
    floor = seeds.resolution(x.answers)
    spread = seeds.spread_of([a_S, b_S], floor, x.claim.solved_at)
    fixed = seeds.difference(a_S, b_S, spread, x.pairs)
    new = intervals.question_difference(*cells, these=fixed, clusters=x.families(without))
    apart = seeds.difference(a_S, b_S, spread)  # whether the publication's seeds were pairs is not known
    return _Gain(fixed, new, prediction(fixed, (len(a_S), len(b_S)), x.claim.published_seeds, apart))


def _verdict(x: Evidence, gain: _Gain, level: float) -> Verdict:
    claim = x.claim
    if claim.tokens is not None:
        found: Verdict = on_tokens(gain.fixed, _tokens(x), claim.tokens, claim.margin / 100, level)
    else:
        found = on_claim(gain.fixed, claim.effect / 100, claim.margin / 100, gain.published, level)
    return found


def _tokens(x: Evidence) -> Estimate:
    """The logarithm of the share of the baseline's sampled tokens that the arm spent, over seeds."""
    from harness.stats import seeds

    logs = [np.log([max(1, r.ledgers[seed].sampled_tokens) for seed in r.seeds]) for r in x.results]
    return seeds.difference(logs[0], logs[1], seeds.Spread(floor=0.001), x.pairs)


def judge(x: Evidence, alpha: float) -> Assessment:
    """The verdict on a claim at `alpha`, the level of all its looks together."""
    claim = x.claim
    counts = {side: len(r.seeds) for side, r in zip(SIDES, x.results, strict=True)}
    level = level_at(min(counts.values()), claim.looks, alpha)
    gain = _gain(x, x.own_cells)
    found = _verdict(x, gain, level)
    scores = {side: 100 * float(sum(y.mean() for y in own)) / len(own) for side, own in zip(SIDES, x.own_cells, strict=True)}
    tokens = None
    if claim.tokens is not None:
        low, high = _tokens(x).interval(level)
        tokens = (math.exp(float(low)), math.exp(float(high)))
    ours, theirs = map(budget_of, x.results)
    sd = 100 * float(gain.fixed.se) / math.sqrt(sum(1 / n for n in counts.values()))
    return Assessment(
        claim=claim.name,
        text=claim.text,
        effect=claim.effect,
        claimed=claim.claimed,
        verdict=found,
        runs={side: r.run for side, r in zip(SIDES, x.results, strict=True)},
        seeds=counts,
        scores=scores,
        difference=100 * float(gain.fixed.value),
        fixed=bounds(gain.fixed, level, 100),
        new=bounds(gain.new, level, 100),
        published=bounds(gain.published, level, 100),
        tokens=tokens,
        spent={key: (ours[key], theirs[key]) for key in SPENT},
        look=in_words(min(counts.values()), claim.looks, alpha) if claim.looks else "",
        rule=gain.fixed.rule,
        level=level,
        p=float(gain.fixed.p()),
        modifiers=_modifiers(x, gain, found, level, scores["baseline"]),
        needs=(seeds_line(claim, [sd], "the given runs"),) if found == "undecided" else (),
        expected=claim.expected,
    )


def _modifiers(x: Evidence, gain: _Gain, found: Verdict, level: float, baseline: float) -> dict[str, str]:
    """What qualifies the verdict `found`: new questions, size, pairs and kinds of seeds, the other grader, flagged problems,
    budgets, checkpoints."""
    claim = x.claim
    modifiers: dict[str, str] = {}
    ends = {"fixed": gain.fixed.interval(level), "new": gain.new.interval(level), "published": gain.published.interval(level)}
    if found in ("reproduced", "gain, below the claim") and not claim.tokens and ends["new"][0] > 0:
        modifiers["generalises"] = "the interval for new questions lies above 0, too"
    if found == "reproduced" and ends["published"][0] > claim.effect / 100 > 0:
        modifiers["larger"] = "the gain is larger than a repetition of the publication would find"
    if found == "undecided" and ends["published"][1] < claim.effect / 100:
        modifiers["below-the-claim"] = "the gain is smaller than claimed; whether it matters is open"
    if x.claim.paired and (why := unpaired(*x.results)):
        modifiers["not-paired"] = f"its seeds were to be paired, and are not: {why}"
    if named := [f"{n} of {name}" for name, n in x.counts.items()]:
        modifiers["new-families"] = f"new questions are of new families: there are {', '.join(named)}"
    if gain.fixed.rule == "shares":
        modifiers["two-kinds-of-seeds"] = "seeds solve the suites or do not, so the shares of solved seeds are compared"
    other = "parity" if claim.grader == "primary" else "primary"
    if (cells := x.cells(other)) and (would := _verdict(x, _gain(x, cells), level)) != found:
        modifiers["grader-sensitive"] = f"under the {other} grader: {would}"
    if count := sum(map(len, x.flagged.values())):
        if cells := x.cells(claim.grader, without=x.flagged):
            would = _verdict(x, _gain(x, cells, x.flagged), level)
            modifiers["contaminated"] = f"{count} problems match training problems; without them: {would}"
    if all(PLANTED in r.spec for r in x.results):
        a, b = (statistics.fmean(r.spec[PLANTED]["scores"][name] for name in claim.suites) for r in x.results)
        modifiers["planted"] = f"no result: its true difference of avg@k is {100 * (a - b):+.2f} points"
    off = mismatched(*(budget_of(r) for r in x.results))
    if claim.tokens:
        off.pop("sampled_tokens", None)  # what the claim is about
    if off:
        modifiers["budget-mismatch"] = "; ".join(budget_lines(off))
    if claim.checkpoint == "selected":
        modifiers["checkpoint-selected"] = "the published scores come from a selected checkpoint, these from the last"
    if claim.scores and claim.tolerance and abs(baseline - claim.scores.baseline) > claim.tolerance:
        off_by = f"{claim.tolerance:g} points are its sampling error"
        modifiers["baseline-differs"] = f"it scores {baseline:.1f}, published: {claim.scores.baseline:.1f}; {off_by}"
    return modifiers
