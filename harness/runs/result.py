"""result.json and what it is made of: the scores of a finished run, and the only place that reads and writes them.

    Figures           one suite, one seed: everything that follows from its samples
    SuiteFigures      one suite over seeds (metrics.json of a filed run)
    SuiteFacts        what a suite is and how it was sampled (manifest.json of a filed run)
    SuiteScores       both (result.json)
    SeedResult        results/s<seed>.json, what a finished seed leaves
    ResultFile        result.json;  Result: the same with the run's settings

Scores and shares are in [0, 1]; `None` stands for what there is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.core.errors import HarnessError
from harness.core.hints import Coverage
from harness.core.ledger import Ledger
from harness.runs import formats
from harness.runs.spec import has_spec, read_spec

Role = Literal["id", "ood", "other"]
ROLES: tuple[Role, ...] = ("ood", "id", "other")

_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that follows from the samples of a suite: k for each of n problems, and one more where the suite has a
    greedy pass.

    `avg` is avg@k; `avg_clean` the same without the problems that match training problems, None where none or all do.
    `pass_at` is the unbiased pass@1 and pass@k. `truncated` and `unparsed` are shares of the samples; `grader_faults` counts
    timeouts and errors of the grader, `overlong` the samples without an answer, because the model cannot read so long a
    prompt. `parity_avg` is the mean under the second grader and `disagreement` the share of
    samples that the two judge differently. `greedy` and `greedy_parity` are the means of the greedy pass, whose samples
    count nowhere else but in the tokens. Tokens are sums.
    """

    avg: float
    avg_clean: float | None
    pass_at: dict[int, float]
    truncated: float
    unparsed: float
    grader_faults: int
    parity_avg: float | None
    disagreement: float | None
    greedy: float | None
    greedy_parity: float | None
    prompt_tokens: int
    generated_tokens: int
    overlong: int = 0


class SuiteFigures(Figures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Means over seeds, except that faults, overlong samples and tokens are sums; `per_seed` is `avg` and `per_seed_clean` is
    `avg_clean`."""

    per_seed: dict[int, float]
    per_seed_clean: dict[int, float]


class SuiteFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a suite is, and how it was sampled. `flagged`: ids of its problems that match training problems. `clusters`: where
    questions come in families, that of every problem by its id; else, and in older runs, empty."""

    role: Role
    title: str
    data_sha256: str | None
    n: int
    k: int
    temperature: float
    max_new_tokens: int
    flagged: list[str]
    clusters: dict[str, str] = {}


class SuiteScores(SuiteFigures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite of result.json: the fields of SuiteFacts and SuiteFigures together."""

    role: Role
    title: str
    data_sha256: str | None
    n: int
    k: int
    temperature: float
    max_new_tokens: int
    flagged: list[str]
    clusters: dict[str, str] = {}

    @property
    def facts(self) -> SuiteFacts:
        return msgspec.convert(self, SuiteFacts, from_attributes=True)

    @property
    def figures(self) -> SuiteFigures:
        return msgspec.convert(self, SuiteFigures, from_attributes=True)

    def drawn(self, seeds: int) -> int:
        """Completions behind these figures, the greedy ones included."""
        return self.n * (self.k + (self.greedy is not None)) * seeds


def join(facts: SuiteFacts, figures: SuiteFigures) -> SuiteScores:
    """A suite as result.json has it."""
    return SuiteScores(**msgspec.structs.asdict(facts), **msgspec.structs.asdict(figures))


class RoleMeans(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Macro averages: the unweighted mean of `avg` over the suites of a role, None where it has none."""

    id: float | None
    ood: float | None

    def of(self, role: str) -> float | None:
        """That of a role; `other` has none."""
        return {"id": self.id, "ood": self.ood}.get(role)


class Macro(RoleMeans, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Macro averages over seeds, and those of every seed."""

    per_seed: dict[int, RoleMeans]


class SeedScores(Figures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite of one seed."""

    n: int
    k: int
    temperature: float
    max_new_tokens: int


class FirstRollouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seed's training began with: SHA-256 of prompts and completions, problem by problem in their order, of the
    `batch` that came first and of the first `epoch` (harness/runs/logs.py). Seeds of two runs that share the first have
    drawn on the same randomness, see harness/stats/pairing.py."""

    batch: str
    epoch: str


class SeedResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """results/s<seed>.json. `identity` says what answered: engine, version, rendering, graders. `ledger` is None where
    nothing was trained; `stopped` says why training ended early, where it did; `first_rollouts` is None without rollouts."""

    identity: dict[str, Any]
    suites: dict[str, SeedScores]
    ledger: Ledger | None = None
    stopped: str | None = None
    first_rollouts: FirstRollouts | None = None


class LedgerFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """ledger.json: what training paid, summed and by seed."""

    total: Ledger
    seeds: dict[int, Ledger]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What result.json and the manifest of a filed run both say of a run.

    `not_a_result` is the reason why the scores must not be quoted. `reference` is what the method was told of training
    problems (none, answer or solution), `reference_source` who wrote it, and `hints`, where it was solutions, how many of the
    problems had one and a usable hint (older runs do not say). `teacher` is which other model wrote for the training and
    `teacher_tokens` how much. `first_rollouts`: by seed, what its training began with; older runs do not say.
    """

    method: str
    model: str
    recipe: str
    training_set: str
    seeds: tuple[int, ...]
    not_a_result: str | None
    identity: dict[str, Any]
    ledger: Ledger
    ledgers: dict[int, Ledger]
    problems_sha256: str | None = None
    reference: str | None = None
    reference_source: str | None = None
    hints: Coverage | None = None
    teacher: str | None = None
    teacher_tokens: int = 0
    first_rollouts: dict[int, FirstRollouts] = {}

    def __post_init__(self) -> None:
        if not self.seeds or set(self.ledgers) != set(self.seeds):
            raise ValueError(f"ledgers are of seeds {list(self.ledgers)}, the run has {list(self.seeds)}")

    @property
    def is_evaluation(self) -> bool:
        """Whether nothing was trained: `harness eval`."""
        return self.recipe == "evaluation"

    @property
    def graders(self) -> dict[str, str]:
        """Version of every package that can change a score."""
        found = self.identity.get("graders", {})
        return found if isinstance(found, dict) else {}


class ResultFile(RunFacts, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="schema", tag=1):
    """result.json. `stopped`: by seed, why its training ended early."""

    run: str
    spec_hash: str
    suites: dict[str, SuiteScores]
    macro: Macro
    stopped: dict[int, str] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, suite in self.suites.items():
            if not _SUITE.fullmatch(name):  # files are found by it
                raise ValueError(f"{name!r} is no name of a suite")
            if set(suite.per_seed) != set(self.seeds):
                raise ValueError(f"{name} has scores of seeds {list(suite.per_seed)}, the run has {list(self.seeds)}")
        if set(self.macro.per_seed) != set(self.seeds):
            raise ValueError(f"macro has seeds {list(self.macro.per_seed)}, the run has {list(self.seeds)}")
        for role in ("id", "ood"):
            has = any(suite.role == role for suite in self.suites.values())
            if any((means.of(role) is not None) != has for means in (self.macro, *self.macro.per_seed.values())):
                raise ValueError(f"macro and suites disagree on whether there is a suite of role {role!r}")


class Result(ResultFile, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """A finished run: result.json with `spec`, the settings as a tree, to be hashed and compared but not read key by key."""

    spec: dict[str, Any]


def with_spec(found: ResultFile, spec: Mapping[str, Any], run: str) -> Result:
    """A result with the settings it was made with; `run` is where it is now."""
    return Result(**{**msgspec.structs.asdict(found), "run": run}, spec=dict(spec))


def write_result(folder: Path, result: ResultFile) -> None:
    """result.json, and ledger.json if something was trained."""
    if not result.is_evaluation:
        formats.write(folder / "ledger.json", LedgerFile(total=result.ledger, seeds=result.ledgers))
    own = {name: getattr(result, name) for name in ResultFile.__struct_fields__}  # the settings have a file of their own
    formats.write(folder / "result.json", ResultFile(**own))


def load_result(path: Path) -> Result:
    """The result of a run directory or of a filed run, with `run` set to `path`.

    Raises MissingError where no run is, HarnessError where it is unfinished, of another version or damaged.
    """
    from harness.runs import filed

    if is_filed(path):
        result = filed.result_of(path, filed.read_manifest(path))
        return msgspec.structs.replace(result, run=str(path))
    spec = read_spec(path)
    if not is_finished(path):
        raise HarnessError(f"the run at {path} is unfinished; finish it with --resume")
    return with_spec(formats.read(path / "result.json", ResultFile), spec.spec, str(path))


def is_finished(path: Path) -> bool:
    """Whether a run directory holds its result."""
    return (path / "result.json").exists()


def seed_path(run: Path, seed: int) -> Path:
    """Where a finished seed leaves its SeedResult."""
    return run / "results" / f"s{seed}.json"


def is_filed(path: Path) -> bool:
    """Whether a folder is a run as a leaderboard files it, not a run directory."""
    return (path / "manifest.json").exists() and not has_spec(path)


def runs_below(root: Path) -> list[Path]:
    """Finished runs at or below a folder, in order: run directories, and filed ones. Second runs of these are left out, and
    what lies in hidden folders: parts of a run that is yet to be."""
    from harness.runs import filed

    if is_filed(root) or has_spec(root):
        return [root]
    found = {p.parent for name in ("result.json", "manifest.json") for p in root.glob(f"**/{name}")}
    below = {p: p.relative_to(root).parts for p in found}
    apart = {p for p, names in below.items() if filed.REPRODUCTIONS in names[:-1] or any(n.startswith(".") for n in names)}
    return sorted(p for p in found - apart if is_filed(p) or has_spec(p))
