"""How the arms of a comparison stand: in sentences, as pictures, and as rows with ranks, OOD and ID side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.report import plots
from harness.report.pages import MOST_ARMS
from harness.report.sentences import STANDS, averages, comparison_sentences, main_measure, place
from harness.report.tables import compact, interval, points
from harness.stats.comparison import Arm, Comparison
from harness.stats.ranks import Rank, ranks_of
from harness.stats.scores import Measure, Score

FEW = 10
"""Arms that are all named in sentences; of more there are counts, and the first names."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the standings: a line, a smaller one below it, and the number it is sorted by (None: last)."""

    text: str
    under: str = ""
    value: float | None = None
    kind: str = ""
    """What it is coloured by: how an arm stands to the baseline."""


@dataclass(frozen=True, kw_only=True)
class Standings:
    """The rows of all arms, in the order of the comparison; `narrow` holds the columns that a phone shows."""

    header: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    narrow: frozenset[int] = field(default_factory=frozenset)
    notes: tuple[str, ...] = ()


def short(m: Measure) -> str:
    """A heading: OOD, ID, or a suite's title."""
    return m.title if m.protocol else m.role.upper()


def question(c: Comparison, policy: str, training_set: str) -> str:
    """What a board asks, as a sentence."""
    where = place(main_measure(c))
    if not c.trained:
        return (
            f"How well does {policy} score {where}?"
            if len(c.arms) == 1
            else f"Which of {len(c.arms)} policies scores highest {where}?"
        )
    if len(c.arms) == 1:
        return f"How well does {policy} score {where}, trained on {training_set}?"
    return f"Which of {len(c.arms)} ways to train {policy} on {training_set} scores highest {where}?"


def answer(c: Comparison) -> list[str]:
    """Who is first and how sure that is; then how the others stand to the baseline: of FEW arms by name, else by count."""
    if len(c.arms) == 1:
        return [str(x) for x in comparison_sentences(c)]
    if len(c.arms) > FEW:
        return [leader(c), *tally(c)]
    return [leader(c), *map(str, comparison_sentences(c, [main_measure(c)]))]


def leader(c: Comparison) -> str:
    """Which arms may be first, by their ranks on the main measure."""
    m = main_measure(c)
    ranks = ranks_of(c, m.key)
    ordered = sorted(c.arms, key=lambda a: -a.scores[m.key].mean)
    if len(ranks) < 2:
        top = ordered[0]
        why = "arms of a single seed, and those that are not results, have no rank"
        return f"{top.label} has the highest score {place(m)}, {points(top.scores[m.key].mean)}, and no arm has a rank: {why}."
    ranked = [a for a in ordered if a.label in ranks]
    top, first = ranked[0], [a for a in ranked if ranks[a.label].best == 1]
    own = points(top.scores[m.key].mean)
    if ranks[top.label].worst == 1:
        rest = ranked[1]
        after = f"the next, {rest.label}, has {points(rest.scores[m.key].mean)}"
        others = "the other" if len(ranked) == 2 else f"all {len(ranked) - 1} others"
        return f"{top.label} is first {place(m)} with {own} points: told apart from {others} ({after})."
    tied = [a.label for a in first if a is not top]
    if len(ranked) == 2:
        low = points(ranked[1].scores[m.key].mean)
        return f"Neither arm is surely first {place(m)}: {top.label} has {own} points, {tied[0]} {low}."
    names = ", ".join(tied[:FEW]) + (f" and {len(tied) - FEW} more" if len(tied) > FEW else "")
    return (
        f"Nobody is surely first {place(m)}: {top.label} has the highest score, {own}, and {len(tied)} of the "
        f"{len(ranked) - 1} others may be first as well ({names})."
    )


def tally(c: Comparison) -> list[str]:
    """How many arms stand how to the baseline."""
    m, base = main_measure(c), c.arms[c.baseline]
    found = [STANDS.get(a.contrasts[m.key].verdict or "", "") for a in c.arms if a is not base]
    words = {
        "ahead": f"ahead by more than {points(c.margin)} points",
        "behind": "behind by more than that",
        "equivalent": "equivalent",
        "undecided": "undecided",
        "": "without an interval",
    }
    parts = [f"{n} {'is' if n == 1 else 'are'} {text}" for key, text in words.items() if (n := found.count(key))]
    if parts and "ahead" not in found:
        parts[0] = parts[0].replace("by more than that", f"by more than {points(c.margin)} points")
    return [f"{_of(len(found))}, against {base.label}: {', '.join(parts)}."] if parts else []


def _of(others: int) -> str:
    return f"Of the {others} others" if others > 1 else "Of the other"


def picture(c: Comparison) -> dict[str, Any]:
    """The scores of every arm on the main measure: seeds, mean and interval, the baseline in a colour of its own; where seeds
    are of two kinds, solved and unsolved ones and the share solved."""
    m = main_measure(c)
    marks = [_mark(c, i, arm.scores[m.key]) for i, arm in enumerate(c.arms[:MOST_ARMS])]
    more = f"; the first {MOST_ARMS} of {len(c.arms)} arms" if len(c.arms) > MOST_ARMS else ""
    if any(mark.solved for mark in marks):
        said = "dots: seeds, full if solved; to the right the share solved, 95% exact"
    elif any(mark.low is not None for mark in marks):
        said = "dots: seeds; bar: mean and its 95% interval on new questions"
    else:
        said = "dots: seeds; upright bar: mean"
    title = f"{m.title} of every arm; {said}{_orange(c)}{more}"
    return {"title": title, "svg": _markup(plots.dots([(short(m), marks)], "score, percent points"))}


def _orange(c: Comparison) -> str:
    return f"; orange: {c.arms[c.baseline].label}, the baseline" if len(c.arms) > 1 else ""


def _mark(c: Comparison, i: int, s: Score) -> plots.Mark:
    x, at = s.solved, [100 * v for v in s.per_seed.values()]
    shade = int(i == c.baseline and len(c.arms) > 1)
    if x:
        share = plots.Share(100 * x.at, x.count, 100 * x.share, 100 * x.low, 100 * x.high)
        return plots.Mark(c.arms[i].label, at, shade, 100 * s.mean, solved=share)
    ends = (None, None) if s.low is None or s.high is None else (100 * s.low, 100 * s.high)
    return plots.Mark(c.arms[i].label, at, shade, 100 * s.mean, *ends)


def cost_picture(c: Comparison) -> list[dict[str, Any]]:
    """The main measure over sampled tokens; named are the baseline and the arms that none beats at no more tokens. None if
    nothing was sampled for training."""
    m = main_measure(c)
    spots = [(arm.budget["sampled_tokens"], arm.scores[m.key].mean) for arm in c.arms]
    if len(c.arms) < 2 or not any(tokens for tokens, _ in spots):
        return []
    best = frontier(spots)
    dots = [
        plots.Spot(
            x,
            100 * y,
            [],
            int(i == c.baseline),
            two_kinds=c.arms[i].scores[m.key].solved is not None,
            label=c.arms[i].label if i in best or i == c.baseline else "",
        )
        for i, (x, y) in enumerate(spots)
    ]
    title = f"{m.title} over cost; named: arms that none beats at as many tokens or fewer, and the baseline"
    return [{"title": title, "svg": _markup(plots.scatter(dots, "sampled tokens per seed", "score, percent points", 3.6))}]


def frontier(spots: Sequence[tuple[float, float]]) -> set[int]:
    """Of (cost, score), the indices of those that no other one beats: none has at least the score for at most the cost, and
    more of one or less of the other."""
    return {
        i
        for i, (x, y) in enumerate(spots)
        if not any(a <= x and b >= y and (a, b) != (x, y) for j, (a, b) in enumerate(spots) if j != i)
    }


def _markup(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)


def standings(c: Comparison, evidence: Sequence[str]) -> Standings:
    """A row per arm; `evidence` is what each arm's figures rest on."""
    measures, ranks = averages(c), ranks_of(c, main_measure(c).key)
    several = len(c.arms) > 1
    solving = any(arm.scores[m.key].solved for arm in c.arms for m in measures)
    header = [*(["rank"] if several else []), "arm", *map(short, measures)]
    narrow = set(range(len(header)))
    header += [*(["solved"] if solving else []), *(["against baseline"] if several else [])]
    narrow |= {len(header)}
    header += ["tokens", "seeds", "evidence"]
    rows = []
    for arm, level in zip(c.arms, evidence, strict=True):
        row = [_rank(ranks.get(arm.label))] if several else []
        row += [Cell(text=arm.label, under="not a result" if arm.not_a_result else "")]
        row += [_score(arm.scores[m.key]) for m in measures]
        row += [_solved(arm.scores[measures[0].key])] if solving else []
        row += [_against(c, arm, measures[0])] if several else []
        row += [_tokens(c, arm), Cell(text=str(len(arm.seeds)), value=len(arm.seeds)), Cell(text=level)]
        rows.append(tuple(row))
    return Standings(header=tuple(header), rows=rows, narrow=frozenset(narrow), notes=tuple(_notes(c, measures[0])))


def _rank(rank: Rank | None) -> Cell:
    if rank is None:
        return Cell(text="none")
    return Cell(text=str(rank), value=rank.best + rank.worst / 1000)


def _score(s: Score) -> Cell:
    ends = "" if s.low is None or s.high is None else interval(s.low, s.high)
    return Cell(text=points(s.mean), under=ends, value=s.mean)


def _solved(s: Score) -> Cell:
    return Cell(text=f"{s.solved.count}/{len(s.per_seed)}", value=s.solved.share) if s.solved else Cell(text="")


def _against(c: Comparison, arm: Arm, m: Measure) -> Cell:
    if arm is c.arms[c.baseline]:
        return Cell(text="baseline", value=0.0, kind="baseline")
    x = arm.contrasts[m.key]
    how = STANDS.get(x.verdict or "", "no interval")
    return Cell(text=points(x.difference, sign=True), under=how, value=x.difference, kind=how.replace(" ", "-"))


def _tokens(c: Comparison, arm: Arm) -> Cell:
    spent, ratio = arm.budget["sampled_tokens"], arm.ratio["sampled_tokens"]
    under = "" if ratio is None or arm is c.arms[c.baseline] else f"×{ratio:.2f}"
    return Cell(text=compact(spent), under=under, value=spent)


def _notes(c: Comparison, m: Measure) -> list[str]:
    notes = [
        "Scores in percent points, below them 95% intervals for new questions. Tokens: sampled per seed, with prompt search."
    ]
    if len(c.arms) > 1:
        base = c.arms[c.baseline].label
        notes.insert(
            0,
            f"Rank: the places on {short(m)} that an arm may have; all hold together with 95% confidence, by tests of every "
            f"pair (Holm). Against baseline: {short(m)} minus that of {base}; ahead and behind by more than "
            f"{points(c.margin)} points, with {100 * (1 - c.alpha):.3g}% confidence each.",
        )
    return notes
