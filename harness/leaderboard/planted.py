"""`harness plant`: two runs whose true difference is known, made of the answers of two finished runs.

Every answer of a planted run is drawn, with replacement, from the pool of one source run's answers to the same question, over
all its seeds and samples: from that of A with probability w, else from B's. The pools are the population, so that the true
score of a planted run on a suite is exactly w s_A + (1 - w) s_B, with s_A and s_B the sources' scores, and two planted runs
differ by exactly (w_1 - w_0) (s_A - s_B). A seed has a weight of its own around w, which gives seeds a spread; its
distribution is symmetric, so that its mean is w.

The first planted run has the settings and ledgers of A, the second those of B: whatever compares A with B compares them.
Both are stamped "not a result", and their settings say `planted`, which no board takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from harness.core.errors import HarnessError, UsageError
from harness.core.ledger import Ledger
from harness.evaluation.scores import macro_averages, score_suite
from harness.runs import formats
from harness.runs.filed import read_manifest, read_packed, samples_name, spec_sha256
from harness.runs.files import write_text
from harness.runs.result import Result, is_filed, join, load_result, write_result
from harness.runs.samples import AnySampleRow, SampleRow, canonical, decode_filed, read_samples, samples_path
from harness.runs.spec import PLANTED, SPEC_FILE, StoredSpec
from harness.stats.arms import check_identity
from harness.stats.questions import load_questions

if TYPE_CHECKING:
    from harness.stats.intervals import Array

SDS = 3.0
"""Weights of seeds further than this many standard deviations from their mean are drawn again."""


@dataclass(frozen=True)
class Planted:
    """`runs`: the two planted runs, `names` those of their sources. `truth` holds the true difference of the first from the
    second in percent points, of every suite and macro average; the wanted one is that of `measure`."""

    runs: tuple[Path, Path]
    names: tuple[str, str]
    measure: str
    truth: dict[str, float]


@dataclass(frozen=True)
class Mixture:
    """The weights of both planted runs, and the standard deviation that they have over seeds."""

    weights: tuple[float, float]
    sd: float


def mixture(gap: float, effect: float, seed_sd: float) -> Mixture:
    """Weights around a half that make `effect` and `seed_sd`, of sources `gap` apart; all three in one unit.

    Raises UsageError where no weights between 0 and 1 do.
    """
    if not abs(gap) > 0:
        raise UsageError("the two runs score the same, so that no mixture of them makes a difference")
    half, sd = effect / gap / 2, seed_sd / abs(gap)
    if abs(half) + SDS * sd > 0.5:
        what = f"{abs(effect):g} points with {seed_sd:g} between seeds"
        raise UsageError(
            f"the two runs are {abs(gap):.1f} points apart, which leaves no room for {what}: take runs further apart"
        )
    return Mixture((0.5 + half, 0.5 - half), sd)


def seed_weights(weight: float, sd: float, seeds: int, rng: np.random.Generator) -> Array:
    """The weights of the seeds (S,): normal around `weight`, cut off symmetrically, so that their mean is the weight."""
    z_S = rng.standard_normal(seeds)
    while (far := np.abs(z_S) > SDS).any():
        z_S[far] = rng.standard_normal(far.sum())
    found: Array = weight + sd * z_S
    return found


def draw(weights_S: Array, n: int, k: int, sizes: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array]:
    """Where each answer (S, n, k) comes from: whether from the first pool, and which of its `sizes` answers to the question."""
    shape = (len(weights_S), n, k)
    first = rng.random(shape) < weights_S[:, None, None]
    return first, np.where(first, rng.integers(0, sizes[0], shape), rng.integers(0, sizes[1], shape))


def plant(run_a: Path, run_b: Path, effect: float, seeds: int, seed_sd: float, random: int, out: Path) -> Planted:
    """Write two planted runs below `out`, which must be new: `effect` points apart, `seed_sd` points between the true scores
    of seeds, on the macro average out of distribution, or in it where that is missing.

    Raises as `load_result` and `load_questions` do; UsageError for runs that cannot be compared, have no samples or no macro
    average, or are too close.
    """
    if out.exists():
        raise UsageError(f"{out} exists; name a new folder")
    sources = [load_result(run) for run in (run_a, run_b)]
    check_identity(sources)
    for source in sources:
        if source.spec.get(PLANTED):
            raise UsageError(f"{source.run} is planted itself")
        if not load_questions(source):
            raise UsageError(f"{source.run} has no samples")
    role = next((r for r in ("ood", "id") if all(x.macro.of(r) is not None for x in sources)), None)
    if role is None:
        raise UsageError("the runs have no suite in or out of distribution, and so no macro average")
    scores = [{**{n: s.avg for n, s in x.suites.items()}, **_macros(x)} for x in sources]
    measure = f"macro:{role}"
    mixed = mixture(100 * (scores[0][measure] - scores[1][measure]), effect, seed_sd)
    pools = [{name: _pool(source, name) for name in source.suites} for source in sources]
    rng = np.random.default_rng(random)
    names = (run_a.resolve().name, run_b.resolve().name)
    said = {"of": list(names), "effect": effect, "measure": measure, "seed_sd": seed_sd, "random": random}
    folders = (out / "arm", out / "baseline")
    for folder, source, weight in zip(folders, sources, mixed.weights, strict=True):
        own = {name: weight * scores[0][name] + (1 - weight) * scores[1][name] for name in source.suites}
        settings = {**source.spec, "seeds": list(range(seeds)), PLANTED: {**said, "weight": weight, "scores": own}}
        weights_S = seed_weights(weight, mixed.sd, seeds, rng)
        samples = {name: _mixed(name, (pools[0][name], pools[1][name]), source.suites[name].k, weights_S, rng) for name in own}
        _write(folder, source, settings, samples, names)
    apart = mixed.weights[0] - mixed.weights[1]
    return Planted(folders, names, measure, {key: 100 * apart * (scores[0][key] - scores[1][key]) for key in scores[0]})


def _macros(source: Result) -> dict[str, float]:
    return {f"macro:{role}": mean for role in ("id", "ood") if (mean := source.macro.of(role)) is not None}


Pool = dict[bool, dict[str, list[AnySampleRow]]]
"""The answers to every problem, those of a greedy pass by themselves."""


def _pool(source: Result, suite: str) -> Pool:
    run = Path(source.run)
    rows: Sequence[AnySampleRow]
    if is_filed(run):
        rows = decode_filed(read_packed(run, read_manifest(run), suite), run / samples_name(suite))
    else:
        rows = read_samples(samples_path(run, suite))
    out: Pool = {False: {}, True: {}}
    for row in canonical(rows, source.seeds, True):
        out[row.greedy].setdefault(row.problem, []).append(row)
    return out


def _mixed(suite: str, pools: tuple[Pool, Pool], k: int, weights_S: Array, rng: np.random.Generator) -> list[SampleRow]:
    """The samples of a planted run on a suite."""
    out = []
    for greedy, drawn in ((False, k), (True, 1)):
        own = [pool[greedy] for pool in pools]
        if own[0].keys() != own[1].keys():
            raise UsageError(f"the runs differ in the questions of {suite}" + (" that have a greedy pass" if greedy else ""))
        if not own[0]:
            continue
        ids = sorted(own[0])
        sizes = [len(pool[ids[0]]) for pool in own]
        first, which = draw(weights_S, len(ids), drawn, (sizes[0], sizes[1]), rng)
        for s, q, i in np.ndindex(*first.shape):
            row = own[0 if first[s, q, i] else 1][ids[q]][which[s, q, i]]
            fields = {name: getattr(row, name) for name in ROW}
            prompt = row.prompt if isinstance(row.prompt, str) else ""
            out.append(SampleRow(**{**fields, "suite": suite, "seed": s, "index": i, "eval_seed": s, "prompt": prompt}))
    return out


ROW = tuple(
    f.name for f in msgspec.structs.fields(SampleRow) if f.name not in ("suite", "seed", "index", "eval_seed", "prompt")
)
"""What a planted sample has from its source."""


def _write(
    folder: Path, source: Result, settings: dict[str, Any], samples: dict[str, list[SampleRow]], names: tuple[str, str]
) -> None:
    seeds = tuple(settings["seeds"])
    suites = {
        name: join(source.suites[name].facts, score_suite(rows, source.suites[name].k, seeds, source.suites[name].flagged))
        for name, rows in samples.items()
    }
    paid = [source.ledgers[seed] for seed in source.seeds]
    ledgers = {seed: paid[seed % len(paid)] for seed in seeds}
    stamp = f"it is planted: its answers are drawn from those of {names[0]} and {names[1]}"
    result = msgspec.structs.replace(
        source,
        run=folder.name,
        seeds=seeds,
        spec=settings,
        spec_hash=spec_sha256(settings),
        suites=suites,
        macro=macro_averages([(s.role, s.figures) for s in suites.values()], seeds),
        ledgers=ledgers,
        ledger=Ledger.total(ledgers.values()),
        not_a_result="; ".join(filter(None, (source.not_a_result, stamp))),
        stopped={},
        first_rollouts={},
    )
    try:
        for name, rows in samples.items():
            write_text(samples_path(folder, name), "".join(map(formats.json_line, rows)))
        formats.write(folder / SPEC_FILE, StoredSpec(hash=result.spec_hash, spec=settings))
        write_result(folder, result)
    except OSError as e:
        raise HarnessError(f"cannot write {folder}: {e.strerror}") from None
