"""Published claims as YAML files.

A claim states a gain of one arm over another on the mean of some suites, with the recipe and settings that define both
arms. harness/stats/assess.py decides whether runs support it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from harness.config import RunSpec, resolve
from harness.core.errors import MissingError, UsageError, dotted, nearest
from harness.core.settings import Strict
from harness.core.trees import merge, parse_set, read_yaml
from harness.stats.protocol import Metric, Pass, in_words, passes_of, planned
from harness.stats.verdicts import MARGIN, Verdict

MIN_SEEDS = 3
"""The least number of seeds per arm for an assessment."""


class ClaimArm(Strict):
    """One side of a claim."""

    method: str
    """A name of `harness list methods`."""
    settings: dict[str, Any] = {}
    """Settings on top of the recipe, in the form of `--set`."""
    spends: dict[Literal["rollouts", "sampled_tokens", "optimiser_steps"], Annotated[float, Field(gt=0)]] = {}
    """What it is published to spend per seed. A run whose ledger differs by more than 5% is none of the claim's."""


class ClaimArms(Strict):
    """The two sides of a claim."""

    arm: ClaimArm
    baseline: ClaimArm


class ClaimScores(Strict):
    """Published scores, in percent."""

    arm: float
    baseline: float


class Claim(Strict):
    """One published statement: `arms.arm` scores `effect` points above `arms.baseline`."""

    name: str
    """The file name without its suffix."""
    text: str
    """The claim in one sentence."""
    source: str
    """Where the claim and its numbers are published."""
    metric: Metric | dict[str, Metric]
    """The score of a suite, the same for all or one for each: `avg@16`, `avg@k` with as many samples as the runs have, or
    `greedy`. Their unweighted mean over the suites counts."""
    temperature: float | None = Field(None, gt=0)
    """At which the samples of avg@k are drawn; by default at any, the same in both runs."""
    grader: Literal["primary", "parity"] = "primary"
    """The grader behind the published scores."""
    suites: tuple[str, ...] = Field(min_length=1)
    """Suites that the runs must have, all of them."""
    effect: float = Field(ge=0, le=100)
    """The claimed gain in percent points; 0 for a claim about `tokens`."""
    tokens: float | None = Field(None, gt=0, lt=1)
    """For a claim of the same score with fewer tokens: the share of the baseline's sampled tokens that the arm spends."""
    margin: float = Field(MARGIN, gt=0)
    """The smallest difference that matters, in percent points."""
    published_seeds: int = Field(1, ge=1)
    """Seeds an arm behind the published number, which varies as much as ours do."""
    kinds: bool | None = None
    """Whether seeds end in one of two ways, solved or not; by default what the training set says of these settings."""
    looks: tuple[int, ...] = ()
    """Numbers of seeds an arm at which the claim is looked at, if more than once: together they keep the level. There is no
    verdict at any other number."""
    paired: bool = False
    """Whether seeds are paired, where the runs show that those of both arms began with the same batch of rollouts."""
    scores: ClaimScores | None = None
    """The published scores, if any."""
    tolerance: float | None = Field(None, gt=0)
    """The distance, in points, from the published baseline score above which the modifier `baseline-differs` is set: the
    sampling error of that score (docs/claims.md)."""
    training_set: str
    """A name of benchmarks/training_sets.yaml."""
    recipe: str
    """A name of `harness list recipes`; together with the settings it defines both arms."""
    settings: dict[str, Any] = {}
    """Settings of both arms, in the form of `--set`."""
    arms: ClaimArms
    """The two sides."""
    budget: Literal["tokens", "rollouts", "any"] = "tokens"
    """What must match within 5%: sampled tokens and rollouts, rollouts alone, or nothing. Any other mismatch is a modifier."""
    checkpoint: Literal["last", "selected"] = "last"
    """The checkpoint behind the published scores."""
    seed_sd: tuple[Annotated[float, Field(gt=0, le=100)], ...] = (1.0, 2.0)
    """Seed standard deviations, in points, that a plan without a pilot assumes."""
    kind_scores: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (0.0, 100.0)
    """Scores of a seed that does not solve the suites and of one that does, in percent, that a plan without runs assumes."""
    expected: Verdict | None = None
    """The expected verdict; `harness claim check` fails on any other."""

    @model_validator(mode="after")
    def _contradictions(self) -> Claim:
        if (self.tokens is None) == (self.effect == 0):
            raise ValueError("a claim has either an effect above 0 or tokens")
        if self.tokens and self.budget != "any":
            raise ValueError("a claim of fewer tokens needs budget: any")
        if self.effect and self.margin >= self.effect:
            raise ValueError(f"the margin {self.margin:g} must be below the effect {self.effect:g}")
        if self.scores and self.effect and abs(self.scores.arm - self.scores.baseline - self.effect) > 0.051:
            raise ValueError(f"effect {self.effect} is not the difference between the scores")
        if self.kind_scores[0] >= self.kind_scores[1]:
            raise ValueError("kind_scores are the score of a seed that does not solve the suites, and a higher one")
        if self.tolerance and not self.scores:
            raise ValueError("tolerance needs scores")
        if self.looks and (self.looks[0] < MIN_SEEDS or list(self.looks) != sorted(set(self.looks))):
            raise ValueError(f"looks are rising numbers of seeds, from {MIN_SEEDS}")
        if not isinstance(self.metric, str) and set(self.metric) != set(self.suites):
            raise ValueError("metric names other suites than the claim")
        return self

    @property
    def passes(self) -> dict[str, Pass]:
        """How the score of every suite is taken."""
        return passes_of(self.metric, self.temperature, self.suites)

    @property
    def claimed(self) -> str:
        """The gain in points, or the share of tokens at the same score, as tables have it."""
        return f"+{self.effect:.1f}" if self.tokens is None else f"{100 * self.tokens:.0f}% of tokens"

    @property
    def budgets(self) -> str:
        """Which budgets must hold, in a word or two: what is published, or what is equal."""
        if any(arm.spends for arm in self.sides.values()):
            return "as published"
        return "any" if self.budget == "any" else f"equal {self.budget}"

    def sets(self, arm: ClaimArm) -> dict[str, Any]:
        return {**self.settings, **arm.settings}

    @cached_property
    def specs(self) -> dict[str, RunSpec]:
        """The specs of `arm` and `baseline`. Raises as `resolve` does."""
        return {side: self._spec(arm) for side, arm in self.sides.items()}

    @property
    def solved_at(self) -> float | None:
        """The share from which on a seed counts as having solved the suites, where the claim's settings are such that seeds do
        or do not; None elsewhere, and where `kinds` says that they are not of two kinds."""
        from harness.data.training_sets import solved_at

        specs = (spec.model_dump(mode="json") for spec in self.specs.values())
        return None if self.kinds is False else solved_at([self.training_set], specs)

    @property
    def sides(self) -> dict[str, ClaimArm]:
        return {"arm": self.arms.arm, "baseline": self.arms.baseline}

    def _spec(self, arm: ClaimArm) -> RunSpec:
        tree: dict[str, Any] = {"eval": {"bench": ",".join(self.suites)}}
        for key, value in self.sets(arm).items():
            if "=" in key:
                raise UsageError(f"settings: {key!r} is not the name of a setting")
            item = parse_set(f"{key}=null")
            _fill(item, value)
            tree = merge(tree, item)
        return resolve(arm.method, self.recipe, flags=tree)


def _fill(tree: dict[str, Any], value: Any) -> None:
    """Put `value` at the end of a chain of single keys."""
    [(key, inner)] = tree.items()
    if inner is None:
        tree[key] = value
    else:
        _fill(inner, value)


def claims_dir() -> Path:
    """The folder of the claims shipped with the package."""
    return Path(str(files("harness.leaderboards"))) / "claims"


def load_claims(folder: Path | None = None) -> dict[str, Claim]:
    """All claims in a folder, by name. Raises MissingError for a missing folder, UsageError for an invalid claim."""
    folder = folder or claims_dir()
    if not folder.is_dir():
        raise MissingError(f"no folder of claims at {folder}")
    return {path.stem: load_claim(path) for path in sorted(folder.glob("*.yaml"), key=lambda p: p.stem)}


def find_claim(word: str) -> Claim:
    """The claim of a shipped name or of a file. Raises MissingError or UsageError if there is none, or it is invalid."""
    if word.endswith(".yaml"):
        if not Path(word).is_file():
            raise MissingError(f"no claim at {word}")
        return load_claim(Path(word))
    known = sorted(path.stem for path in claims_dir().glob("*.yaml"))
    if word not in known:
        raise UsageError(f"unknown claim {word!r}{nearest(word, known)}")
    return load_claim(claims_dir() / f"{word}.yaml")


def load_claim(path: Path) -> Claim:
    """The claim in a file. Raises UsageError for an invalid one."""
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
        suites = [load_suite(name) for name in claim.suites]
        trained = {spec.train.set for spec in claim.specs.values()}
    except UsageError as e:
        raise UsageError(f"{path}: {e}") from None
    for suite, wanted in zip(suites, claim.passes.values(), strict=True):
        for spec in claim.specs.values():
            if wanted.among(drawn := planned(suite, spec.eval)) is None:
                raise UsageError(f"{path}: metric: {wanted} on {suite.name}, where its settings draw {in_words(drawn)}")
    if trained != {claim.training_set}:
        raise UsageError(f"{path}: its arms train on {', '.join(sorted(trained))}, not on {claim.training_set}")
    return claim


def choose(claims: Mapping[str, Claim], words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Sort command-line words into claim names and run directories. Raises UsageError for a word that is neither."""
    names, runs = [], []
    for word in words:
        if word in claims:
            names.append(word)
        elif Path(word).is_dir():
            runs.append(Path(word))
        else:
            raise UsageError(f"{word!r} is neither a claim nor a run{nearest(word, claims)}")
    return names, runs
