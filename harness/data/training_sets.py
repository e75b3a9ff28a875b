"""Training sets as data (benchmarks/training_sets.yaml), and which role a suite plays for each.

What others need to know of a training set stands in its entry: where a hint goes, how answers are stated, from which score
on a seed counts as solved, which phrases templates may be composed of, and the world that generates it, where one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.core.errors import MissingError, UsageError, dotted, nearest
from harness.core.trees import flatten, read_yaml
from harness.core.types import BOXED, HintPosition, Overlap, Problem
from harness.core.world import World
from harness.data.problems import draw, file_sha256, generated, located, read_problems, without
from harness.data.suites import Suite, list_groups, load_suite, suite_names, suite_of_file
from harness.registry import (
    CARD_ENDINGS,
    included,
    included_by_packages,
    load_world,
    named,
    place_name,
    training_set_fields,
)

if TYPE_CHECKING:
    from harness.config import PolicySpec, RunSpec

Role = Literal["id", "ood"]


@dataclass(frozen=True)
class TrainingSet:
    """What a policy is trained on, and which suites are then in and out of distribution (training_sets.yaml)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    title: str
    source: str
    file: str | None
    """Relative to the data directory; None: it is generated."""
    sha256: str | None
    licence: str
    answer_type: str
    """Names the grader (harness/grading/graders.py), or refers to one as `module:function`."""
    prompt: str
    id: tuple[str, ...]
    ood: tuple[str, ...]
    solutions: str | None = None
    """Who wrote the reference solutions: "human", "model:NAME", "world"; None where the file has none."""
    hub: dict[str, Any] | None = field(default=None, hash=False)
    """Where `harness fetch` gets it: dataset id, split, columns, and a least `level` where only hard ones belong."""
    generator: dict[str, Any] | None = field(default=None, hash=False)
    """What makes the problems where there is neither a file nor a world: `function`, a reference `module:name`, called with the
    set and all else that is given here. `sha256` is then that of the problems."""
    world: str | None = None
    """`module:Class` of what generates it and observes its training (harness/core/world.py)."""
    policy: str | None = None
    """A model that knows no words but this set's, and can be trained on nothing else."""
    solved_at: float | None = None
    """Share from which on a seed counts as having solved a suite, where seeds solve one or do not."""
    solved_where: dict[str, Any] = field(default_factory=dict, hash=False)
    """The settings under which that holds, by name as in `--set`."""
    hinted: bool = False
    """Its problems come with hints, made from their solutions."""
    hint_position: HintPosition = "after"
    answer_form: str = BOXED
    """How a completion states its answer; `{answer}` stands for it."""
    overlap: Overlap = "near"
    """How test problems are recognised among the training problems: `exact` where all are instances of a few templates."""
    without: tuple[str, ...] = ()
    """Suites made of the same file: their problems are no part of the set, nor are others that tell the same story."""
    home: Path | None = None
    """Of a set from outside: the folder that its file is relative to; no field of an entry."""
    solution_field: str | None = None
    """Of a row's `meta`: what is taken for its reference solution."""
    phrases: tuple[str, ...] = ()
    """Pieces of instructions, in addition to the world's; see `pieces`."""

    def role_of(self, suite: str) -> Role | None:
        """The role of a suite; None for one that plays none."""
        return "id" if suite in self.id else "ood" if suite in self.ood else None

    def world_of(self, spec: PolicySpec | None = None) -> World | None:
        """The world under the spec's settings, or under its defaults; None where the set has none. Raises MissingError."""
        return world_named(self.name, spec)

    def problems(self, spec: RunSpec, data_dir: Path | None) -> list[Problem]:
        """The problems a run trains on: those of the file or the world, with `train.with_solutions` those that have one;
        `train.limit` of them drawn once for all seeds.

        Raises as `whole`, and UsageError where solutions are asked for and there are none. The file may be the user's own;
        `deviation` says so.
        """
        problems = self.whole(spec, data_dir)
        if spec.train.with_solutions:
            problems = [p for p in problems if p.solution]
            if not problems:
                raise UsageError(f"train.with_solutions: no problem of training set {self.name!r} has a reference solution")
        limit = spec.train.limit
        return problems if limit is None else draw(problems, limit, "train subset", self.name)

    def whole(self, spec: RunSpec | None, data_dir: Path | None) -> list[Problem]:
        """All problems of the file, or of the world under the spec's settings (None: its defaults).

        Raises as `read_problems`, UsageError where there is neither, MissingError for a world that cannot be loaded or a file
        that is still to be fetched.
        """
        if self.file is not None:
            path = located(self.name, self.file, data_dir, self.home)
            if self.to_fetch(data_dir):
                raise MissingError(f"no file {path}: harness fetch {self.name} --data-dir {data_dir} writes it")
            found = without(
                read_problems(path, self.answer_type, self.prompt),
                [p for name in self.without for p in load_suite(name).problems(data_dir)],
            )
            if self.solution_field is not None:
                found = [replace(p, solution=spaced(p.meta.get(self.solution_field))) for p in found]
        elif world := self.world_of(spec):
            found = world.problems()
        else:
            found = generated(self, f"training set {self.name!r}")
        return [replace(p, hint_position=self.hint_position, answer_form=self.answer_form, overlap=self.overlap) for p in found]

    def to_fetch(self, data_dir: Path | None) -> bool:
        """Whether `harness fetch` would write its file, which is not there."""
        return self.hub is not None and self.file is not None and not (data_dir is not None and (data_dir / self.file).exists())

    def deviation(self, data_dir: Path | None) -> str | None:
        """Why a run on this data does not count as a run on the named set; None for the pinned file."""
        if self.file is None or (found := file_sha256(located(self.name, self.file, data_dir, self.home))) == self.sha256:
            return None
        if self.sha256 is None:
            return f"training set {self.name!r} pins no file; {self.file} has the SHA-256 {found}"
        return f"{self.file} is not the file that training set {self.name!r} pins"

    def pieces(self, spec: PolicySpec | None = None) -> list[str]:
        """Pieces of instructions that an offline prompt proposer composes: the world's under the spec's settings, and
        `phrases`."""
        world = self.world_of(spec)
        return [*(world.phrases() if world else ()), *self.phrases]


def world_named(training_set: str, spec: PolicySpec | None = None) -> World | None:
    """As `TrainingSet.world_of`; None for a set that is not known here, as one from outside on a cluster's other machines."""
    cls = load_world(training_set)
    if cls is None:
        return None
    return cls(spec.world_config(cls) if spec else cls.Config())


_CHECK = TypeAdapter(TrainingSet)


@cache
def spaced(formula: str | None) -> str | None:
    """A solution that is a formula, with spaces around its operators: `7 + 2 = 9`. A prefix of it can end between them."""
    return None if formula is None else re.sub(r"\s*([-+*/=])\s*", r" \1 ", formula).strip()


def _entry(name: str, fields: Mapping[str, Any], where: str) -> TrainingSet:
    """Raises UsageError, which names the field, for an entry that is none."""
    try:
        return _CHECK.validate_python({"name": name, **fields})
    except ValidationError as e:
        err = e.errors()[0]
        raise UsageError(f"{where}: {dotted((name, *err['loc']))}: {err['msg']} (got {err['input']!r:.200})") from None


@cache
def _training_sets() -> dict[str, TrainingSet]:
    return {name: _entry(name, fields, "training_sets.yaml") for name, fields in training_set_fields().items()}


def list_training_sets() -> list[TrainingSet]:
    """All training sets of the harness, in the order of the file."""
    return list(_training_sets().values())


def is_own_set(name: str) -> bool:
    """Whether a training set is part of the harness."""
    return name in training_set_fields()


def load_training_set(name: str) -> TrainingSet:
    """Raises UsageError with the nearest name for an unknown one, and for one from outside with what is wrong with it."""
    own = _training_sets()
    faults = []
    files = [place for place in included() if place.is_file() and not place.name.endswith(CARD_ENDINGS)]
    if paths := [path for path in files if place_name(path) == name]:
        if name in own or len(paths) > 1:
            other = paths[1] if len(paths) > 1 else "one of the harness's own"
            raise UsageError(f"{paths[0]}: {name!r} is the name of another training set, too: {other}")
        return _of_file(name, paths[0])
    for folder in (*filter(Path.is_dir, included()), *included_by_packages()[0]):
        path = folder / "training_sets.yaml"
        if name in own or not path.exists():
            continue
        try:
            fields = read_yaml(path).get(name)
        except UsageError as e:  # which must not keep another folder's set from being found
            faults.append(str(e))
            continue
        if isinstance(fields, dict):
            if wrong := sorted({"name", "home", "world", "policy"} & fields.keys()):
                raise UsageError(f"{path}: {name}.{wrong[0]} is no field of a training set from outside")
            return replace(_entry(name, fields, str(path)), home=folder)
        if fields is not None:
            raise UsageError(f"{path}: {name} holds no fields")
    if name not in own:
        raise UsageError("; ".join([f"unknown training set {name!r}{nearest(name, own)}", *faults]))
    return own[name]


def _of_file(name: str, path: Path) -> TrainingSet:
    """A training set made of a data file alone, with no suites in any role."""
    suite = suite_of_file(path)
    return TrainingSet(
        name=name,
        title=name,
        source=suite.source,
        file=suite.file,
        sha256=suite.sha256,
        licence=suite.licence,
        answer_type=suite.answer_type,
        prompt=suite.prompt,
        id=(),
        ood=(),
        home=suite.home,
    )


def solved_at(names: Iterable[str], specs: Iterable[Mapping[str, Any]] = ()) -> float | None:
    """The `solved_at` that these training sets share; None where they differ, one has none or is not known here, or one of the
    specs has another setting than its `solved_where` names."""
    known = _training_sets()
    sets = [known[name] if name in known else None for name in names]
    where = {key: value for found in sets if found for key, value in found.solved_where.items()}
    for settings in map(flatten, specs):
        if any(settings.get(key, value) != value for key, value in where.items()):
            return None
    thresholds = {found.solved_at if found else None for found in sets}
    return thresholds.pop() if len(thresholds) == 1 else None


def resolve_bench(bench: str, training_set: TrainingSet | None) -> list[Suite]:
    """Suites of a comma list of suites, groups and the training set's roles `id`, `ood`, `all` (id, then ood), each once.

    There are no roles without a training set. A suite may be given as a path (`named`). Raises UsageError for an unknown name
    or an empty list.
    """
    roles: dict[str, tuple[str, ...]] = {}
    if training_set is not None:
        roles = {"id": training_set.id, "ood": training_set.ood, "all": training_set.id + training_set.ood}
    items = [named(item.strip()) for item in bench.split(",") if item.strip()]
    known = {name: (name,) for name in suite_names()} | list_groups() | roles
    if not items:
        raise UsageError(f"the list of suites is empty; name suites, groups{' or the roles id, ood, all' if roles else ''}")
    names: list[str] = []
    for item in items:
        if item not in known:
            raise UsageError(f"unknown suite {item!r}{nearest(item, known)}")
        if item in list_groups() and item in suite_names():
            load_suite(item)  # which says that one from outside cannot have a group's name
        if training_set is not None and not known[item]:
            raise UsageError(f"training set {training_set.name!r} has no suite in the role {item!r}; name suites instead")
        names += known[item]
    return [load_suite(name) for name in dict.fromkeys(names)]
