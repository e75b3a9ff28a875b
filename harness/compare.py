"""Finished runs beside each other: scores with their spread over seeds, paired differences, budgets.

The seed is the unit of every interval here: each answers "would a re-run on these questions agree?" and says nothing
about new questions. Scores are shares in [0, 1] in the objects and in JSON, percent points with one decimal in text.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.arms import PROTOCOL, check_identity, find_baseline, labels
from harness.errors import HarnessError, MissingError, UsageError
from harness.tables import Table, compact, interval, markdown_cell, points, print_to_terminal, seconds, visible

if TYPE_CHECKING:
    from rich.console import Group

BUDGET = {
    "rollouts": "rollouts",
    "generated_tokens": "generated tokens",
    "trained_tokens": "trained tokens",
    "reflection_tokens": "reflection tokens",
    "optimiser_steps": "optimiser steps",
    "wall_seconds": "wall time",
}
"""Ledger fields of a comparison, and what they are called."""
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
    """

    per_seed: dict[int, float]
    mean: float
    sd: float | None
    solved: Solved | None
    clean: float | None = None


@dataclass(frozen=True)
class Contrast:
    """Arm minus baseline on one measure, with a 95% t interval over seeds; None where `note` says why.

    `kind` is "paired" (over `seeds`, those both arms ran) or "Welch" (none in common, `seeds` is empty).
    """

    difference: float
    low: float | None
    high: float | None
    seeds: tuple[int, ...]
    kind: str
    note: str


@dataclass(frozen=True)
class Measure:
    """What is scored: a suite, or the macro average of a role, the unweighted mean of its suites.

    `protocol` holds n, k, temperature and max_new_tokens of a suite; None for a macro average. `flagged`: how many of
    a suite's n problems match training problems (harness/contamination.py).
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
    that differ, and is empty where they are equal. `disagreement`: by suite, the share of samples on which the two
    graders differ, where it is not zero.
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
    disagreement: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Every output is rendered from this one object; `baseline` is a position in `arms`."""

    model: str
    training_set: str
    baseline: int
    measures: list[Measure]
    arms: list[Arm]

    @property
    def stamps(self) -> list[str]:
        """`arm: reason` for every arm that is not a result."""
        return [f"{arm.label}: {arm.not_a_result}" for arm in self.arms if arm.not_a_result]

    @property
    def tables(self) -> list[Table]:
        return [scores_table(self), budget_table(self), protocol_table(self)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; shares, tokens and seconds as they are, "baseline" by label."""
        return {"stamps": self.stamps, **asdict(self), "baseline": self.arms[self.baseline].label}

    def to_markdown(self) -> str:
        stamps = [f"> **Not a result.** {markdown_cell(stamp)}\n" for stamp in self.stamps]
        head = f"Model {markdown_cell(self.model)}, trained on {markdown_cell(self.training_set)}.\n"
        return "\n".join(["# Comparison\n", *stamps, head, *(table.to_markdown() for table in self.tables)])

    def to_rich(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        stamps = [Text(f"not a result: {visible(stamp)}", style="bold red") for stamp in self.stamps]
        return Group(*stamps, *(part for table in self.tables for part in ("", table.to_rich())))

    def print(self) -> None:
        """To the terminal."""
        print_to_terminal(self.to_rich())


def load_result(path: Path) -> dict[str, Any]:
    """result.json of a run directory, with its spec added as "spec" and "run" set to `path`.

    Raises MissingError where no run is, HarnessError where it is unfinished or its files cannot be read.
    """
    if not (path / "spec.json").exists():
        raise MissingError(f"no run at {path}: it holds no spec.json")
    if not (path / "result.json").exists():
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    try:
        spec = json.loads((path / "spec.json").read_text())["spec"]
        return {**json.loads((path / "result.json").read_text()), "spec": spec, "run": str(path)}
    except (ValueError, KeyError, TypeError) as e:
        raise HarnessError(f"the run at {path} cannot be read: {e!r}") from None


def compare(
    results: Sequence[Mapping[str, Any]], baseline: int | str | None = None, solved_at: float | None = None
) -> Comparison:
    """Compare results of `load_result` (or of a run just made), in the order given.

    `baseline` is an index, a label, a run or a method; by default the first grpo arm, else the first arm. `solved_at`
    also counts the seeds that score at least this share: a mean says little where outcomes are bimodal over seeds.
    Raises UsageError for no results, an unknown baseline, or arms that differ in model, training set or protocol.
    """
    if not results:
        raise UsageError("nothing to compare: name at least one run")
    check_identity(results)
    names = labels(results)
    base = find_baseline(results, names, baseline)
    measures = _measures(results[0])
    scores = [{m.key: _score(r, m.key, solved_at) for m in measures} for r in results]
    budgets = [_budget(r) for r in results]
    arms = [
        Arm(
            label, r["method"], r["run"], tuple(r["seeds"]), r.get("not_a_result"), own,
            {} if i == base else {key: contrast(score, scores[base][key]) for key, score in own.items()},
            budget, {k: v / budgets[base][k] if budgets[base][k] else None for k, v in budget.items()},
            _unequal(budget, budgets[base]),
            {name: suite["disagreement"] for name, suite in r["suites"].items() if suite.get("disagreement")},
        )
        for i, (label, r, own, budget) in enumerate(zip(names, results, scores, budgets, strict=True))
    ]  # fmt: skip
    return Comparison(results[0]["model"], results[0]["training_set"], base, measures, arms)


def contrast(arm: Score, baseline: Score) -> Contrast:
    """Difference of two arms with a 95% t interval: paired by seed, or after Welch (1947) where no seed is shared."""
    from scipy.stats import t

    shared = tuple(sorted(arm.per_seed.keys() & baseline.per_seed.keys()))
    if shared:
        d_S = [arm.per_seed[s] - baseline.per_seed[s] for s in shared]
        difference, kind, note = statistics.fmean(d_S), "paired", ""
        spread = (statistics.stdev(d_S) / math.sqrt(len(d_S)), len(d_S) - 1) if len(d_S) > 1 else None
    else:
        difference, kind, note = arm.mean - baseline.mean, "Welch", "no seed in common: Welch interval"
        spread = _welch(list(arm.per_seed.values()), list(baseline.per_seed.values()))
    if spread is None:
        return Contrast(difference, None, None, shared, kind, "one seed: no interval")
    se, df = spread
    half = float(t.ppf(0.975, df)) * se
    return Contrast(difference, difference - half, difference + half, shared, kind, note)


def _welch(a_S: list[float], b_S: list[float]) -> tuple[float, float] | None:
    """Standard error and Welch-Satterthwaite degrees of freedom of a difference of means; None with a single seed."""
    if min(len(a_S), len(b_S)) < 2:
        return None
    va, vb = (statistics.variance(x_S) / len(x_S) for x_S in (a_S, b_S))
    parts = va**2 / (len(a_S) - 1) + vb**2 / (len(b_S) - 1)
    return math.sqrt(va + vb), (va + vb) ** 2 / parts if parts else 1.0


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


def _score(result: Mapping[str, Any], key: str, solved_at: float | None) -> Score:
    if key.startswith("macro:"):
        raw = {seed: row[key.removeprefix("macro:")] for seed, row in result["macro"]["per_seed"].items()}
    else:
        raw = result["suites"][key]["per_seed"]
    clean = result["suites"].get(key, {}).get("avg_clean")
    per_seed = {int(seed): value for seed, value in raw.items()}
    values = list(per_seed.values())
    sd = statistics.stdev(values) if len(values) > 1 else None
    share = None if solved_at is None else solved(values, solved_at)
    return Score(per_seed, statistics.fmean(values), sd, share, clean)


def _budget(result: Mapping[str, Any]) -> dict[str, float]:
    ledgers = list(result["ledgers"].values())
    return {key: statistics.fmean(ledger[key] for ledger in ledgers) for key in BUDGET}


def _unequal(arm: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """What is sampled decides, in rollouts and in tokens with those of reflection; seconds depend on the machine."""

    def sampled(budget: Mapping[str, float]) -> dict[str, float]:
        tokens = budget["generated_tokens"] + budget["reflection_tokens"]
        return {"rollouts": budget["rollouts"], "sampled tokens": tokens}

    ours, theirs = sampled(arm), sampled(baseline)
    off = [k for k in ours if not EQUAL[0] * theirs[k] <= ours[k] <= EQUAL[1] * theirs[k]]
    return ", ".join(f"{k} {compact(ours[k])} against {compact(theirs[k])}" for k in off)


def scores_table(c: Comparison) -> Table:
    """A row per measure and arm: score, sd, seeds, then the contrast to the baseline."""
    with_solved = any(s.solved for arm in c.arms for s in arm.scores.values())
    several = len(c.arms) > 1
    header = ("measure", "arm", "score", "sd", "seeds")
    rows = []
    for m in c.measures:
        for i, arm in enumerate(c.arms):
            s = arm.scores[m.key]
            row = (m.title if i == 0 else "", arm.label, points(s.mean), "" if s.sd is None else points(s.sd),
                   str(len(s.per_seed)))  # fmt: skip
            if with_solved and s.solved:
                row += (f"{s.solved.count}/{len(s.per_seed)}", interval(s.solved.low, s.solved.high))
            rows.append(row + _contrast_cells(arm, m.key, i == c.baseline) if several else row)
    notes = ["Scores in percent points: mean and sample standard deviation over seeds."]
    if with_solved:
        at = next(s.solved.at for arm in c.arms for s in arm.scores.values() if s.solved)
        header += ("solved", "95% exact")
        notes.append(f"Solved: seeds that score at least {points(at)}, with the Clopper-Pearson interval.")
    if several:
        header += ("difference", "95% interval", "note")
        notes.append(
            f"Difference to {c.arms[c.baseline].label}, paired over the seeds both ran; t interval over seeds on "
            "these questions, not corrected for looking at several."
        )
    notes += [f"{arm.label}, unequal budget: {arm.unequal} a seed." for arm in c.arms if arm.unequal]
    for arm in c.arms:
        if arm.disagreement:
            shares = ", ".join(f"{name} {points(share)}" for name, share in arm.disagreement.items())
            notes.append(f"{arm.label}, samples that the parity grader judges differently, percent: {shares}.")
    notes += overlap_notes(c)
    align = "ll" + "r" * (len(header) - 2)
    return Table("Scores", header, align[:-1] + "l" if several else align, rows, tuple(notes))


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


def _contrast_cells(arm: Arm, key: str, is_baseline: bool) -> tuple[str, str, str]:
    stamp = ["not a result"] if arm.not_a_result else []
    if is_baseline:
        return "", "", "; ".join(["baseline", *stamp])
    x = arm.contrasts[key]
    ci = "" if x.low is None or x.high is None else interval(x.low, x.high, sign=True)
    short = [f"{len(x.seeds)} shared seeds"] if 1 < len(x.seeds) < len(arm.seeds) else []
    note = [*([x.note] if x.note else []), *short, *(["unequal budget"] if arm.unequal else []), *stamp]
    return points(x.difference, sign=True), ci, "; ".join(note)


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
    rows = [
        (m.key, role[m.role], *(f"{m.protocol[key]:g}" for key in PROTOCOL)) for m in c.measures if m.protocol
    ]
    header = ("suite", "role", "problems", "samples each", "temperature", "max new tokens")
    return Table("How it was measured", header, "llrrrr", rows)
