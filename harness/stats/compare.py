"""Finished runs beside each other: scores with their spread over seeds, paired differences, budgets.

Scores are shares in [0, 1] in the objects and in JSON, percent points with one decimal in text. The statistics are those
of harness/stats/intervals.py, and docs/statistics.md says which number is what.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UsageError
from harness.core.tables import (
    Table,
    compact,
    interval,
    latex_cell,
    markdown_cell,
    p_value,
    points,
    print_to_terminal,
    seconds,
    visible,
)
from harness.runs.result import load_result
from harness.stats.arms import PROTOCOL, check_identity, find_baseline, labels

if TYPE_CHECKING:
    from rich.console import Group

    from harness.stats.intervals import Array, Estimate
    from harness.stats.questions import Questions

BUDGET = {
    "rollouts": "rollouts",
    "generated_tokens": "generated tokens",
    "trained_tokens": "trained tokens",
    "reflection_tokens": "reflection tokens",
    "optimiser_steps": "optimiser steps",
    "wall_seconds": "wall time",
}
"""Ledger fields of a comparison, and what they are called."""
WIDTH = 150
"""Columns of a comparison where the terminal does not say."""
EQUAL = (0.95, 1.05)
"""A budget whose ratio to the baseline's lies in here counts as equal."""


@dataclass(frozen=True)
class Solved:
    """How many seeds scored at least `at`, with the exact 95% interval of that share (Clopper and Pearson 1934)."""

    at: float
    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """One arm on one measure. `sd` is the sample standard deviation over seeds, None for one seed.

    `clean`: the mean without the problems that match training problems; None where there are none, or no others.
    `low` and `high` bound the score on new questions, `kind` says how; None without samples. `ties`: the letters of the
    arm's tie groups, "" for one seed or one arm.
    """

    per_seed: dict[int, float]
    mean: float
    sd: float | None
    solved: Solved | None
    clean: float | None = None
    low: float | None = None
    high: float | None = None
    kind: str = ""
    ties: str = ""


@dataclass(frozen=True)
class Bounds:
    """A 95% interval, its standard error and degrees of freedom."""

    low: float
    high: float
    se: float
    df: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Contrast:
    """Arm minus baseline on one measure; None where `note` says why. docs/statistics.md explains every number.

    `fixed` answers "would a re-run agree on these questions?", `new` "and on others like them?". `p` is that of `fixed`,
    `p_adjusted` after `correction`, "Holm" or "BH". `mde`: the effect that had an 80% chance of being seen, where `fixed`
    holds 0. `question_p`, by `question_test`, says nothing about other training seeds. `solved_p`: the exact test of
    equal shares of solved seeds.
    """

    difference: float
    fixed: Bounds | None
    new: Bounds | None
    p: float | None
    p_adjusted: float | None
    correction: str
    mde: float | None
    question_p: float | None
    question_test: str
    solved_p: float | None
    note: str

    @property
    def mark(self) -> str:
        """`†`: adjusted p below .05; `‡`: and the interval for new questions excludes 0 as well."""
        if self.p_adjusted is None or self.p_adjusted >= 0.05:
            return ""
        return "‡" if self.new and self.new.excludes_zero else "†"


@dataclass(frozen=True)
class Measure:
    """What is scored: a suite, or the macro average of a role, the unweighted mean of its suites.

    `protocol` holds n, k, temperature and max_new_tokens of a suite; None for a macro average. `flagged`: how many of
    a suite's n problems match training problems (harness/data/contamination.py).
    """

    key: str
    title: str
    role: str
    protocol: dict[str, Any] | None
    flagged: int = 0


@dataclass(frozen=True)
class Arm:
    """One run. `scores` and `contrasts` (none for the baseline) are keyed by measure.

    `budget` is the mean over seeds; `ratio` is to the baseline's, None where that is zero; `unequal` names the budgets
    that differ, and is empty where they are equal. By suite: `truncated`, the share of samples that were cut off, and
    `disagreement`, that on which the two graders differ, for suites with two.
    """

    label: str
    method: str
    run: str
    seeds: tuple[int, ...]
    not_a_result: str | None
    scores: dict[str, Score]
    contrasts: dict[str, Contrast]
    budget: dict[str, float]
    ratio: dict[str, float | None]
    unequal: str
    truncated: dict[str, float]
    disagreement: dict[str, float]


@dataclass(frozen=True)
class PooledSd:
    """Standard deviation over seeds, pooled over all arms; `df` degrees of freedom."""

    sd: float
    df: int


@dataclass(frozen=True)
class Comparison:
    """Every output is rendered from this one object; `baseline` is a position in `arms`, `seed_sd` is by measure."""

    model: str
    training_set: str
    baseline: int
    measures: list[Measure]
    arms: list[Arm]
    seed_sd: dict[str, PooledSd]

    @property
    def stamps(self) -> list[str]:
        """`arm: reason` for every arm that is not a result."""
        return [f"{arm.label}: {arm.not_a_result}" for arm in self.arms if arm.not_a_result]

    @property
    def tables(self) -> list[Table]:
        """Scores, tests (of several arms), budgets, protocol."""
        tests = [tests_table(self)] if len(self.arms) > 1 else []
        return [scores_table(self), *tests, budget_table(self), protocol_table(self)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; shares, tokens and seconds as they are, "baseline" by label."""
        return {"stamps": self.stamps, **asdict(self), "baseline": self.arms[self.baseline].label}

    def to_markdown(self, title: str = "Comparison") -> str:
        stamps = [f"> **Not a result.** {markdown_cell(stamp)}\n" for stamp in self.stamps]
        head = f"Model {markdown_cell(self.model)}, trained on {markdown_cell(self.training_set)}.\n"
        return "\n".join([f"# {markdown_cell(title)}\n", *stamps, head, *(table.to_markdown() for table in self.tables)])

    def to_csv(self) -> str:
        """Scores and tests as one table, without notes."""
        return wide_table(self).to_csv()

    def to_latex(self) -> str:
        """All tables; needs the packages booktabs and xcolor."""
        stamps = [f"% not a result: {latex_cell(stamp)}" for stamp in self.stamps]
        head = ["% \\usepackage{booktabs,xcolor}", *stamps]
        return "\n".join([*head, *(table.to_latex() for table in self.tables)])

    def to_rich(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        stamps = [Text(f"not a result: {visible(stamp)}", style="bold red") for stamp in self.stamps]
        return Group(*stamps, *(part for table in self.tables for part in ("", table.to_rich())))

    def print(self) -> None:
        """To the terminal."""
        print_to_terminal(self.to_rich(), WIDTH)


def compare(
    results: Sequence[Mapping[str, Any]],
    baseline: int | str | None = None,
    solved_at: float | None = None,
    questions: Sequence[Mapping[str, Questions]] = (),
) -> Comparison:
    """Compare results of `load_result` (or of a run just made), in the order given.

    `baseline` is an index, a label, a run or a method; by default the first grpo arm, else the first arm. `solved_at`
    also counts the seeds that score at least this share: a mean says little where outcomes are bimodal over seeds.
    `questions` (`load_questions` of each result) gives what rests on questions; without, or where a run has no samples,
    that is left out. Raises UsageError for no results, an unknown baseline, or arms that differ in model, training set,
    protocol or questions.
    """
    if not results:
        raise UsageError("nothing to compare: name at least one run")
    check_identity(results)
    names = labels(results)
    base = find_baseline(results, names, baseline)
    measures = _measures(results[0])
    cells = _cells(results, questions, measures)
    ties = {m.key: _ties(results, names, m.key) for m in measures}
    scores = [
        {m.key: _score(r, m.key, solved_at, own.get(m.key), ties[m.key].get(name, "")) for m in measures}
        for r, own, name in zip(results, cells, names, strict=True)
    ]
    budgets = [budget_of(r) for r in results]
    contrasts = _contrasts(measures, scores, cells, base)
    arms = [
        Arm(
            names[i],
            r["method"],
            r["run"],
            tuple(r["seeds"]),
            r.get("not_a_result"),
            scores[i],
            contrasts[i],
            budgets[i],
            {k: v / budgets[base][k] if budgets[base][k] else None for k, v in budgets[i].items()},
            unequal(budgets[i], budgets[base]),
            *({n: s[key] for n, s in r["suites"].items() if s.get(key) is not None} for key in ("truncated", "disagreement")),
        )
        for i, r in enumerate(results)
    ]
    pooled = {m.key: sd for m in measures if (sd := pooled_sd([s[m.key].per_seed.values() for s in scores]))}
    return Comparison(results[0]["model"], results[0]["training_set"], base, measures, arms, pooled)


def compare_runs(runs: Sequence[Path], baseline: int | str | None = None) -> Comparison:
    """Compare run directories, with all that their samples say. Raises as `load_result`, `load_questions` and `compare`."""
    from harness.data.training_sets import solved_at
    from harness.stats.questions import load_questions

    results = [load_result(path) for path in runs]
    threshold = solved_at(r["training_set"] for r in results)
    return compare(results, baseline, threshold, [load_questions(r) for r in results])


def pooled_sd(arms: Iterable[Iterable[float]]) -> PooledSd | None:
    """Of scores per seed; None where no arm has two seeds."""
    several = [list(values) for values in arms]
    df = sum(len(values) - 1 for values in several)
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in several if len(values) > 1)
    return PooledSd(math.sqrt(squares / df), df) if df else None


Cells = dict[str, "list[Questions]"]
"""The suites of every measure; a measure without samples is not there."""


def _cells(
    results: Sequence[Mapping[str, Any]], questions: Sequence[Mapping[str, Questions]], measures: Sequence[Measure]
) -> list[Cells]:
    out: list[Cells] = []
    first: dict[str, tuple[str, tuple[str, ...]]] = {}  # suite: the run that was read first, and its questions
    for result, own in zip(results, questions or [{}] * len(results), strict=True):
        for suite, found in own.items():
            run, ids = first.setdefault(suite, (result["run"], found.ids))
            if found.ids != ids:
                raise UsageError(f"{run} and {result['run']} cannot be compared, they differ in the questions of {suite}")
        suites = result["suites"]
        named = {m.key: [m.key] if m.protocol else [n for n in suites if suites[n]["role"] == m.role] for m in measures}
        out.append({key: [own[n] for n in names] for key, names in named.items() if all(n in own for n in names)})
    return out


def _ties(results: Sequence[Mapping[str, Any]], names: Sequence[str], key: str) -> dict[str, str]:
    """Tie groups of the arms with two seeds or more; Holm over all of their pairs."""
    from harness.stats import intervals

    arms = {name: _per_seed(r, key) for name, r in zip(names, results, strict=True)}
    several = {name: np.array(list(v.values())) for name, v in arms.items() if len(v) > 1}
    if len(several) < 2:
        return {}
    pairs = {(a, b): _p(several[a], several[b]) for a, b in itertools.combinations(several, 2)}
    adjusted = intervals.holm(pairs)
    different = [pair for pair in pairs if adjusted[pair] < 0.05]
    return intervals.tie_letters({name: float(v.mean()) for name, v in several.items()}, different)


def _p(a_S: Array, b_S: Array) -> float:
    """Of `seed_difference`; 1 where neither has any spread, which is too little to tell arms apart by."""
    from harness.stats import intervals

    found = intervals.seed_difference(a_S, b_S)
    return float(found.p()) if found.spread else 1.0


def _contrasts(
    measures: Sequence[Measure], scores: Sequence[dict[str, Score]], cells: Sequence[Cells], base: int
) -> list[dict[str, Contrast]]:
    """Of every arm but the baseline; p adjusted by Holm over the arms of a macro average, by BH over all suites' cells."""
    from harness.stats import intervals

    others = [i for i in range(len(scores)) if i != base]
    out: list[dict[str, Contrast]] = [{} for _ in scores]
    for m in measures:
        question_p = _question_p([cells[i].get(m.key) for i in others], cells[base].get(m.key))
        for i, of_questions in zip(others, question_p, strict=True):
            own, theirs = ((scores[j][m.key], cells[j].get(m.key)) for j in (i, base))
            out[i][m.key] = contrast(own[0], theirs[0], own[1], theirs[1], of_questions)
    families = [(intervals.holm, "Holm", [(i, m.key) for i in others]) for m in measures if m.protocol is None]
    families.append((intervals.benjamini_hochberg, "BH", [(i, m.key) for i in others for m in measures if m.protocol]))
    for adjust, name, family in families:
        known = {(i, key): p for i, key in family if (p := out[i][key].p) is not None}
        for (i, key), adjusted in adjust(known).items():
            out[i][key] = replace(out[i][key], p_adjusted=adjusted, correction=name)
    return out


def contrast(
    arm: Score,
    baseline: Score,
    arm_cells: list[Questions] | None = None,
    baseline_cells: list[Questions] | None = None,
    of_questions: tuple[float | None, str] = (None, ""),
) -> Contrast:
    """Difference of two arms on one measure. Seeds are never paired, also where they share a number (intervals.py)."""
    from harness.stats import intervals

    a_S, b_S = (np.array(list(s.per_seed.values())) for s in (arm, baseline))
    difference, fixed, new, p, note = float(a_S.mean() - b_S.mean()), None, None, None, ""
    mde = None
    if min(len(a_S), len(b_S)) < 2:
        note = "one seed: no interval"
    else:
        found = intervals.seed_difference(a_S, b_S)
        if found.spread:
            fixed, p = _bounds(found), float(found.p())
            mde = None if fixed.excludes_zero else float(found.mde())
        else:
            note = "no spread over seeds: no interval"
        if arm_cells and baseline_cells and min(len(q.ids) for q in arm_cells) > 1:
            found = intervals.question_difference([q.scores_S_Q for q in arm_cells], [q.scores_S_Q for q in baseline_cells])
            new = _bounds(found) if found.spread and fixed else None
    solved_p = None
    if arm.solved and baseline.solved:
        solved_p = intervals.exact_shares(arm.solved.count, len(a_S), baseline.solved.count, len(b_S))
    return Contrast(difference, fixed, new, p, None, "", mde, *of_questions, solved_p, note)


def _bounds(e: Estimate) -> Bounds:
    low, high = e.interval()
    return Bounds(float(low), float(high), float(e.se), float(e.df))


def _question_p(arms: Sequence[list[Questions] | None], baseline: list[Questions] | None) -> list[tuple[float | None, str]]:
    """p of every arm and how: McNemar where each question has one outcome an arm, else sign flips of its means."""
    from harness.stats import intervals

    known = [(i, arm) for i, arm in enumerate(arms) if arm and baseline]
    out: list[tuple[float | None, str]] = [(None, "")] * len(arms)
    if not known or baseline is None:
        return out
    base_Q = [q.scores_S_Q.mean(0) for q in baseline]
    differences = [np.stack([arm[b].scores_S_Q.mean(0) - base_Q[b] for _, arm in known]) for b in range(len(base_Q))]
    for (i, _), p in zip(known, intervals.sign_flip(differences), strict=True):
        out[i] = (float(p), "sign-flip")
    for i, arm in known:
        if len(arm) == 1 and all(q.k == 1 and len(q.seeds) == 1 for q in (*arm, *baseline)):
            out[i] = (intervals.mcnemar(arm[0].scores_S_Q[0], base_Q[0]), "McNemar")
    return out


def solved(values_S: Sequence[float], at: float) -> Solved:
    """Count values >= `at`, with the exact binomial 95% interval of their share."""
    from scipy.stats import binomtest

    count = sum(v >= at for v in values_S)
    ci = binomtest(count, len(values_S)).proportion_ci(0.95, method="exact")
    return Solved(at, count, count / len(values_S), float(ci.low), float(ci.high))


def _measures(result: Mapping[str, Any]) -> list[Measure]:
    """By role, the macro average before its suites; a role without suites has none."""
    out = []
    for role in ("id", "ood", "other"):
        if result["macro"].get(role) is not None:
            out.append(Measure(f"macro:{role}", f"{role.upper()} macro average", role, None))
        out += [
            Measure(name, suite["title"], role, {key: suite[key] for key in PROTOCOL}, len(suite.get("flagged", ())))
            for name, suite in result["suites"].items()
            if suite["role"] == role
        ]
    return out


def _per_seed(result: Mapping[str, Any], key: str) -> dict[int, float]:
    if key.startswith("macro:"):
        raw = {seed: row[key.removeprefix("macro:")] for seed, row in result["macro"]["per_seed"].items()}
    else:
        raw = result["suites"][key]["per_seed"]
    return {int(seed): value for seed, value in raw.items()}


def _score(result: Mapping[str, Any], key: str, solved_at: float | None, cells: list[Questions] | None, ties: str) -> Score:
    per_seed = _per_seed(result, key)
    values = list(per_seed.values())
    sd = statistics.stdev(values) if len(values) > 1 else None
    share = None if solved_at is None else solved(values, solved_at)
    clean = result["suites"].get(key, {}).get("avg_clean")
    bounds = score_interval(cells) if cells else (None, None, "")
    return Score(per_seed, statistics.fmean(values), sd, share, clean, *bounds, ties)


def score_interval(cells: list[Questions]) -> tuple[float | None, float | None, str]:
    """95% interval of one arm's score on new questions, and its kind; of the share itself, so within 0 and 1.

    Wilson for one outcome a question, and where a t interval has no width: all questions alike.
    """
    from harness.stats import intervals

    mean = statistics.fmean(float(q.scores_S_Q.mean()) for q in cells)
    n = sum(len(q.ids) for q in cells)
    single = len(cells) == 1 and cells[0].k == 1 and len(cells[0].seeds) == 1
    found = None if single or min(len(q.ids) for q in cells) < 2 else intervals.score([q.scores_S_Q for q in cells])
    if found is None or not found.spread:
        return (*intervals.wilson(mean * n, n), "Wilson") if n else (None, None, "")
    low, high = found.interval()
    kind = "t, seeds and questions" if len(cells[0].seeds) > 1 else "t, questions"
    return max(0.0, float(low)), min(1.0, float(high)), kind


def budget_of(result: Mapping[str, Any]) -> dict[str, float]:
    ledgers = list(result["ledgers"].values())
    return {key: statistics.fmean(ledger[key] for ledger in ledgers) for key in BUDGET}


def sampled(budget: Mapping[str, float]) -> dict[str, float]:
    """What a budget is compared by: rollouts, and tokens with those of reflection; seconds depend on the machine."""
    tokens = budget["generated_tokens"] + budget["reflection_tokens"]
    return {"rollouts": budget["rollouts"], "sampled tokens": tokens}


def mismatched(arm: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The sampled budgets that differ by more than EQUAL allows, ours and theirs."""
    ours, theirs = sampled(arm), sampled(baseline)
    return {k: (ours[k], theirs[k]) for k in ours if not EQUAL[0] * theirs[k] <= ours[k] <= EQUAL[1] * theirs[k]}


def unequal(arm: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """The same in words; "" where both are equal."""
    return ", ".join(f"{k} {compact(a)} against {compact(b)}" for k, (a, b) in mismatched(arm, baseline).items())


def scores_table(c: Comparison) -> Table:
    """A row per measure and arm: score, spread, ties, then the contrast to the baseline with both of its intervals."""
    several = len(c.arms) > 1
    solving = any(s.solved for arm in c.arms for s in arm.scores.values())
    header = ["measure", "arm", "score", "sd", "seeds", *(["solved"] if solving else [])]
    header += ["ties", "difference", "these questions", "new questions", "p adj.", "MDE 80%"] if several else ["95% interval"]
    two_graders = any(arm.disagreement for arm in c.arms)
    header += [*(["tokens"] if several else []), "cut", *(["graders differ"] if two_graders else [])]
    rows, bold, grey = [], set(), set()
    for m in c.measures:
        for i, arm in enumerate(c.arms):
            s = arm.scores[m.key]
            if len(s.per_seed) == 1:
                grey.add(len(rows))
            if several and best(c, m.key) is arm:
                bold.add((len(rows), 2))
            sd = "1 seed" if s.sd is None else points(s.sd)
            row = [m.title if i == 0 else "", arm.label, points(s.mean), sd, str(len(s.per_seed))]
            row += [f"{s.solved.count}/{len(s.per_seed)}"] if s.solved else []
            row += [s.ties, *_contrast_cells(arm, m.key), _ratio(c, arm)] if several else [_interval(s.low, s.high)]
            rows.append((*row, *(_share(x, m.key) for x in [arm.truncated, arm.disagreement][: 1 + two_graders])))
    notes = ["Percent points. sd: sample standard deviation over seeds. cut: truncated samples."]
    if solving:
        at = next(s.solved.at for arm in c.arms for s in arm.scores.values() if s.solved)
        notes.append(f"Solved: seeds that score at least {points(at)}; where seeds solve a suite or do not, read it first.")
    if several:
        notes += _contrast_notes(c)
    else:
        notes.append("95% interval: on new questions, and with new seeds where there are several.")
    if grey:
        notes.append("Grey, 1 seed: no spread is known, so there is no interval and no tie group.")
    notes += [f"{arm.label}, unequal budget: {arm.unequal} a seed." for arm in c.arms if arm.unequal]
    notes += [f"{arm.label} is not a result: {arm.not_a_result}." for arm in c.arms if arm.not_a_result]
    notes += overlap_notes(c)
    align = "ll" + "r" * (len(header) - 2)
    return Table("Scores", tuple(header), align, rows, tuple(notes), frozenset(bold), frozenset(grey))


def best(c: Comparison, key: str) -> Arm | None:
    """The arm that is ahead of every other; None where it is tied, has one seed, or is not a result."""
    ranked = sorted((a for a in c.arms if a.scores[key].ties), key=lambda a: -a.scores[key].mean)
    if len(ranked) < 2 or ranked[0].not_a_result:
        return None
    taken = set("".join(a.scores[key].ties for a in ranked[1:]))
    single = max((a.scores[key].mean for a in c.arms if not a.scores[key].ties), default=-math.inf)
    ahead = not taken & set(ranked[0].scores[key].ties) and ranked[0].scores[key].mean > single
    return ranked[0] if ahead else None


def _contrast_notes(c: Comparison) -> list[str]:
    from harness.stats.intervals import RESAMPLES

    name = c.arms[c.baseline].label
    notes = [
        f"Difference to {name}, with 95% intervals: on these questions, from the spread over seeds (Welch); on new "
        "questions, from seeds and questions, which are paired. MDE: the effect that had an 80% chance of being seen.",
        "† p below .05 after correction: Holm over arms in macro averages, Benjamini-Hochberg over suites, which are "
        "exploratory. ‡ the interval for new questions excludes 0 as well. Arms that share a letter are tied.",
        f"tokens: sampled ones, times those of {name}.",
    ]
    if any(s.kind for arm in c.arms for s in arm.scores.values()):
        notes.append(f"Tests on questions (p questions): {RESAMPLES:,} sign flips, seeded; they know nothing of other seeds.")
    else:
        notes.append("No samples at hand: what rests on questions is left out.")
    pooled = [f"{m.title} {points(c.seed_sd[m.key].sd)}" for m in c.measures if m.protocol is None and m.key in c.seed_sd]
    if pooled:
        df = next(iter(c.seed_sd.values())).df
        notes.append(f"Seed standard deviation, pooled over arms ({df} degrees of freedom): {', '.join(pooled)}.")
    return notes


def tests_table(c: Comparison) -> Table:
    """A row per measure and arm: interval of the score, tests of the difference, seeds that solved the suite."""
    solving = next((s.solved.at for arm in c.arms for s in arm.scores.values() if s.solved), None)
    header = ["measure", "arm", "95% interval", "kind", "p seeds", "p adj.", "correction", "p questions", "test"]
    notes = ["Intervals of scores are for new questions, with new seeds where there are several."]
    if solving is not None:
        header += ["solved", "95% exact", "p solved"]
        notes.append(
            f"Solved: seeds that score at least {points(solving)}, with the Clopper-Pearson interval; p solved: "
            "Boschloo's exact test against the baseline. Intervals of means assume that seeds scatter about the mean."
        )
    rows, grey = [], set()
    for m in c.measures:
        for i, arm in enumerate(c.arms):
            s, x = arm.scores[m.key], arm.contrasts.get(m.key)
            if len(s.per_seed) == 1:
                grey.add(len(rows))
            row = [m.title if i == 0 else "", arm.label, _interval(s.low, s.high), s.kind]
            tests = (x.p, x.p_adjusted, x.correction, x.question_p, x.question_test) if x else ("",) * 5
            row += [v if isinstance(v, str) else p_value(v) for v in tests]
            if s.solved:
                solved_p = p_value(x.solved_p) if x else ""
                row += [f"{s.solved.count}/{len(s.per_seed)}", interval(s.solved.low, s.solved.high), solved_p]
            rows.append(tuple(row))
    align = "llrlrrlrl" + "r" * (len(header) - 9)
    return Table("Tests", tuple(header), align, rows, tuple(notes), grey=frozenset(grey))


def wide_table(c: Comparison) -> Table:
    """Scores and tests side by side, a row per measure and arm: one table for a spreadsheet."""
    scores = scores_table(c)
    if len(c.arms) == 1:
        return scores
    tests = tests_table(c)
    new = [i for i, name in enumerate(tests.header) if name not in scores.header]
    rows = [(*a, *(b[i] for i in new)) for a, b in zip(scores.rows, tests.rows, strict=True)]
    return replace(
        scores,
        header=(*scores.header, *(tests.header[i] for i in new)),
        rows=rows,
        align=scores.align + "".join(tests.align[i] for i in new),
    )


def overlap_notes(c: Comparison) -> list[str]:
    """A line per suite of which some problems are flagged: the arms' scores without those."""
    out = []
    for m in c.measures:
        if m.protocol and m.flagged:
            scores = [(arm.label, arm.scores[m.key].clean) for arm in c.arms]
            clean = ", ".join(f"{label} {points(score)}" for label, score in scores if score is not None)
            share = f"{m.flagged} of {m.protocol['n']} problems match training problems"
            out.append(f"{m.title}: {share}; without them {clean or 'none is left'}.")
    return out


def _contrast_cells(arm: Arm, key: str) -> list[str]:
    if key not in arm.contrasts:
        return ["baseline", "", "", "", ""]
    x = arm.contrasts[key]
    fixed, new = (("", "") if b is None else (b.low, b.high) for b in (x.fixed, x.new))
    ends = [interval(*pair, sign=True) if pair[0] != "" else "" for pair in (fixed, new)]
    if not ends[0]:
        ends[0] = x.note.partition(":")[0]
    return [points(x.difference, sign=True) + x.mark, *ends, p_value(x.p_adjusted), "" if x.mde is None else points(x.mde)]


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else interval(low, high)


def _share(shares: Mapping[str, float], key: str) -> str:
    return points(shares[key]) if key in shares else ""


def _ratio(c: Comparison, arm: Arm) -> str:
    """Sampled tokens, reflection included, as a multiple of the baseline's."""
    ours, theirs = (sampled(a.budget)["sampled tokens"] for a in (arm, c.arms[c.baseline]))
    return f"×{ours / theirs:.2f}" if theirs and arm is not c.arms[c.baseline] else ""


def budget_table(c: Comparison) -> Table:
    """A row per arm: what one seed paid on average, and its ratio to the baseline."""

    def cell(arm: Arm, key: str) -> str:
        text = seconds(arm.budget[key]) if key == "wall_seconds" else compact(arm.budget[key])
        ratio = arm.ratio[key]
        return text if ratio is None or arm is c.arms[c.baseline] else f"{text}\n×{ratio:.2f}"

    rows = [(arm.label, *(cell(arm, key) for key in BUDGET)) for arm in c.arms]
    note = "Mean over seeds, of training and prompt search, without evaluation."
    if len(c.arms) > 1:
        note += f" Below (×) the ratio to {c.arms[c.baseline].label}."
    return Table("Budget per seed", ("arm", *BUDGET.values()), "l" + "r" * len(BUDGET), rows, (note,))


def protocol_table(c: Comparison) -> Table:
    """A row per suite: how it was measured, the same for all arms."""
    role = {"id": "ID", "ood": "OOD", "other": "other"}
    rows = [(m.key, role[m.role], *(f"{m.protocol[key]:g}" for key in PROTOCOL)) for m in c.measures if m.protocol]
    header = ("suite", "role", "problems", "samples each", "temperature", "max new tokens")
    return Table("How it was measured", header, "llrrrr", rows)
