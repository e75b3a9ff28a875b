"""What came out, in plain sentences: of a run, a comparison, a board, a study and a claim, OOD first.

The one place that words results: the terminal, pages, boards, Markdown and `--json` all take their sentences from here. A
Sentence is its text together with the numbers in it; `str()` gives the text, `to_dict()` the object for JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.report import kinds
from harness.report.tables import interval, markdown_cell, points
from harness.stats.chances import MAX_SEEDS
from harness.stats.chances import seeds_to_decide as search
from harness.stats.comparison import Arm, Comparison
from harness.stats.contrasts import Contrast
from harness.stats.judge import Assessment
from harness.stats.scores import Measure

PLACES = {"macro:ood": "out of distribution", "macro:id": "in distribution"}
STANDS = {"gain": "ahead", "loss": "behind", "equivalent": "equivalent", "undecided": "undecided"}
"""How an arm stands to the baseline, by the verdict of its contrast."""
EACH = 4
"""Arms beside the baseline that get a sentence each; of more, those that stand alike share one."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One thing that came out. Numbers are percent points, unrounded.

    `about`: a score, a difference from the baseline, a group of arms that stand alike, a claim, what an effect takes (whose
    size is `points`), samples graded again. `verdict`: how the arms stand
    to `baseline` (ahead, behind, equivalent, undecided), or that on the claim; None of a score. `points`: the score or the
    difference, `low` and `high` its interval at `confidence`, None where there is none. `tokens`: sampled tokens as a multiple
    of the baseline's. `seeds_to_decide`: seeds an arm with which an undecided difference would be decided in four of five
    tries, were it the true one; None where it is decided, or no number up to MAX_SEEDS is enough.
    """

    text: str
    about: Literal["score", "difference", "group", "claim", "effect", "regraded"]
    arms: tuple[str, ...] = ()
    baseline: str | None = None
    measure: str = ""
    verdict: str | None = None
    points: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    tokens: float | None = None
    seeds_to_decide: int | None = None
    condition: str = ""
    """Of a study."""

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def averages(c: Comparison) -> list[Measure]:
    """What sentences are about: the averages over suites, OOD first; failing those, the first suite."""
    found = [m for m in c.measures if m.protocol is None]
    return sorted(found, key=lambda m: m.key != "macro:ood") or list(c.measures[:1])


def main_measure(c: Comparison) -> Measure:
    """The first of the `averages`: what a headline or a picture is about."""
    return averages(c)[0]


def subject(c: Comparison) -> str:
    """What is compared, without a full stop."""
    return f"Model {c.model}, trained on {c.training_set}" if c.trained else "Finished policies, evaluated as they are"


def comparison_sentences(c: Comparison, measures: Sequence[Measure] | None = None) -> list[Sentence]:
    """A sentence for every arm against the baseline, or, of more than EACH, for all that stand alike; of one arm, its score.
    About the `averages`, or other measures."""
    return [s for m in measures or averages(c) for s in _on_measure(c, m)]


def _on_measure(c: Comparison, m: Measure) -> list[Sentence]:
    if len(c.arms) == 1:
        return [score_sentence(c, c.arms[0], m)]
    others = [arm for i, arm in enumerate(c.arms) if i != c.baseline]
    if len(others) <= EACH:
        return [difference_sentence(c, arm, m) for arm in others]
    return group_sentences(c, m)


def study_sentences(comparisons: Mapping[str, Comparison]) -> list[Sentence]:
    """Those of the comparison of every condition, which each names."""
    out = []
    for condition, c in comparisons.items():
        for s in comparison_sentences(c):
            out.append(replace(s, condition=condition, text=f"{condition}: {s.text}") if condition else s)
    return out


def with_sentences(tree: Mapping[str, Any], found: Sequence[Sentence]) -> dict[str, Any]:
    """An object of `--json` with its sentences, which stand first."""
    return {"sentences": [s.to_dict() for s in found], **tree}


def markdown_lines(found: Sequence[Sentence]) -> str:
    """A list in Markdown, a sentence an item."""
    return "".join(f"- {markdown_cell(s.text)}\n" for s in found)


def place(m: Measure) -> str:
    """Where something holds: out of distribution, or on a suite."""
    return PLACES.get(m.key, f"on {m.title}")


def score_sentence(c: Comparison, arm: Arm, m: Measure) -> Sentence:
    """What an arm scores."""
    s = arm.scores[m.key]
    ends = "" if s.low is None or s.high is None else f"; 95%: {interval(s.low, s.high)}"
    faults = "".join(f"; {fault}" for fault in faults_of(c, arm, m))
    return Sentence(
        text=f"{arm.label} scores {points(s.mean)} {place(m)} ({_seeds(len(s.per_seed))}{ends}){faults}.",
        about="score",
        arms=(arm.label,),
        measure=m.key,
        points=100 * s.mean,
        low=_percent(s.low),
        high=_percent(s.high),
        confidence=None if s.low is None else 0.95,
    )


NOTABLE = 0.1
"""The share of samples without an answer, or cut, from which a sentence says so."""


def faults_of(c: Comparison, arm: Arm, m: Measure) -> list[str]:
    """What of a score is no wrong answer: samples without an answer to be found, cut, unreadable for the model, or on which
    the grader failed; of an average, over its suites."""
    suites = [x.key for x in c.measures if x.protocol and (x is m or (m.protocol is None and x.role == m.role))]

    def share(of: Mapping[str, float]) -> float:
        known = [of[name] for name in suites if name in of]
        return sum(known) / len(known) if known else 0.0

    unparsed, cut = share(arm.unparsed), share(arm.truncated)
    overlong, faults = (sum(of.get(name, 0) for name in suites) for of in (arm.overlong, arm.faults))
    found = ["no answer was found in any sample, so it says nothing of the answers"] if unparsed == 1 else []
    found += [f"in {points(unparsed)}% of samples no answer was found"] if NOTABLE <= unparsed < 1 else []
    found += [f"{points(cut)}% of samples were cut at the token limit"] if cut >= NOTABLE else []
    found += [f"{overlong:,} samples have a prompt too long for the model"] if overlong else []
    return found + ([f"the grader failed on {faults:,} samples"] if faults else [])


def difference_sentence(c: Comparison, arm: Arm, m: Measure) -> Sentence:
    """How an arm, which is not the baseline, stands to it: by how much, how sure, at which cost, what would decide it. What is
    amiss with the baseline's own samples is said once, with the first arm."""
    base, x = c.arms[c.baseline], arm.contrasts[m.key]
    ratio, where = arm.ratio["sampled_tokens"], place(m)
    cost = "" if ratio is None else f", at {ratio:.2f} times its sampled tokens" if ratio else ", with no tokens sampled"
    verdict = STANDS[x.verdict or "undecided"]
    needed: int | None = None
    by = f"{points(x.difference, sign=True)} points"
    if x.fixed is None:
        more = " Two seeds an arm are the fewest that show a spread." if x.note.startswith("one seed") else ""
        text = f"Whether {arm.label} is ahead of {base.label} {where} is undecided: {by} ({x.note}){cost}.{more}"
    elif verdict in ("ahead", "behind"):
        ends = (x.fixed.low, x.fixed.high) if verdict == "ahead" else (-x.fixed.high, -x.fixed.low)
        way = "ahead of" if verdict == "ahead" else "behind"
        by = f"by {points(abs(x.difference))} points ({_sure(c)}: {interval(*ends)})"
        text = f"{arm.label} is {way} {base.label} {where} {by}{cost}."
    elif verdict == "equivalent":
        text = f"{arm.label} and {base.label} are equal {where} to within {points(c.margin)}: {_found(c, x)}{cost}."
    else:
        needed = seeds_to_decide(c, arm, m.key)
        tries = "would not decide it" if needed is None else "would decide it in four of five tries"
        decider = f"Were that the true difference, {needed or MAX_SEEDS} seeds an arm {tries}."
        text = f"Whether {arm.label} is ahead of {base.label} {where} is undecided: {_found(c, x)}{cost}. {decider}"
    first = next(a for a in c.arms if a is not base)
    faulty = {a.label: found for a in ((arm, base) if arm is first else (arm,)) if (found := faults_of(c, a, m))}
    return Sentence(
        text=text + "".join(f" {name}: {'; '.join(found)}." for name, found in faulty.items()),
        about="difference",
        arms=(arm.label,),
        baseline=base.label,
        measure=m.key,
        verdict=verdict,
        points=100 * x.difference,
        low=None if x.fixed is None else 100 * x.fixed.low,
        high=None if x.fixed is None else 100 * x.fixed.high,
        confidence=None if x.fixed is None else 1 - c.alpha,
        tokens=ratio,
        seeds_to_decide=needed,
    )


def group_sentences(c: Comparison, m: Measure) -> list[Sentence]:
    """A sentence for the arms that are ahead of the baseline, one for those behind it, the equal and the undecided ones."""
    base = c.arms[c.baseline]
    others = [(arm, arm.contrasts[m.key]) for i, arm in enumerate(c.arms) if i != c.baseline]
    said: dict[str, tuple[str, Callable[[Contrast], str]]] = {
        "ahead": (f"ahead of {base.label}", lambda x: f"by {points(x.difference)}{_ends(x)}"),
        "behind": (f"behind {base.label}", lambda x: f"by {points(-x.difference)}{_ends(x, -1)}"),
        "equivalent": (f"equal to {base.label} to within {points(c.margin)}", lambda x: f"{_signed(x)}"),
        "undecided": ("undecided", lambda x: f"{_signed(x)}"),
    }
    out = []
    for verdict, (words, by) in said.items():
        own = [(arm, x) for arm, x in others if STANDS[x.verdict or "undecided"] == verdict]
        own.sort(key=lambda pair: pair[1].difference, reverse=verdict != "behind")
        if own:
            which = ", ".join(f"{arm.label} ({by(x)})" for arm, x in own)
            are = "is" if len(own) == 1 else "are"
            text = f"{place(m).capitalize()}, {len(own)} of {len(others)} {are} {words}: {which}."
            arms = tuple(arm.label for arm, _ in own)
            out.append(Sentence(text=text, about="group", arms=arms, baseline=base.label, measure=m.key, verdict=verdict))
    return out


def _signed(x: Contrast) -> str:
    return points(x.difference, sign=True) + ("" if x.fixed is None else f"; {interval(x.fixed.low, x.fixed.high, sign=True)}")


def _ends(x: Contrast, way: int = 1) -> str:
    if x.fixed is None:
        return ""
    low, high = sorted((way * x.fixed.low, way * x.fixed.high))
    return f"; {interval(low, high)}"


def _found(c: Comparison, x: Contrast) -> str:
    assert x.fixed is not None
    ends = interval(x.fixed.low, x.fixed.high, sign=True)
    return f"{points(x.difference, sign=True)} points ({_sure(c)}: {ends})"


def _sure(c: Comparison) -> str:
    return f"{100 * (1 - c.alpha):.3g}%"


def _seeds(n: int) -> str:
    return f"{n} seed{'s' * (n != 1)}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def seeds_to_decide(c: Comparison, arm: Arm, key: str) -> int | None:
    """The seeds an arm that would decide an undecided difference, were it the true one; None if MAX_SEEDS would not."""
    x = arm.contrasts[key]
    assert x.fixed is not None
    sizes = len(arm.seeds), len(c.arms[c.baseline].seeds)
    if x.rule == "shares":
        n = kinds.would_decide(c, arm, key)
    else:
        sd = x.fixed.se / math.sqrt(sum(1 / size for size in sizes))
        n = search(x.difference, c.margin, sd, c.alpha)
    return None if n is None else max(n, *sizes)


FOUND = {
    "reproduced": "holds",
    "gain, below the claim": "holds in part, with a smaller gain than claimed",
    "no gain": "does not hold, without a gain that matters",
    "contradicted": "is contradicted by a loss",
    "undecided": "is undecided",
    "not assessable": "could not be assessed",
}
"""What a verdict on a claim says of it."""


def claim_sentence(a: Assessment) -> Sentence:
    """What the runs say of a claim, or what it would take for them to say something."""
    text = f"{a.claim} {FOUND[a.verdict]}"
    if a.difference is not None:
        sure = "" if a.level is None else f"{100 * (1 - a.level):.3g}%: "
        ends = "" if a.fixed is None else f" ({sure}{interval(a.fixed.low / 100, a.fixed.high / 100, sign=True)})"
        counts = list(dict.fromkeys(a.seeds.values()))
        seeds = f" from {' and '.join(map(str, counts))} seeds{' an arm' if len(counts) == 1 else ''}"
        text += f": claimed {a.claimed}, measured {points(a.difference / 100, sign=True)} points{ends}{seeds}"
    elif a.reasons:
        text += f": {'; '.join(a.reasons)}"
    spent = a.spent.get("sampled_tokens")
    ratio = spent[0] / spent[1] if spent and spent[1] else None
    cost = "" if ratio is None else f", at {ratio:.2f} times its baseline's sampled tokens"
    need = f" It would take {a.needs[0]}." if a.needs and a.verdict == "undecided" else ""
    need = f" `harness claim show {a.claim}` says what it would take." if a.verdict == "not assessable" else need
    sides = tuple(a.runs[side] for side in ("arm", "baseline") if side in a.runs)
    return Sentence(
        text=f"{text}{cost}.{need}",
        about="claim",
        arms=sides[:1],
        baseline=sides[1] if len(sides) > 1 else None,
        measure=a.claim,
        verdict=a.verdict,
        points=a.difference,
        low=a.fixed.low if a.fixed else None,
        high=a.fixed.high if a.fixed else None,
        confidence=None if a.level is None else 1 - a.level,
        tokens=ratio,
    )


def claim_sentences(found: Sequence[Assessment]) -> list[Sentence]:
    return [claim_sentence(a) for a in found]
