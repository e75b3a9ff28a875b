"""How often every verdict and interval is right and wrong, on simulated experiments whose truth is known.

    python tests/checks/calibration.py --out docs/calibration.md [--reps 20000] [--seed 0]
    python tests/checks/calibration.py --runs RUN...

The first writes the page; a figure that misses its goal is red and says why. The second is an A/A experiment: the seeds of
every run are split in two in all ways, and the halves compared as if they were two arms.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.stats import chances, intervals, seeds
from harness.stats.contrasts import Rule
from harness.stats.looks import levels
from harness.stats.scores import score_interval
from harness.stats.seeds import Spread
from harness.stats.verdicts import on_claim, outcome, prediction

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.moderated import moderated, prior_of  # noqa: E402

CLAIMED, MARGIN = 0.047, 0.01
SEEDS = (3, 5, 8, 16)
OUTCOMES = ("gain", "loss", "equivalent", "undecided")
VERDICTS = ("reproduced", "gain, below the claim", "no gain", "contradicted", "undecided")
NOISE = 3.0
"""A rate misses its goal if it is beyond it by this many standard errors of the simulation."""


@dataclass(frozen=True)
class Cell:
    """A rate, and the range that it should lie in; `of`: experiments, if fewer than the page's."""

    rate: float
    low: float = 0.0
    high: float = 1.0
    why: str = ""
    of: int | None = None

    def text(self, reps: int) -> str:
        reps = min(reps, self.of or reps)
        error = NOISE * np.sqrt(max(self.rate * (1 - self.rate), 1 / reps) / reps)
        shown = f"{100 * self.rate:.1f}"
        if self.low - error <= self.rate <= self.high + error:
            return shown
        return f'<b style="color:#c00">{shown}</b>' + (f" ({self.why})" if self.why else "")


def covered(e: intervals.Estimate, truth: Any) -> float:
    low, high = e.interval()
    return float(np.mean((low <= truth) & (truth <= high)))


def verdict_cells(e: intervals.Estimate, truth: float, n: int, why: str = "") -> list[Cell]:
    """Rates of the outcomes and of the verdicts on the claim, with the levels that wrong ones must keep."""
    found, claim = outcome(e, MARGIN), on_claim(e, CLAIMED, MARGIN, prediction(e, (n, n), 1))
    limits = {
        "gain": 1.0 if truth > MARGIN else 0.025,
        "loss": 1.0 if truth < -MARGIN else 0.025,
        "equivalent": 1.0 if abs(truth) < MARGIN else 0.05,
        "no gain": 1.0 if truth < MARGIN else 0.05,
        "contradicted": 1.0 if truth < -MARGIN else 0.025,
        "reproduced": 1.0 if truth > MARGIN else 0.025,
        "gain, below the claim": 1.0 if truth > MARGIN else 0.025,
    }
    rates = [(name, float(np.mean(found == name))) for name in OUTCOMES]
    rates += [(name, float(np.mean(claim == name))) for name in VERDICTS]
    return [Cell(rate, high=limits.get(name, 1.0), why=why) for name, rate in rates]


def scattered(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Normal seeds, and bounded ones near 100: their interval should hold the truth in 94 to 97%."""
    for kind, sd, n, effect in itertools.product(("normal", "bounded"), (1, 2, 5, 40), SEEDS, (0.0, CLAIMED / 2, CLAIMED)):
        if kind == "bounded" and sd == 40:
            continue
        base = 0.5 if kind == "normal" else 0.90
        arms = [draw(kind, base + shift, sd / 100, reps, n, rng) for shift in (effect, 0.0)]
        e = seeds.difference(*arms, Spread(floor=seeds.resolution([(160, 4)])))
        yield kind, sd, n, f"{100 * effect:.2f}", Cell(covered(e, effect), 0.94, 0.97), *verdict_cells(e, effect, n)


def draw(kind: str, mean: float, sd: float, reps: int, n: int, rng: np.random.Generator) -> Any:
    if kind == "normal":
        return rng.normal(mean, sd, (reps, n))
    size = mean * (1 - mean) / sd**2 - 1  # a beta distribution with that mean and sd
    return rng.beta(mean * size, (1 - mean) * size, (reps, n))


def without_spread(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Seeds that differ by a few samples of 160 x 4 or by none, as at the end of training: at least 94%, false seldom."""
    for (a, b), n in itertools.product(
        ((1.0, 1.0), (1.0, 0.999), (0.999, 0.999), (0.99, 0.99), (0.99, 0.97), (1.0, 0.95)), SEEDS
    ):
        arms = [rng.binomial(640, p, (reps, n)) / 640 for p in (a, b)]
        e = seeds.difference(*arms, Spread(floor=seeds.resolution([(160, 4)])))
        yield (
            f"{100 * a:g}",
            f"{100 * b:g}",
            n,
            f"{100 * (a - b):.1f}",
            Cell(covered(e, a - b), 0.94),
            *verdict_cells(e, a - b, n),
        )


SHARES = ((0.0, 0.0), (0.125, 0.125), (0.5, 0.5), (0.25, 0.0), (0.375, 0.125), (0.9, 0.6), (0.95, 0.05))


def of_two_kinds(share: float, size: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Seeds that score N(80, 3) with that probability, else N(12, 2)."""
    return np.where(rng.random(size) < share, rng.normal(0.80, 0.03, size), rng.normal(0.12, 0.02, size))


def bimodal(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The threshold is declared by the training set: at least 93%."""
    for (a, b), n in itertools.product(SHARES, SEEDS):
        arms = [of_two_kinds(share, (reps, n), rng) for share in (a, b)]
        e = seeds.difference(*arms, seeds.spread_of(arms, solved_at=0.5))
        truth = 0.68 * (a - b)
        yield f"{a:g}", f"{b:g}", n, f"{100 * truth:.1f}", Cell(covered(e, truth), 0.93), *verdict_cells(e, truth, n)


def detected(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Nobody declared a threshold; two arms alone, and with four more that solve in 30% of seeds."""
    reps = min(reps, 1000)
    for (a, b), n in itertools.product(SHARES, SEEDS):
        truth = 0.68 * (a - b)
        row: list[Any] = [f"{a:g}", f"{b:g}", n]
        for others in (0, 4):
            seen, inside, false_gain = 0, 0, 0
            for _ in range(reps):
                arms = [of_two_kinds(share, (n,), rng) for share in (a, b, *[0.3] * others)]
                spread = seeds.spread_of(arms)
                e = seeds.difference(arms[0], arms[1], spread)
                seen += spread.split is not None
                inside += covered(e, truth) == 1.0
                false_gain += truth <= 0 and outcome(e, MARGIN) != "undecided" and abs(truth) > 0
            why = "too few seeds show both kinds" if others == 0 else ""
            row += [Cell(seen / reps), Cell(inside / reps, 0.93, why=why, of=reps)]
        yield tuple(row)
    for sd, n in itertools.product((3, 10, 40), SEEDS):
        row = [f"normal, sd {sd}", "the same", n]
        for others in (0, 4):
            arms = rng.normal(0.5, sd / 100, (reps, 2 + others, n))
            spreads = [seeds.spread_of(list(own)) for own in arms]
            inside = [covered(seeds.difference(own[0], own[1], x), 0.0) for own, x in zip(arms, spreads, strict=True)]
            seen = float(np.mean([x.split is not None for x in spreads]))
            limit = 0.12 if n == 3 and not others else 0.02
            row += [Cell(seen, high=limit, of=reps), Cell(float(np.mean(inside)), 0.94, of=reps)]
        yield tuple(row)


def unequal(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for (na, nb), (sa, sb) in itertools.product(((3, 5), (3, 8), (5, 8), (5, 16)), ((1, 1), (4, 1), (1, 4))):
        e = seeds.difference(rng.normal(0, sa / 100, (reps, na)), rng.normal(0, sb / 100, (reps, nb)))
        yield na, nb, sa, sb, Cell(covered(e, 0.0), 0.94)


def paired(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for n, correlation in itertools.product((3, 5, 8), (0.0, 0.5, 0.9)):
        shared = rng.normal(0, 0.02, (reps, n)) * np.sqrt(correlation)
        a, b = (x + shared + rng.normal(0, 0.02, (reps, n)) * np.sqrt(1 - correlation) for x in (CLAIMED, 0.0))
        row: list[Any] = [n, correlation]
        for e in (seeds.difference(a, b, paired=True), seeds.difference(a, b)):
            row += [Cell(covered(e, CLAIMED), 0.94), Cell(float(np.mean(outcome(e, MARGIN) == "gain")))]
        yield tuple(row)


def borrowed(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """What was tried and is not used: variances raised to what all arms together make of them (Smyth 2004), against Welch, for
    the first two of so many arms: arms alike, arms whose sds differ, the first of three times the others' sd, and a company of
    half the sd. It pays at three seeds alone, and wrong gains exceed 2.5% where an arm is loud."""
    kinds = ("alike", "sds differ by half", "first is loud", "others are quiet")
    for count, n, kind in itertools.product((10, 20), (3, 5, 8), kinds):
        sds = np.full((reps, count), 0.02)
        if kind == "sds differ by half":
            sds = 0.02 * np.exp(0.35 * rng.standard_normal((reps, count)))
        elif kind == "first is loud":
            sds[:, 0] *= 3
        elif kind == "others are quiet":
            sds[:, 2:] /= 2
        y = rng.normal(0, 1, (reps, count, n)) * sds[..., None]
        prior = prior_of([y[:, i] for i in range(count)])
        assert prior is not None
        row: list[Any] = [count, n, kind]
        for e in (moderated(y[:, 0] + CLAIMED, y[:, 1], prior), seeds.difference(y[:, 0] + CLAIMED, y[:, 1])):
            row += [f"{100 * covered(e, CLAIMED):.1f}", f"{100 * np.mean(outcome(e, MARGIN) == 'gain'):.1f}"]
        for e in (moderated(y[:, 0] + MARGIN, y[:, 1], prior), seeds.difference(y[:, 0] + MARGIN, y[:, 1])):
            row.append(f"{100 * np.mean(outcome(e, MARGIN) == 'gain'):.1f}")
        yield tuple(row)


def looks(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Looking until the verdict is not undecided: how often a true 0 ends as a gain or a loss above a margin of 0."""
    for plan, sd in itertools.product(((3, 5), (3, 5, 8), (3, 4, 5, 6, 7, 8)), (1, 2)):
        a, b = (rng.normal(0, sd / 100, (reps, plan[-1])) for _ in range(2))
        row: list[Any] = [", ".join(map(str, plan)), sd]
        for alphas in (levels(plan, plan[-1]), [0.05] * len(plan)):
            wrong = np.zeros(reps, bool)
            for n, alpha in zip(plan, alphas, strict=True):
                wrong |= np.isin(outcome(seeds.difference(a[:, :n], b[:, :n]), 0.0, alpha), ("gain", "loss"))
            row.append(Cell(float(wrong.mean()), high=0.05 if alphas[0] != 0.05 else 1.0))
        yield tuple(row)


def published(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """A number from some seeds of the same process: whether a repetition's interval, and ours, hold it."""
    for own, theirs in itertools.product((3, 5, 8), (1, 3)):
        e = seeds.difference(rng.normal(CLAIMED, 0.02, (reps, own)), rng.normal(0, 0.02, (reps, own)))
        number = CLAIMED + rng.normal(0, 0.02 * np.sqrt(2 / theirs), reps)
        repeated = prediction(e, (own, own), theirs)
        yield own, theirs, Cell(covered(repeated, number), 0.94, 0.97), Cell(covered(e, number))


WORLDS = {
    "alike": dict(seed_sd=0.05, cell_sd=0.5, correlation=0.85),
    "usual": dict(seed_sd=0.2, cell_sd=0.5, correlation=0.85),
    "wild": dict(seed_sd=0.5, cell_sd=1.0, correlation=0.95),
    "still": dict(seed_sd=0.0, cell_sd=0.0, correlation=1.0),
}
"""How far seeds move every question (logits), how far they move each one on its own, and how alike the arms' difficulties
are. On a suite of mean 55% a seed sd of .2 is about 2 points."""
SPREAD = 3.0
"""Of difficulties, in logits."""


def simulate(
    rng: np.random.Generator,
    reps: int,
    n: int,
    questions: int,
    k: int,
    gain: float = 0.0,
    middle: float = 0.3,
    *,
    seed_sd: float,
    cell_sd: float,
    correlation: float,
) -> tuple[Any, Any, Any, float, float]:
    """Two arms of `reps` experiments: cells (reps, S, Q) of each, the true difference on those questions and on all, and the
    first arm's true score on all.

    `gain` shifts the first arm, in logits. Truths are means over seeds (and questions), by quadrature.
    """
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(11)
    weights = weights / weights.sum()
    within = np.hypot(seed_sd, cell_sd)
    shared_R_Q = rng.standard_normal((reps, questions))
    cells, truths = [], []
    for shift in (gain, 0.0):
        own_R_Q = np.sqrt(1 - correlation) * rng.standard_normal((reps, questions))
        logit_R_Q = middle + shift + SPREAD * (np.sqrt(correlation) * shared_R_Q + own_R_Q)
        truths.append(sum(w * expit(logit_R_Q + within * x) for x, w in zip(nodes, weights, strict=True)).mean(-1))
        moved = seed_sd * rng.standard_normal((reps, n, 1)) + cell_sd * rng.standard_normal((reps, n, questions))
        cells.append(rng.binomial(k, expit(logit_R_Q[:, None, :] + moved)) / k)
    everywhere = np.hypot(SPREAD, within)
    fine, fine_weights = np.polynomial.hermite_e.hermegauss(101)
    whole = [float(fine_weights @ expit(middle + s + everywhere * fine) / fine_weights.sum()) for s in (gain, 0.0)]
    return cells[0], cells[1], truths[0] - truths[1], whole[0] - whole[1], whole[0]


def questions(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Both intervals on questions of logistic-normal difficulty; those for new questions are never narrower."""
    for n, size, k, world in itertools.product((3, 5, 8), (30, 500), (1, 16), WORLDS):
        some = max(300, min(reps, 4_000_000 // (n * size)))
        a, b, fixed, everywhere, _ = simulate(rng, some, n, size, k, 0.4, **WORLDS[world])
        these = seeds.difference(a.mean(-1), b.mean(-1), Spread(floor=seeds.resolution([(size, k)])))
        new = intervals.question_difference([a], [b], these=these)
        narrower = float(np.mean(new.half() < these.half()))
        why = "seeds are exactly alike" if world == "still" else ""
        yield (
            n,
            size,
            k,
            world,
            Cell(covered(these, fixed), 0.94, 0.97, why, some),
            Cell(covered(new, everywhere), 0.94, of=some),
            Cell(narrower, high=0.0, of=some),
        )


def one_arm(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The interval of one arm's score, near 0 too."""
    from harness.stats.questions import Questions

    reps = min(reps, 1500)
    for middle, (size, k), n in itertools.product((-9.5, -6.5, -4.5, 0.3), ((30, 16), (200, 4), (30, 1)), (1, 3, 5)):
        a, *_, truth = simulate(rng, reps, n, size, k, middle=middle, **WORLDS["usual"])
        ids, numbers = tuple(map(str, range(size))), tuple(range(n))
        ends = [score_interval([Questions(ids, numbers, k, y, None)])[:2] for y in a]
        inside = np.mean([low <= truth <= high for low, high in ends if low is not None and high is not None])
        why = "one seed: its own luck is not in the interval" if n == 1 else ""
        yield f"{100 * truth:.1f}", size, k, n, Cell(float(inside), 0.93, why=why, of=reps)


def families(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Questions in families of five that share half of what an arm gains on them: with and without their names."""
    for count, n in itertools.product((20, 60), (3, 8)):
        reps_ = min(reps, 4000)
        member = np.repeat(np.arange(count), 5)
        gain = rng.normal(0, 0.1, (reps_, 1, count))[..., member] + rng.normal(0, 0.1, (reps_, 1, 5 * count))
        a, b = (0.5 + shift + rng.normal(0, 0.2, (reps_, n, 5 * count)) for shift in (gain, 0.0))
        row: list[Any] = [count, n]
        for names in ([member], None):
            row.append(
                Cell(covered(intervals.question_difference([a], [b], clusters=names), 0.0), 0.93 if names else 0.0, of=reps_)
            )
        yield tuple(row)


def plans(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Planned chances of a decision against simulated ones: within 2 points."""
    for effect, sd in itertools.product((0.0, CLAIMED / 2, CLAIMED), (1, 2)):
        n = chances.seeds_to_decide(100 * effect, 100 * MARGIN, sd)
        for size in sorted({3, 5, 8, n or 8}):
            arms = [rng.normal(shift, sd / 100, (reps, size)) for shift in (effect, 0.0)]
            simulated = float(np.mean(outcome(seeds.difference(*arms), MARGIN) != "undecided"))
            planned = chances.decided(100 * effect, 100 * MARGIN, sd, size)
            yield (
                f"{100 * effect:.2f}",
                sd,
                size,
                n or "none",
                f"{100 * planned:.1f}",
                Cell(simulated, planned - 0.02, planned + 0.02),
            )


def planned_verdicts(reps: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Planned chances of the verdicts on the claim against simulated ones: seeds that scatter, or of two kinds (12 and 80, with
    sds of 2 and 3 within; a claim of 34 points); looked at once, or at 3, 5 and 8 seeds. No verdict is off by 2 points."""
    for kind, truth, plan in itertools.product((1, 2, 5, "two kinds"), (0.0, 0.5, 1.0), ((3,), (5,), (8,), (16,), (3, 5, 8))):
        two = kind == "two kinds"
        claimed, margin = (0.34, 0.05) if two else (CLAIMED, MARGIN)
        solving, kinds = (0.25 + truth / 2, 0.25), chances.Kinds(0.12, 0.80, 0.025)
        alphas = levels(plan, plan[-1])
        rule = partial(judged, claimed=claimed, margin=margin)
        if len(plan) > 1:
            draw = chances.solving_with(solving, kinds) if two else chances.scattering(truth * claimed, kind / 100)
            planned = chances.at_looks(draw, plan, alphas, rule, kinds=kinds if two else None)[-1]
        elif two:
            planned = chances.of_shares(solving, kinds, plan[0], rule)
        else:
            planned = chances.of_claim(truth * claimed, claimed, margin, chances.Noise(kind / 100), plan[0])
        size = reps, plan[-1]
        if two:
            arms = [of_two_kinds(share, size, rng) for share in solving]
        else:
            arms = [rng.normal(shift, kind / 100, size) for shift in (truth * claimed, 0.0)]
        found = np.full(reps, "undecided", dtype="<U21")
        for n, alpha in zip(plan, alphas, strict=True):
            own = [x[:, :n] for x in arms]
            e = seeds.difference(*own, seeds.spread_of(own, solved_at=0.5) if two else Spread())
            found = np.where(found == "undecided", rule(e, n, alpha), found)
        rates = {name: float(np.mean(found == name)) for name in VERDICTS}
        off = max(abs(rates[name] - planned.get(name, 0.0)) for name in VERDICTS)
        pairs = [f"{100 * planned.get(name, 0.0):.1f} / {100 * rates[name]:.1f}" for name in VERDICTS]
        yield kind, f"{truth:g}", ", ".join(map(str, plan)), *pairs, Cell(off, high=0.02)


def judged(e: intervals.Estimate, n: int, alpha: float, *, claimed: float, margin: float) -> Any:
    return on_claim(e, claimed, margin, prediction(e, (n, n), 1), alpha)


RATES = ["coverage", *OUTCOMES, *(f"claim: {name}" for name in VERDICTS)]
TABLES: list[tuple[str, Any, Sequence[str]]] = [
    ("Seeds that scatter", scattered, ["scores", "sd", "seeds", "effect", *RATES]),
    ("Seeds that hardly scatter", without_spread, ["arm", "baseline", "seeds", "effect", *RATES]),
    ("Seeds of two kinds, declared", bimodal, ["arm solves", "baseline", "seeds", "effect", *RATES]),
    (
        "Seeds of two kinds, seen or not",
        detected,
        ["arm solves", "baseline", "seeds", "two arms: seen", "coverage", "six: seen", "coverage"],
    ),
    ("Unequal numbers of seeds", unequal, ["seeds", "baseline's", "sd", "baseline's", "coverage"]),
    ("Paired seeds", paired, ["seeds", "correlation", "paired: coverage", "gain seen", "not: coverage", "gain seen"]),
    (
        "Variances borrowed from other arms",
        borrowed,
        [
            "arms",
            "seeds",
            "sds",
            "moderated: coverage",
            "gain seen",
            "Welch: coverage",
            "gain seen",
            "moderated: false gain",
            "Welch",
        ],
    ),
    ("Several looks", looks, ["looks at", "sd", "wrong, alpha spent", "wrong, .05 each time"]),
    ("A published number", published, ["our seeds", "theirs", "in a repetition's interval", "in ours"]),
    ("New questions", questions, ["seeds", "questions", "k", "world", "these", "new", "new narrower"]),
    ("One arm", one_arm, ["score", "questions", "k", "seeds", "coverage"]),
    ("Questions in families", families, ["families", "seeds", "named: coverage", "not named"]),
    ("Plans", plans, ["effect", "sd", "seeds", "seeds needed", "planned", "simulated"]),
    ("Plans of claims", planned_verdicts, ["sd", "part of the claim", "seeds", *VERDICTS, "furthest off"]),
]
HEAD = """# Calibration

How often each interval holds the truth and each verdict is right or wrong, in simulated experiments whose truth is known;
percent. A claim of 4.7 points with a margin of 1, published from one seed an arm. Goals: intervals hold the truth in 94 to
97% where seeds scatter, in at least 93% where they are of two kinds; a wrong gain, loss, contradicted at most 2.5%, a wrong
equivalent or no gain at most 5%. <b style="color:#c00">Red</b>: missed by more than three standard errors of the simulation.
[Statistics](statistics.md) has the rules.
"""


def table(i: int, reps: int, seed: int) -> str:
    title, rows, header = TABLES[i]
    start = time.monotonic()
    what = " ".join((rows.__doc__ or "").split())
    lines = [f"## {title}\n", f"{what}\n", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows(reps, np.random.default_rng([seed, i])):
        lines.append(f"| {' | '.join(x.text(reps) if isinstance(x, Cell) else str(x) for x in row)} |")
    print(f"{title}: {time.monotonic() - start:.0f} s", flush=True)
    return "\n".join([*lines, ""])


def page(reps: int, seed: int) -> str:
    command = f"    python tests/checks/calibration.py --reps {reps} --seed {seed} --out docs/calibration.md\n"
    with ProcessPoolExecutor() as pool:
        tables = pool.map(partial(table, reps=reps, seed=seed), range(len(TABLES)))
        return "\n".join([HEAD, command, *tables])


def split_halves(runs: list[Path]) -> str:
    """The A/A experiment, Markdown: every run's seeds in two halves, all ways, every suite; the rate of each verdict."""
    from harness.data.training_sets import solved_at
    from harness.runs.result import load_result
    from harness.stats.questions import load_questions

    lines = [f"| run | splits x suites | {' | '.join(OUTCOMES)} |", "|" + "---|" * (2 + len(OUTCOMES))]
    total = dict.fromkeys(OUTCOMES, 0)
    for path in runs:
        result = load_result(path)
        S, found = len(result.seeds), dict.fromkeys(OUTCOMES, 0)
        for q in load_questions(result).values():
            y_S = q.scores_S_Q.mean(-1)
            spread = seeds.spread_of(
                [y_S], seeds.resolution([(len(q.ids), q.k)]), solved_at([result.training_set], [result.spec])
            )
            for first in itertools.combinations(range(S), S // 2):
                if S % 2 or 0 in first:  # else the other half of a split seen already
                    rest = [s for s in range(S) if s not in first]
                    found[outcome(seeds.difference(y_S[list(first)], y_S[rest], spread), Rule().margin)] += 1
        total = {name: total[name] + found[name] for name in OUTCOMES}
        lines.append(_row(path.name, found))
    return "\n".join([*lines, _row("all", total)])


def _row(name: str, found: dict[str, int]) -> str:
    n = sum(found.values())
    return f"| {name} | {n} | " + " | ".join(f"{100 * x / n:.1f}%" for x in found.values()) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=Path, nargs="+")
    args = parser.parse_args()
    text = split_halves(args.runs) if args.runs else page(args.reps, args.seed)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
