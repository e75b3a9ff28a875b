"""What `harness power` says: a sentence an effect, and tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from harness.report.sentences import Sentence
from harness.report.tables import Table
from harness.stats.chances import MAX_SEEDS
from harness.stats.plans import AT, Plan


def power_sentences(rows: Sequence[dict[str, Any]], wanted: float) -> list[Sentence]:
    """How many seeds each effect needs under each design."""
    out = []
    for r in rows:
        these, new = r["seeds_these_questions"], r["seeds_new_questions"]
        needs = [f"{_seeds(these)} on these questions"]
        if r["question_se"]:
            never = "on new ones no number of seeds is enough, it takes more questions"
            needs.append(never if not new and r["ceiling"] < wanted else f"{_seeds(new)} on new ones")
        sd = f"seed sd {r['seed_sd']:.2f}"
        design = sd if r["name"].startswith("seed sd") else f"{r['name']}: {sd}"
        text = f"To see a gain of {r['effect']:g} points in {100 * wanted:g}% of tries takes {'; '.join(needs)} ({design})."
        out.append(Sentence(text=text, about="effect", points=r["effect"]))
    return out


def _seeds(count: int | None) -> str:
    return f"more than {MAX_SEEDS} seeds an arm" if not count else f"{count} seed{'s' * (count > 1)} an arm"


def power_table(rows: Sequence[dict[str, Any]], seeds: Sequence[int], alpha: float, wanted: float) -> Table:
    """A row per design, effect and number of seeds."""
    asked = any(r["question_se"] for r in rows)
    header = ["", "effect", "seed sd", "seeds, these questions"]
    header += ["question SE", "seeds, new questions"] if asked else []
    header += ["seeds", "power", "MDE"] + (["questions"] if asked else [])
    body = []
    for r in rows:
        more = f">{MAX_SEEDS}"
        cells = [r["name"], f"{r['effect']:g}", f"{r['seed_sd']:.2f}", str(r["seeds_these_questions"] or more)]
        if asked:
            new = r["seeds_new_questions"] or ("never" if r["ceiling"] < wanted else more)
            cells += [f"{r['question_se']:.2f}", str(new)] if r["question_se"] else ["", ""]
        for s in seeds:
            factor = r["questions"][s]
            times = "" if not r["question_se"] else "never" if factor is None else f"×{factor:.2g}" if factor > 1 else "enough"
            body.append((*cells, str(s), f"{r['power'][s]:.2f}", f"{r['detectable'][s]:.1f}", *([times] if asked else [])))
            cells = [""] * len(cells)
    margin = rows[0]["margin"] if rows else 0.0
    notes = [
        f"A gain: the {100 * (1 - alpha):g}% interval lies above the margin, {margin:g} points. Seeds are per arm; power is "
        "the chance of a gain with so many, MDE the effect that they see with the wanted chance.",
        "Power and MDE are for new questions where a question SE is known, else for these. questions: the factor by which "
        "every suite must grow at that number of seeds; never: no number is enough."
        if asked
        else "On these questions; --question-se or --scores for new ones.",
    ]
    df = [r["seed_df"] for r in rows if r["seed_df"]]
    if df:
        notes.append(f"Seed sd pooled over the pilot's arms, {min(df)} degrees of freedom; rough if these are few.")
    return Table(
        title="Seeds and questions needed" if asked else "Seeds needed",
        header=tuple(header),
        align="l" + "r" * (len(header) - 1),
        rows=body,
        notes=tuple(notes),
    )


def solved_table(rows: Sequence[dict[str, Any]], seeds: Sequence[int], alpha: float, wanted: float) -> Table:
    """A row per pair of shares and number of seeds."""
    body = []
    for r in rows:
        names = (_share(r["arm"]), _share(r["baseline"]), str(r["seeds_needed"] or f">{MAX_SEEDS}"))
        for i, s in enumerate(seeds):
            found = (_share(r["chances"][s].get(name, 0.0)) for name in ("gain", "loss", "equivalent", "undecided"))
            body.append((*(names if i == 0 else ("",) * 3), str(s), *found))
    note = (
        "Percent of seeds that solve the suites; a seed scores 100 or 0, give or take 2. Seeds needed: per arm, for a "
        f"decision in {100 * wanted:g}% of tries. The chance of each outcome, counted out, at {alpha:g} and a margin of "
        f"{rows[0]['margin']:g} points."
    )
    header = ("arm solves", "baseline", "seeds needed", "seeds", "gain", "loss", "equivalent", "undecided")
    return Table("Seeds of two kinds", header, "r" * len(header), body, (note,))


def plan_tables(p: Plan) -> list[Table]:
    """The seeds needed, the chance of each verdict, and what a seed's score varies by."""
    return [_needs_table(p), _chances_table(p), _parts_table(p)]


def _share(x: float) -> str:
    return f"{100 * x:.1f}"


def _truth(p: Plan, truth: float) -> str:
    named = {p.claim.tokens or p.claim.effect: ", as claimed", 1.0 if p.claim.tokens else 0.0: ", none"}
    return (f"{truth:+.2f}" if p.claim.tokens is None else f"{100 * truth:.0f}% of the tokens") + named.get(truth, "")


def _chances_table(p: Plan) -> Table:
    c = p.claim
    verdicts = ("reproduced", "gain, below the claim", "no gain", "contradicted", "undecided")
    rows: list[tuple[str, ...]] = []
    for (scenario, truth), group in itertools.groupby(p.chances, lambda x: (x.scenario, x.truth)):
        names = (scenario, _truth(p, truth))
        for x in group:
            rows.append((*names, str(x.seeds), *(_share(x.verdicts.get(name, 0.0)) for name in verdicts)))
            names = ("", "")
    rule = f"Margin {c.margin:g} points, level {p.alpha:g}, {c.published_seeds} published seed(s) an arm."
    if c.looks:
        levels = ", ".join(f"{x.level:.3f}" for x in p.chances[: len(c.looks)])
        rule += f" Looks at {', '.join(map(str, c.looks))} seeds, at levels {levels}: the chance to have ended with it by then."
    known = tuple(f"{k.what}: {k.value} ({k.source})" for k in p.known)
    return Table(
        title="Chance of each verdict, percent",
        header=("scenario", "if the truth is", "seeds", *verdicts),
        align="ll" + "r" * 6,
        rows=rows,
        notes=(rule, *known),
    )


def _needs_table(p: Plan) -> Table:
    rows: list[tuple[str, ...]] = []
    for n in p.needs:
        many = f">{max(p.claim.looks) if p.claim.looks else MAX_SEEDS}"
        seeds = "" if not n.right else many if n.seeds is None else str(n.seeds)
        rows.append((n.scenario, _truth(p, n.truth), n.right or "none: it is at the margin", seeds))
    note = f"Per arm, for the right verdict in {100 * p.wanted:g}% of tries."
    return Table(
        f"{p.claim.name}: seeds needed", ("scenario", "if the truth is", "right verdict", "seeds needed"), "lllr", rows, (note,)
    )


def _parts_table(p: Plan) -> Table:
    rows: list[tuple[str, ...]] = []
    for x in p.parts:
        k = "as claimed" if x.k is None else str(x.k)
        cells = (f"{x.training:.2f}", f"{x.decoding:.2f}", *(_share(part) for part in x.shares))
        rows.append((x.scenario, k, f"{x.samples:,}", *cells, "" if x.seeds is None else str(x.seeds)))
    header = ["scenario", "samples per question", "evaluation samples", "training sd", "decoding sd"]
    header += ["training %", "decoding %", "questions %", "seeds needed"]
    notes = (
        "Standard deviations of a seed's score, points; then the parts of the variance of a difference on new questions at "
        f"{AT} seeds an arm (on these questions, questions add nothing). Seeds needed to see the claimed gain.",
        *p.notes,
    )
    return Table("Seeds, questions or samples", tuple(header), "ll" + "r" * 7, rows, notes)
