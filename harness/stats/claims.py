"""Published claims and whether runs bear them out: YAML in, a verdict out (docs/statistics.md has the rule).

A claim is a gain of one arm over another on a mean of suites, with the recipe and settings that make both arms. A run is
an arm of a claim if its spec is that recipe's in everything but seeds and the place where it ran.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from harness.config import RunSpec, flatten, merge, parse_set, read_yaml, resolve
from harness.core.errors import HarnessError, MissingError, UsageError, dotted, nearest
from harness.core.settings import Strict
from harness.core.tables import Table, interval, points, visible
from harness.stats.arms import check_identity

if TYPE_CHECKING:
    from harness.stats.compare import Bounds
    from harness.stats.intervals import Array
    from harness.stats.questions import Questions

Verdict = Literal[
    "reproduced",
    "reproduced, smaller",
    "reproduced, larger",
    "not reproduced",
    "contradicted",
    "underpowered",
    "not assessable",
]
VERDICTS: tuple[str, ...] = get_args(Verdict)
MIN_SEEDS = 3
"""Per arm; with fewer nothing is assessed."""
IGNORED_FIELDS = ("seeds", "recipe", "backend.", "local.", "eval.bench", "eval.limit")
"""Settings that do not make another arm: what ran, where. Problems left out by a limit are found by counting them."""
SERVER = ("base_url", "timeout_s", "max_retries", "concurrency")
"""Of a reflector: how it is reached, not what it is."""


class ClaimArm(Strict):
    """One side of a claim."""

    method: str
    """A name of `harness list methods`."""
    settings: dict[str, Any] = {}
    """On top of the recipe, as `--set` takes them."""


class ClaimArms(Strict):
    """Who is said to gain over whom."""

    arm: ClaimArm
    baseline: ClaimArm


class ClaimScores(Strict):
    """Published scores, percent."""

    arm: float
    baseline: float


class Claim(Strict):
    """One published statement: `arms.arm` scores `effect` points above `arms.baseline`."""

    name: str
    """The file's name without suffix."""
    text: str
    """The claim in a sentence."""
    source: str
    """Where it is published, with its numbers."""
    metric: Literal["avg@k"]
    """What is averaged, without weights, over the suites: avg@k with each suite's own k."""
    grader: Literal["primary", "parity"] = "primary"
    """Whose grades the published scores rest on."""
    suites: tuple[str, ...] = Field(min_length=1)
    """All of them are needed."""
    effect: float = Field(gt=0, le=100)
    """The claimed gain, percent points."""
    scores: ClaimScores | None = None
    """The published scores, where there are any."""
    tolerance: float | None = Field(None, gt=0)
    """How far, in points, the baseline's score may lie from the published one before that is said."""
    training_set: str
    """A name of benchmarks/training_sets.yaml."""
    recipe: str
    """A name of `harness list recipes`; with the settings it makes both arms."""
    settings: dict[str, Any] = {}
    """Of both arms, as `--set` takes them."""
    arms: ClaimArms
    """The two sides."""
    budget: Literal["tokens", "rollouts", "any"] = "tokens"
    """What must be equal, to 5%: sampled tokens and rollouts, rollouts alone, or nothing. What need not be is a modifier."""
    checkpoint: Literal["last", "selected"] = "last"
    """Which checkpoint the published scores are of."""
    seed_sd: tuple[Annotated[float, Field(gt=0, le=100)], ...] = (1.0, 2.0)
    """Spreads over seeds, in points, that a plan without a pilot reckons with."""
    expected: Verdict | None = None
    """`harness claim check` fails on any other verdict."""

    @model_validator(mode="after")
    def _contradictions(self) -> Claim:
        if self.scores and abs(self.scores.arm - self.scores.baseline - self.effect) > 0.051:
            raise ValueError(f"effect {self.effect} is not the difference of the scores")
        if self.tolerance and not self.scores:
            raise ValueError("tolerance needs scores")
        return self

    def sets(self, arm: ClaimArm) -> dict[str, Any]:
        return {**self.settings, **arm.settings}

    @cached_property
    def specs(self) -> dict[str, RunSpec]:
        """The settings of `arm` and `baseline`. Raises as `resolve`."""
        return {side: self._spec(arm) for side, arm in self.sides.items()}

    @property
    def sides(self) -> dict[str, ClaimArm]:
        return {"arm": self.arms.arm, "baseline": self.arms.baseline}

    def _spec(self, arm: ClaimArm) -> RunSpec:
        tree: dict[str, Any] = {"eval": {"bench": ",".join(self.suites)}}
        for key, value in self.sets(arm).items():
            if "=" in key:
                raise UsageError(f"settings: {key!r} is no name of a setting")
            item = parse_set(f"{key}=null")
            _fill(item, value)
            tree = merge(tree, item)
        return resolve(arm.method, self.recipe, flags=tree)


def _fill(tree: dict[str, Any], value: Any) -> None:
    """Put `value` where a nest of single keys ends."""
    [(key, inner)] = tree.items()
    if inner is None:
        tree[key] = value
    else:
        _fill(inner, value)


def claims_dir() -> Path:
    """The folder of the claims that come with the package."""
    return Path(str(files("harness.leaderboards"))) / "claims"


def load_claims(folder: Path | None = None) -> dict[str, Claim]:
    """All claims of a folder, by name. Raises MissingError for no folder, UsageError for a claim that is none."""
    folder = folder or claims_dir()
    if not folder.is_dir():
        raise MissingError(f"no folder of claims at {folder}")
    return {path.stem: _load(path) for path in sorted(folder.glob("*.yaml"))}


def _load(path: Path) -> Claim:
    from harness.data.suites import load_suite
    from harness.data.training_sets import load_training_set

    try:
        claim = Claim.model_validate({**read_yaml(path), "name": path.stem})
    except ValidationError as e:
        err = e.errors()[0]
        where = dotted(err["loc"]) or "claim"
        raise UsageError(f"{path}: {where}: {err['msg'].removeprefix('Value error, ')}") from None
    try:
        load_training_set(claim.training_set)
        for suite in claim.suites:
            load_suite(suite)
        trained = {spec.train.set for spec in claim.specs.values()}
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from None
    if trained != {claim.training_set}:
        raise UsageError(f"{path}: its arms are trained on {', '.join(sorted(trained))}, not on {claim.training_set}")
    return claim


def verdict(low: float, high: float, effect: float) -> Verdict:
    """The rule: from the fixed-suite interval of the measured gain and the claimed one, which is above 0."""
    if high < 0:
        return "contradicted"
    if low > 0:
        return "reproduced, smaller" if high < effect else "reproduced, larger" if low > effect else "reproduced"
    return "not reproduced" if high < effect else "underpowered"


@dataclass(frozen=True)
class Assessment:
    """A claim and what the runs say; differences and intervals are percent points.

    `fixed` (these questions) and `new` (new ones) are at confidence 1 - `level`, which is below .95 where several claims
    are assessed at once. `modifiers` maps each one's name to why. `reasons` say why nothing is assessed, `needs` what
    would change an open verdict. `missing`: no run of one of its arms was given.
    """

    claim: str
    text: str
    effect: float
    verdict: Verdict
    runs: dict[str, str]
    seeds: dict[str, int]
    scores: dict[str, float]
    difference: float | None
    fixed: Bounds | None
    new: Bounds | None
    level: float | None
    p: float | None
    modifiers: dict[str, str]
    reasons: tuple[str, ...]
    needs: tuple[str, ...]
    expected: Verdict | None
    missing: bool

    def as_expected(self, named: bool) -> bool | None:
        """None where nothing is expected, or no run was given of a claim that nobody `named`."""
        if self.expected is None or (self.missing and not named):
            return None
        return self.verdict == self.expected


@dataclass(frozen=True)
class _Evidence:
    """Cells of both arms, each suite, under the claim's grader and the other one (None where there is none)."""

    claim: Claim
    results: tuple[Mapping[str, Any], Mapping[str, Any]]
    questions: tuple[list[Questions], list[Questions]]

    def cells(self, grader: str, without: Mapping[str, set[str]] | None = None) -> tuple[list[Array], list[Array]] | None:
        out: list[list[Array]] = []
        for arm in self.questions:
            kept = [q.without(without[name]) if without else q for name, q in zip(self.claim.suites, arm, strict=True)]
            arrays = [q.scores_S_Q if grader == "primary" else q.parity_S_Q for q in kept]
            if any(x is None for x in arrays):
                return None
            out.append([x for x in arrays if x is not None and x.shape[-1]])
        return (out[0], out[1]) if out[0] else None

    @property
    def flagged(self) -> dict[str, set[str]]:
        """By suite, the problems that match training problems."""
        found: dict[str, set[str]] = {}
        for name in self.claim.suites:
            found[name] = {p for r in self.results for p in r["suites"][name].get("flagged", ())}
        return found


def check(claims: Sequence[Claim], runs: Sequence[Path], alpha: float = 0.05) -> list[Assessment]:
    """Assess claims on runs, or all runs below folders, Holm-adjusted over those that can be assessed.

    `alpha` is for a planned second look (docs/statistics.md). Raises as `load_result`: a run that cannot be read is no
    evidence for anything.
    """
    from harness.runs.result import load_result, runs_below
    from harness.stats import intervals

    results = [load_result(run) for path in runs for run in runs_below(path) or [path]]
    found = {claim.name: _gather(claim, results) for claim in claims}
    measured = {name: _measure(x) for name, x in found.items() if isinstance(x, _Evidence)}
    levels = intervals.holm_levels({name: float(fixed.p()) for name, (fixed, _) in measured.items()}, alpha)
    out = []
    for claim in claims:
        evidence = found[claim.name]
        if isinstance(evidence, _Evidence):
            out.append(_assess(evidence, *measured[claim.name], levels[claim.name]))
        else:
            out.append(evidence)
    return out


def _gather(claim: Claim, results: Sequence[Mapping[str, Any]]) -> _Evidence | Assessment:
    """The evidence on a claim, or its assessment where there is none to speak of."""
    from harness.stats.questions import load_questions

    chosen: dict[str, Mapping[str, Any]] = {}
    reasons: list[str] = []
    for side, arm in claim.sides.items():
        spec = claim.specs[side]
        near = sorted(((_differences(spec, r), i) for i, r in enumerate(results)), key=lambda x: (len(x[0]), x[1]))
        exact = [results[i] for differ, i in near if not differ]
        if len(exact) == 1:
            chosen[side] = exact[0]
        elif exact:
            reasons.append(f"{len(exact)} runs are its {side}; name one: {', '.join(r['run'] for r in exact)}")
        else:
            same = [x for x in near if results[x[1]]["method"] == arm.method and not _elsewhere(spec, results[x[1]])]
            hint = f"; {results[same[0][1]]['run']} differs in {', '.join(same[0][0][:3])}" if same else ""
            reasons.append(f"no run is its {side}, {arm.method}{hint}")
    missing = len(chosen) < 2
    if not missing:
        reasons += _ineligible(claim, chosen)
    questions: list[list[Questions]] = []
    if not reasons:
        for result in chosen.values():
            try:
                own = load_questions({**result, "suites": {name: result["suites"][name] for name in claim.suites}})
            except HarnessError as e:
                reasons.append(str(e))
                continue
            if not own:
                reasons.append(f"{result['run']} has no samples")
            else:
                questions.append([own[name] for name in claim.suites])
    if not reasons:
        reasons += _question_mismatches(claim, questions)
    if reasons:
        return _not_assessable(claim, chosen, tuple(reasons), missing)
    evidence = _Evidence(claim, (chosen["arm"], chosen["baseline"]), (questions[0], questions[1]))
    if not _measure(evidence)[0].spread:
        return _not_assessable(claim, chosen, ("the seeds do not scatter at all, so there is no interval",), missing)
    return evidence


def _differences(spec: RunSpec, result: Mapping[str, Any]) -> list[str]:
    """Settings in which a run is not this arm, in words."""
    wanted = flatten(spec.model_dump(mode="json"))
    own = flatten(result["spec"])
    differ = [
        k for k, v in wanted.items() if k in own and own[k] != v and not k.startswith(IGNORED_FIELDS) and not k.endswith(SERVER)
    ]
    return [f"{k} ({own[k]!r}, claimed {wanted[k]!r})" for k in sorted(differ)]


def _elsewhere(spec: RunSpec, result: Mapping[str, Any]) -> bool:
    """Whether a run is of another model or training set, and its other settings of no interest."""
    return (result["model"], result["training_set"]) != (spec.model.id, spec.train.set)


def _ineligible(claim: Claim, chosen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why these two runs cannot be held against the claim."""
    from harness.data.suites import load_suite
    from harness.stats.compare import budget_of, mismatched

    reasons = []
    for result in chosen.values():
        absent = [name for name in claim.suites if name not in result["suites"]]
        if absent:
            reasons.append(f"{result['run']} was not evaluated on {', '.join(absent)}")
        for name in claim.suites:
            n, size = result["suites"].get(name, {}).get("n"), load_suite(name).size
            if n is not None and n != size:
                reasons.append(f"{result['run']} has {n} of the {size} problems of {name}")
        if result.get("not_a_result"):
            reasons.append(f"{result['run']} is not a result: {result['not_a_result']}")
        if len(result["seeds"]) < MIN_SEEDS:
            reasons.append(f"{result['run']} has {len(result['seeds'])} seeds; {MIN_SEEDS} are the least")
    if reasons:
        return reasons
    arm, baseline = chosen["arm"], chosen["baseline"]
    try:
        check_identity([{**r, "suites": {n: r["suites"][n] for n in claim.suites}} for r in (arm, baseline)])
    except UsageError as e:
        reasons.append(str(e))
    needed = {"tokens": ("rollouts", "sampled tokens"), "rollouts": ("rollouts",), "any": ()}[claim.budget]
    for key, (a, b) in mismatched(budget_of(arm), budget_of(baseline)).items():
        if key in needed:
            reasons.append(f"unequal budget: {key} {a:,.0f} against {b:,.0f} a seed")
    return reasons


def _question_mismatches(claim: Claim, questions: Sequence[list[Questions]]) -> list[str]:
    pairs = list(zip(claim.suites, *questions, strict=True))
    differ = [name for name, a, b in pairs if a.ids != b.ids]
    ungraded = [n for n, a, b in pairs if claim.grader == "parity" and (a.parity_S_Q is None or b.parity_S_Q is None)]
    return [
        *([f"the runs differ in the questions of {', '.join(differ)}"] if differ else []),
        *([f"no grades of the claim's grader on {', '.join(ungraded)}"] if ungraded else []),
    ]


def _measure(x: _Evidence, grader: str | None = None, without: Mapping[str, set[str]] | None = None) -> Any:
    """Both estimates of the gain, shares; None where that grader or those questions are not there."""
    from harness.stats import intervals

    cells = x.cells(grader or x.claim.grader, without)
    if cells is None:
        return None
    per_seed = [sum(y.mean(-1) for y in arm) / len(arm) for arm in cells]
    return intervals.seed_difference(*per_seed), intervals.question_difference(*cells)


def _points(estimate: Any, level: float) -> Bounds:
    from harness.stats.compare import Bounds

    low, high = estimate.interval(level)
    return Bounds(100 * float(low), 100 * float(high), 100 * float(estimate.se), float(estimate.df))


def _assess(x: _Evidence, fixed: Any, new: Any, level: float) -> Assessment:
    from harness.stats.compare import budget_of, mismatched

    claim = x.claim
    bounds, wide = _points(fixed, level), _points(new, level)
    found = verdict(bounds.low, bounds.high, claim.effect)
    modifiers: dict[str, str] = {}
    if wide.low > 0 or wide.high < 0:
        modifiers["generalises"] = "the interval for new questions excludes 0 as well"
    other = "parity" if claim.grader == "primary" else "primary"
    for name, again in (("grader-sensitive", _measure(x, other)), ("contaminated", None)):
        if name == "contaminated" and any(x.flagged.values()):
            again = _measure(x, without=x.flagged)
        if again is None:
            continue
        b = _points(again[0], level)
        would = verdict(b.low, b.high, claim.effect)
        if name == "contaminated":
            count = sum(map(len, x.flagged.values()))
            modifiers[name] = f"{count} problems match training problems; without them: {would}"
        elif would != found:
            modifiers[name] = f"under the {other} grader: {would}"
    off = mismatched(*(budget_of(r) for r in x.results))
    if off:
        modifiers["budget-mismatch"] = "; ".join(f"{k} {a:,.0f} against {b:,.0f} a seed" for k, (a, b) in off.items())
    if claim.checkpoint == "selected":
        modifiers["checkpoint-selected"] = "the published scores are of a selected checkpoint, these of the last"
    cells = x.cells(claim.grader)
    assert cells is not None
    sides = ("arm", "baseline")
    scores = {side: 100 * float(sum(y.mean() for y in own)) / len(own) for side, own in zip(sides, cells, strict=True)}
    if claim.scores and claim.tolerance and abs(scores["baseline"] - claim.scores.baseline) > claim.tolerance:
        modifiers["baseline-differs"] = f"it scores {scores['baseline']:.1f}, published are {claim.scores.baseline:.1f}"
    seeds = {side: len(r["seeds"]) for side, r in zip(sides, x.results, strict=True)}
    out = Assessment(
        claim.name,
        claim.text,
        claim.effect,
        found,
        {s: r["run"] for s, r in zip(seeds, x.results, strict=True)},
        seeds,
        scores,
        100 * float(fixed.value),
        bounds,
        wide,
        level,
        float(fixed.p()),
        modifiers,
        (),
        (),
        claim.expected,
        False,
    )
    if found == "underpowered":
        sd = bounds.se / math.sqrt(sum(1 / n for n in seeds.values()))
        out = replace(out, needs=(seeds_line(claim.effect, [sd], "the runs given"),))
    return out


def _not_assessable(
    claim: Claim, chosen: Mapping[str, Mapping[str, Any]], reasons: tuple[str, ...], missing: bool
) -> Assessment:
    """Not assessable, and what it would take."""
    return Assessment(
        claim.name,
        claim.text,
        claim.effect,
        "not assessable",
        {side: r["run"] for side, r in chosen.items()},
        {side: len(r["seeds"]) for side, r in chosen.items()},
        {},
        None,
        None,
        None,
        None,
        None,
        {},
        reasons,
        tuple(needs(claim, list(chosen.values()))),
        claim.expected,
        missing,
    )


def needs(claim: Claim, pilots: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What an answer would take: seeds per arm, from the spread of `pilots` where they have one, and every arm's plan."""
    from harness.data.training_sets import load_training_set
    from harness.stats.compare import pooled_sd

    per_seed = []
    for r in pilots:
        if all(name in r["suites"] for name in claim.suites):
            suites = [r["suites"][name]["per_seed"] for name in claim.suites]
            per_seed.append([100 * sum(s[str(seed)] for s in suites) / len(suites) for seed in r["seeds"]])
    pooled = pooled_sd(per_seed)
    given = pooled is not None and pooled.sd > 0
    lines = [seeds_line(claim.effect, [pooled.sd] if pooled and given else claim.seed_sd, "the runs given" if given else "")]
    for side, arm in claim.sides.items():
        sets = "".join(f" --set {shlex.quote(f'{k}={_yaml(v)}')}" for k, v in claim.sets(arm).items())
        data = "" if load_training_set(claim.training_set).file is None else " --data-dir DATA"
        bench = ",".join(claim.suites)
        lines.append(f"harness run --method {arm.method} --recipe {claim.recipe} --bench {bench}{sets}{data} --seeds 0,1,2")
        lines.append(f"  {_plan_line(claim, claim.specs[side])}")
    return lines


def seeds_line(effect: float, sds: Sequence[float], source: str) -> str:
    """Seeds needed at each spread, in words; at least MIN_SEEDS."""
    from harness.stats.power import MAX_SEEDS, seeds_needed

    counts = [(sd, seeds_needed(effect, sd)) for sd in sds]
    parts = [f"{f'more than {MAX_SEEDS}' if n is None else max(MIN_SEEDS, n)} at a seed sd of {sd:.1f}" for sd, n in counts]
    of = f" (that of {source})" if source else ""
    return f"seeds an arm for an 80% chance to see {effect:g} points: {', '.join(parts)}{of}"


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plan_line(claim: Claim, spec: RunSpec) -> str:
    """What one seed takes, without the data: only the number of training problems matters."""
    from harness.core.types import Problem
    from harness.data.suites import load_suite
    from harness.data.training_sets import load_training_set
    from harness.plan import plan
    from harness.registry import load_method

    training_set = load_training_set(spec.train.set)
    if training_set.file is None:
        problems = training_set.problems(spec, None)
    elif spec.train.limit:
        problems = [Problem(id=str(i), text="", answer="") for i in range(spec.train.limit)]
    else:
        return "its plan needs the data: --dry-run"
    method = load_method(spec.method)(spec.typed_method_config(), spec.train, problems, 0, training_set.pieces())
    p = plan(spec, method, [load_suite(name) for name in claim.suites])
    return (
        f"a seed: at most {p.rollouts:,} rollouts and {p.generated_tokens:,} tokens, {p.optimiser_steps:,} optimiser "
        f"steps, {p.eval_samples:,} samples of evaluation"
    )


def choose(claims: Mapping[str, Claim], words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Words of the command line as names of claims and run directories. Raises UsageError for a word that is neither."""
    names, runs = [], []
    for word in words:
        if word in claims:
            names.append(word)
        elif Path(word).is_dir():
            runs.append(Path(word))
        else:
            raise UsageError(f"{word!r} is neither a claim nor a run{nearest(word, claims)}")
    return names, runs


def claims_table(found: Sequence[Assessment]) -> Table:
    """A row per claim; below, what each verdict rests on."""
    header = ("claim", "verdict", "claimed", "measured", "these questions", "new questions", "seeds", "modifiers")
    rows, notes = [], []
    for a in found:
        ends = ["" if b is None else interval(b.low / 100, b.high / 100, sign=True) for b in (a.fixed, a.new)]
        measured = "" if a.difference is None else points(a.difference / 100, sign=True)
        seeds = f"{a.seeds['arm']}, {a.seeds['baseline']}" if len(a.seeds) == 2 else ""
        rows.append((a.claim, a.verdict, f"+{a.effect:.1f}", measured, *ends, seeds, ", ".join(a.modifiers)))
        lines = [*a.reasons, *(f"{name}: {why}" for name, why in a.modifiers.items())]
        if a.expected and a.verdict != a.expected and not a.missing:
            lines.append(f"expected is: {a.expected}")
        lines += ["it would take:", *(f"  {line}" for line in a.needs)] if a.needs else []
        notes += [f"\n{a.claim}: {a.text}", *(f"  {line}" for line in lines)] if lines else []
    levels = sorted({a.level for a in found if a.level is not None})
    if levels:
        shown = ", ".join(f"{100 * (1 - level):.3g}%" for level in levels)
        notes.insert(0, f"Percent points; intervals at {shown}, by Holm's procedure over the claims assessed here.")
    return Table("Claims", header, "llrrrrll", rows, tuple(notes))


def junit(found: Sequence[Assessment], named: bool) -> str:
    """JUnit XML for a CI: a case per claim; failed where another verdict is expected, skipped where there is none."""
    from xml.etree import ElementTree as ET

    suite = ET.Element("testsuite", name="harness claim check", tests=str(len(found)))
    counts = {"failures": 0, "skipped": 0}
    for a in found:
        case = ET.SubElement(suite, "testcase", classname="claims", name=visible(a.claim))
        detail = visible("; ".join([*a.reasons, *(f"{k}: {v}" for k, v in a.modifiers.items())]))
        if a.as_expected(named) is False:
            counts["failures"] += 1
            ET.SubElement(case, "failure", message=f"{a.verdict}, expected {a.expected}").text = detail
        elif a.verdict == "not assessable":
            counts["skipped"] += 1
            ET.SubElement(case, "skipped", message=detail or a.verdict)
        measured = "" if a.difference is None else f"; measured {a.difference:+.1f} of {a.effect:+.1f} points"
        ET.SubElement(case, "system-out").text = f"{a.verdict}{measured}; {detail}"
    for key, count in counts.items():
        suite.set(key, str(count))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_dict(found: Sequence[Assessment], named: bool) -> dict[str, Any]:
    """JSON-able."""
    return {"claims": [{**asdict(a), "as_expected": a.as_expected(named)} for a in found]}
