"""A comparison as tables: for the terminal, pages, in Markdown and LaTeX, all with the same cells.

Scores, shares in the comparison, are shown in percent points with one decimal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.report import kinds
from harness.report.robust import robust_table
from harness.report.sentences import comparison_sentences, markdown_lines, seeds_to_decide, subject
from harness.report.tables import (
    Table,
    compact,
    interval,
    latex_cell,
    markdown_cell,
    p_value,
    points,
    seconds,
)
from harness.stats.arms import PROTOCOL
from harness.stats.budgets import BUDGET
from harness.stats.chances import MAX_SEEDS
from harness.stats.comparison import Arm, Comparison
from harness.stats.scores import Score


def tables(c: Comparison) -> list[Table]:
    """Scores, tests and robust views (if there are several arms), budgets, protocol."""
    return [scores_table(c), *several_tables(c), budget_table(c), protocol_table(c)]


def several_tables(c: Comparison) -> list[Table]:
    """What there is to say of several arms alone: tests, and robust views over the suites of each role."""
    tests = [tests_table(c)] if len(c.arms) > 1 else []
    return [*tests, robust_table(c)] if any(arm.robust for arm in c.arms) else tests


def to_markdown(c: Comparison, title: str = "Comparison") -> str:
    stamps = [f"> **Not a result.** {markdown_cell(stamp)}\n" for stamp in c.stamps]
    head = f"{markdown_cell(subject(c))}.\n"
    said = markdown_lines(comparison_sentences(c))
    return "\n".join([f"# {markdown_cell(title)}\n", *stamps, said, head, *(table.to_markdown() for table in tables(c))])


def to_latex(c: Comparison) -> str:
    """All tables; they need the packages booktabs and xcolor."""
    stamps = [f"% not a result: {latex_cell(stamp)}" for stamp in c.stamps]
    head = ["% \\usepackage{booktabs,xcolor}", *stamps]
    return "\n".join([*head, *(table.to_latex() for table in tables(c))])


def scores_table(c: Comparison) -> Table:
    """A row per measure and arm: score, spread, ties, then the contrast to the baseline with both of its intervals."""
    several = len(c.arms) > 1
    solving = any(s.solved for arm in c.arms for s in arm.scores.values())
    header = ["measure", "arm", "score", "sd", "seeds", *(["solved"] if solving else [])]
    header += (
        ["ties", "difference", "these questions", "new questions", "verdict", "p adj.", "MDE 80%"]
        if several
        else ["95% interval"]
    )
    two_graders = any(arm.disagreement for arm in c.arms)
    faulty = any(count for arm in c.arms for count in arm.faults.values())
    header += [*(["sampled tokens"] if several else []), "truncated", "unparsed", *(["faults"] if faulty else [])]
    header += ["graders differ"] if two_graders else []
    rows: list[tuple[str, ...]] = []
    bold, grey = set(), set()
    for m in c.measures:
        for i, arm in enumerate(c.arms):
            s = arm.scores[m.key]
            if len(s.per_seed) == 1:
                grey.add(len(rows))
            if several and best(c, m.key) is arm:
                bold.add((len(rows), 2))
            sd = "1 seed" if s.sd is None else points(s.sd)
            row = [m.title if i == 0 else "", arm.label, points(s.mean), sd, str(len(s.per_seed))]
            row += [_count(s)] if solving else []
            row += [s.ties, *contrast_cells(arm, m.key), _ratio(c, arm)] if several else [interval_cell(s.low, s.high)]
            row += [_share(arm.truncated, m.key), _share(arm.unparsed, m.key)]
            row += [str(arm.faults.get(m.key, ""))] if faulty else []
            rows.append((*row, *([_share(arm.disagreement, m.key)] if two_graders else [])))
    notes = [
        "Percent points. sd: sample standard deviation over seeds. truncated: samples that hit the token limit; unparsed: "
        "without an answer to be found."
    ]
    notes += kinds.what_solves(c)
    if several:
        notes += _contrast_notes(c)
    else:
        notes.append("95% interval: for new questions and, if there are several seeds, new seeds.")
    if grey:
        notes.append("Grey: a single seed shows no spread, so there is no interval and no tie group.")
    notes += arm_notes(c)
    notes += [f"{arm.label} is not a result: {arm.not_a_result}." for arm in c.arms if arm.not_a_result]
    notes += [*fault_notes(c), *overlap_notes(c)]
    align = "ll" + "r" * (len(header) - 2)
    return Table(
        title="Scores",
        header=tuple(header),
        align=align,
        rows=rows,
        notes=tuple(notes),
        bold=frozenset(bold),
        grey=frozenset(grey),
    )


def best(c: Comparison, key: str) -> Arm | None:
    """The arm that is ahead of all others; None if it is tied with one, has a single seed, or is not a result."""
    ranked = sorted((a for a in c.arms if a.scores[key].ties), key=lambda a: -a.scores[key].mean)
    if len(ranked) < 2 or ranked[0].not_a_result:
        return None
    from harness.stats.multiple import letters_of

    taken = letters_of("".join(a.scores[key].ties for a in ranked[1:]))
    single = max((a.scores[key].mean for a in c.arms if not a.scores[key].ties), default=-math.inf)
    ahead = not taken & letters_of(ranked[0].scores[key].ties) and ranked[0].scores[key].mean > single
    return ranked[0] if ahead else None


def _contrast_notes(c: Comparison) -> list[str]:
    from harness.stats.intervals import RESAMPLES

    name, margin = c.arms[c.baseline].label, points(c.margin)
    notes = [
        f"Difference from {name}, with {100 * (1 - c.alpha):.3g}% intervals: on these questions, from the spread over seeds; "
        "on new questions, from seeds and paired questions. MDE: the effect that had an 80% chance of being detected.",
        f"Verdict on these questions: gain or loss, the interval lies beyond {margin} points; equivalent, within them (two "
        "one-sided tests); otherwise undecided.",
        *_what_would_decide(c),
        *_pairs(c),
        "† p below .05 after correction: Holm over arms for macro averages, Benjamini-Hochberg for suites, which are "
        "exploratory. ‡ the interval for new questions excludes 0, too. Arms that share a letter are tied.",
        f"sampled tokens: relative to {name}; generated and reflection tokens.",
    ]
    if named := [f"{m.families} of {m.title}" for m in c.measures if m.families]:
        notes.append(f"Where questions come in families ({', '.join(named)}), new questions are of new families.")
    if any(s.kind for arm in c.arms for s in arm.scores.values()):
        notes.append(f"p questions: {RESAMPLES:,} seeded sign flips; it says nothing about other training seeds.")
    else:
        notes.append("Without samples there are no statistics over questions.")
    if c.look:
        notes.append(f"{c.look.capitalize()}.")
    pooled = [f"{m.title} {points(c.seed_sd[m.key].sd)}" for m in c.measures if m.protocol is None and m.key in c.seed_sd]
    if pooled:
        df = next(iter(c.seed_sd.values())).df
        notes.append(f"Seed standard deviation, pooled over arms ({df} degrees of freedom): {', '.join(pooled)}.")
    return notes


def _pairs(c: Comparison) -> list[str]:
    """Which arms' seeds are pairs with the baseline's, and why the others are not."""
    name = c.arms[c.baseline].label
    pairs = [f"{a.label} (the whole first epoch is, in {a.pairs} of {len(a.seeds)})" for a in c.arms if a.pairs is not None]
    notes = []
    if pairs:
        notes.append(f"Seeds are paired with those of {name}, as their first batches are the same: {', '.join(pairs)}.")
    if pairs and any(s.split for s in c.spreads.values()):
        notes.append("Where seeds end in one of two ways, shares are compared, without pairs.")
    return notes + [f"{a.label}'s seeds are not paired with those of {name}: {a.unpaired}." for a in c.arms if a.unpaired]


MOST_NOTES = 12
"""Undecided differences for which the notes say what would decide them."""


def _what_would_decide(c: Comparison) -> list[str]:
    """For the macro averages: the seeds at which an undecided difference would be decided, were it the true one."""
    parts: list[str] = []
    for m in c.measures:
        for arm in c.arms:
            x = arm.contrasts.get(m.key)
            if m.protocol is None and x and x.fixed and x.verdict == "undecided" and len(parts) < MOST_NOTES:
                n = seeds_to_decide(c, arm, m.key)
                parts.append(f"{arm.label} on {m.title} {f'more than {MAX_SEEDS}' if n is None else n}")
    return [f"Seeds an arm that would decide, were the difference as measured: {', '.join(parts)}."] if parts else []


def tests_table(c: Comparison) -> Table:
    """A row per measure and arm: interval of the score, tests of the difference, seeds that solved the suite."""
    solving = any(s.solved for arm in c.arms for s in arm.scores.values())
    header = ["measure", "arm", "95% interval", "kind", "rule", "p seeds", "p adj.", "correction", "p questions", "test"]
    notes = ["Intervals of scores are for new questions and, if there are several seeds, new seeds."]
    if solving:
        header += ["solved", "95% exact", "p solved"]
        notes.append(
            "Solved: seeds of the upper kind, with the Clopper-Pearson interval of their share; p solved: Boschloo's exact "
            "test against the baseline, corrected like p adj."
        )
        notes += kinds.who_solves(c)
    rows: list[tuple[str, ...]] = []
    grey = set()
    for m in c.measures:
        for i, arm in enumerate(c.arms):
            s, x = arm.scores[m.key], arm.contrasts.get(m.key)
            if len(s.per_seed) == 1:
                grey.add(len(rows))
            row = [m.title if i == 0 else "", arm.label, interval_cell(s.low, s.high), s.kind]
            tests = (x.rule, x.p, x.p_adjusted, x.correction, x.question_p, x.question_test) if x else ("",) * 6
            row += [v if isinstance(v, str) else p_value(v) for v in tests]
            if solving:
                exact = interval(s.solved.low, s.solved.high) if s.solved else ""
                row += [_count(s), exact, p_value(x.solved_p) if x and s.solved else ""]
            rows.append(tuple(row))
    align = "llrllrrlrl" + "r" * (len(header) - 10)
    return Table(title="Tests", header=tuple(header), align=align, rows=rows, notes=tuple(notes), grey=frozenset(grey))


def overlap_notes(c: Comparison) -> list[str]:
    """A line per suite with flagged problems: the arms' scores without these."""
    out = []
    for m in c.measures:
        if m.protocol and m.flagged:
            scores = [(arm.label, arm.scores[m.key].clean) for arm in c.arms]
            clean = ", ".join(f"{label} {points(score)}" for label, score in scores if score is not None)
            share = f"{m.flagged} of {m.protocol['n']} problems match training problems"
            out.append(f"{m.title}: {share}; without them {clean or 'none is left'}.")
    return out


def fault_notes(c: Comparison) -> list[str]:
    """A line for everything that a score alone would hide: no answer found at all, prompts too long."""
    out = []
    for arm in c.arms:
        titles = {m.key: m.title for m in c.measures}
        if silent := [titles[name] for name, share in arm.unparsed.items() if share == 1.0]:
            out.append(
                f"{arm.label}: all samples of {', '.join(silent)} are unparsed, so the score says nothing of the answers."
            )
        for name, count in arm.overlong.items():
            if count:
                out.append(f"{arm.label}, {titles[name]}: {count} samples have a prompt too long for the model; they score 0.")
    return out


def arm_notes(c: Comparison) -> list[str]:
    """A line for everything to know of an arm beside its scores: unequal budgets, what was allowed to differ, reflections
    dropped, problems without a hint."""
    out = [f"{arm.label}, unequal budget: {_unequal(arm)} per seed." for arm in c.arms if arm.unequal]
    out += [f"The arms differ in {what}, allowed by --allow-different." for what in c.allowed]
    for arm in c.arms:
        if arm.dropped:
            why = "cut at the limit, reasoning without a reply, or a prompt too long for the model that reflects"
            out.append(f"{arm.label}: {arm.dropped:,} of {arm.reflections:,} reflections were dropped: {why}.")
        if arm.hints:
            out.append(f"{arm.label}: {arm.hints}.")
    return out


def _unequal(arm: Arm) -> str:
    return ", ".join(f"{BUDGET[key]} {compact(a)} against {compact(b)}" for key, (a, b) in arm.unequal.items())


def contrast_cells(arm: Arm, key: str) -> list[str]:
    if key not in arm.contrasts:
        return ["baseline", "", "", "", "", ""]
    x = arm.contrasts[key]
    ends = ["" if b is None else interval(b.low, b.high, sign=True) for b in (x.fixed, x.new)]
    if not ends[0]:
        ends[0] = x.note.partition(":")[0]
    mde = "" if x.mde is None else points(x.mde)
    return [points(x.difference, sign=True) + x.mark, *ends, x.verdict or "", p_value(x.p_adjusted), mde]


def _count(s: Score) -> str:
    """Solved seeds of all; empty where seeds are not of two kinds."""
    return f"{s.solved.count}/{len(s.per_seed)}" if s.solved else ""


def interval_cell(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else interval(low, high)


def _share(shares: Mapping[str, float], key: str) -> str:
    return points(shares[key]) if key in shares else ""


def _ratio(c: Comparison, arm: Arm) -> str:
    """Sampled tokens as a multiple of the baseline's."""
    ratio = arm.ratio["sampled_tokens"]
    return "" if ratio is None or arm is c.arms[c.baseline] else f"×{ratio:.2f}"


def budget_table(c: Comparison) -> Table:
    """A row per arm: what a seed spent on average, and the ratio to the baseline."""

    def cell(arm: Arm, key: str) -> str:
        text = seconds(arm.budget[key]) if key == "wall_seconds" else compact(arm.budget[key])
        ratio = arm.ratio[key]
        return text if ratio is None or arm is c.arms[c.baseline] else f"{text}\n×{ratio:.2f}"

    rows = [(arm.label, *(cell(arm, key) for key in BUDGET)) for arm in c.arms]
    note = "Training and prompt search, mean over seeds; without evaluation. Sampled tokens: generated and reflection tokens."
    if len(c.arms) > 1:
        note += f" ×: relative to {c.arms[c.baseline].label}."
    return Table(
        title="Budget per seed", header=("arm", *BUDGET.values()), align="l" + "r" * len(BUDGET), rows=rows, notes=(note,)
    )


def protocol_table(c: Comparison) -> Table:
    """A row per suite: how all arms were measured."""
    role = {"id": "ID", "ood": "OOD", "other": "other"}
    rows = [(m.key, role[m.role], *(f"{m.protocol[key]:g}" for key in PROTOCOL)) for m in c.measures if m.protocol]
    header = ("suite", "role", "problems", "samples per problem", "temperature", "max new tokens")
    return Table("How it was measured", header, "llrrrr", rows)
