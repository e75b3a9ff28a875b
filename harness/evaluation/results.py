"""What a run and an evaluation of a finished policy have in common: a result made of its seeds' results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import asdict

from harness.config import PolicySpec, RunSpec
from harness.core.errors import HarnessError, MissingError
from harness.core.ledger import Ledger
from harness.core.method import Method
from harness.data.suites import Suite
from harness.data.training_sets import TrainingSet
from harness.evaluation.evaluate import SuiteResult
from harness.evaluation.scores import macro_averages, over_seeds
from harness.runs.result import Macro, SeedResult, SeedScores, SuiteFacts, SuiteScores, join

T = TypeVar("T")

GRADERS = ("math-verify", "latex2sympy2-extended", "lm-eval")
"""Packages whose version can change a score."""


def seed_result(
    results: Sequence[SuiteResult],
    identity: Mapping[str, Any],
    flagged: Mapping[str, Collection[str]],
    ledger: Ledger | None = None,
    stopped: str | None = None,
) -> SeedResult:
    """What a seed reached. `identity` says what answered; `flagged`: by suite, ids that match training problems."""
    suites = {
        r.suite: SeedScores(
            **asdict(r.figures(flagged.get(r.suite, ()))),
            n=r.n,
            k=r.k,
            temperature=r.temperature,
            max_new_tokens=r.max_new_tokens,
        )
        for r in results
    }
    graders = {name: version(name) for name in GRADERS}
    return SeedResult(identity={**identity, "graders": graders}, suites=suites, ledger=ledger, stopped=stopped)


@dataclass(frozen=True)
class Combined:
    """What the seeds of a run reached together: these fields of result.json."""

    identity: dict[str, Any]
    suites: dict[str, SuiteScores]
    macro: Macro


def combine(
    seeds: Mapping[int, SeedResult],
    suites: Sequence[Suite],
    training_set: TrainingSet,
    flagged: Mapping[str, Sequence[str]],
    data_dir: Path | None = None,
) -> Combined:
    """Means over seeds, and macro averages by role. Raises as `combined`."""
    first = next(iter(seeds.values())).suites
    facts = {
        suite.name: SuiteFacts(
            role=training_set.role_of(suite.name) or "other",
            title=suite.title,
            data_sha256=suite.data_sha256(data_dir),
            n=first[suite.name].n,
            k=first[suite.name].k,
            temperature=first[suite.name].temperature,
            max_new_tokens=first[suite.name].max_new_tokens,
            flagged=list(flagged.get(suite.name, ())),
            clusters=suite.clusters(data_dir),
        )
        for suite in suites
    }
    return combined(seeds, facts)


def combined(seeds: Mapping[int, SeedResult], facts: Mapping[str, SuiteFacts]) -> Combined:
    """The same on suites of which all is known.

    Raises HarnessError where seeds were answered by different engines, as after an upgrade in mid-run.
    """
    first, identity = next((seed, found.identity) for seed, found in seeds.items())
    for seed, found in seeds.items():
        if found.identity != identity:
            differ = [k for k in identity if found.identity.get(k) != identity[k]]
            raise HarnessError(f"seeds {first} and {seed} were evaluated under different conditions: {', '.join(differ)}")
    out = {name: join(own, over_seeds({s: found.suites[name] for s, found in seeds.items()})) for name, own in facts.items()}
    macro = macro_averages([(s.role, s.figures) for s in out.values()], list(seeds))
    return Combined(identity, out, macro)


@dataclass(frozen=True)
class Told:
    """What the training was told beyond rewards: `reference` of training problems (none, answer or solution), `source` that
    wrote it, and `teacher`, which other model wrote for the training."""

    reference: str
    source: str
    teacher: str | None


def what_was_told(spec: RunSpec, training_set: TrainingSet, method: Method) -> Told:
    """It follows from the settings; `method` is made with them."""
    source = (training_set.solutions if method.reference == "solution" else None) or "none"
    writer = spec.method_config.get("teacher") or spec.method_config.get("reflector") or {}
    teacher = source if "teacher" in spec.method_config else None
    if writer.get("kind") == "replay":
        teacher = "a recording"
    elif writer.get("kind") == "openai" and writer["model"] != spec.model.id:  # a server may hold the policy itself
        teacher = str(writer["model"])
    return Told(method.reference, source, teacher)


def reasons_by_settings(spec: PolicySpec) -> list[str]:
    """Why a run with these settings is no result, whatever comes out of it."""
    reasons = []
    if spec.eval.limit:
        reasons.append(f"only the first {spec.eval.limit} problems of each suite were evaluated (--limit)")
    if isinstance(spec, RunSpec) and spec.backend.rehearse:
        reasons.append("it is a rehearsal of the backend (--rehearse)")
    return reasons


def not_a_result_reason(spec: PolicySpec, *deviations: str | None) -> str | None:
    """Why scores must not be quoted, or None."""
    return "; ".join([*reasons_by_settings(spec), *(d for d in deviations if d)]) or None


def reasons_by_seeds(stopped: Mapping[int, str]) -> list[str]:
    """The same because of seeds that a guard stopped, by seed with its reason."""
    return [f"the training of seed {seed} was stopped: {reason}" for seed, reason in stopped.items()]


@dataclass
class Checklist:
    """Collects what is missing, so that one error names all of it."""

    missing: list[str]

    def get(self, check: Callable[[], T]) -> T | None:
        """The value of `check`; None, and a note, where it raises MissingError."""
        try:
            return check()
        except MissingError as e:
            self.missing.append(str(e))
            return None

    def settle(self) -> None:
        """Raises MissingError with everything that is missing."""
        if self.missing:
            raise MissingError("; ".join(dict.fromkeys(self.missing)))
