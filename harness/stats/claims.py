"""Published claims as files: what one states, and the settings that make both of its arms.

A claim is a gain of one arm over another on a mean of suites, with the recipe and settings that make both arms.
harness/stats/assess.py says whether runs bear it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from harness.config import RunSpec, merge, parse_set, read_yaml, resolve
from harness.core.errors import MissingError, UsageError, dotted, nearest
from harness.core.settings import Strict

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
