"""Suites as data: what is in benchmarks/; a file of --data-dir is pinned by its SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import yaml

from harness.core.errors import MissingError, UsageError, nearest
from harness.core.types import BOXED, Overlap, Problem, Sampling
from harness.data.problems import draw, file_sha256, in_steps, located, read_problems, story_of, unwrap
from harness.registry import load_object

if TYPE_CHECKING:
    from harness.core.settings import EvalConfig


@dataclass(frozen=True)
class Suite:
    """An evaluation suite, as its card says (benchmarks/<name>/card.yaml).

    `file` is relative to the data directory (None: generated), `sha256` that of its bytes, or of the generated
    problems; None where the file cannot be pinned, see `deviation`. `k` samples a problem at `temperature`, of at most
    `max_new_tokens` tokens. `verified`: hash, size, and that `harness check golds` objects to no gold answer have been
    checked, but for `rejected_golds`: problem id to reason. `hub`: where `harness fetch` gets the file. `generator`: what
    makes the problems where there is no file: `function`, a reference `module:name`, called with the suite and all else
    that is given here. `answer_type` names the grader (harness/grading/graders.py), or refers to one, too.
    `greedy`: one greedy completion per problem is drawn in addition to the samples, because published numbers are greedy there.
    `answer_form`: how a completion states its answer. `overlap`: how training problems are recognised among these. `families`:
    `story` where problems that tell one story, with other numbers or another question, are of one family (`story_of`); by
    default the file's rows say it (`cluster_id`). `steps`: see `in_steps`. `drawn`: the file holds more, of which `size` are
    drawn with a seed.
    """

    name: str
    title: str
    source: str
    file: str | None
    revision: str
    sha256: str | None
    licence: str
    size: int
    answer_type: str
    prompt: str
    k: int
    temperature: float
    max_new_tokens: int
    known_defects: tuple[str, ...]
    verified: bool
    greedy: bool = False
    rejected_golds: dict[str, str] = field(default_factory=dict, hash=False)
    hub: dict[str, Any] | None = field(default=None, hash=False)
    generator: dict[str, Any] | None = field(default=None, hash=False)
    answer_form: str = BOXED
    overlap: Overlap = "near"
    families: Literal["story"] | None = None
    steps: tuple[int, int] | None = None
    drawn: bool = False

    @property
    def groups(self) -> list[str]:
        """The groups it belongs to (benchmarks/groups.yaml)."""
        return [name for name, members in list_groups().items() if self.name in members]

    def planned(self, limit: int | None) -> int:
        """Problems that an evaluation with `limit` runs."""
        return self.size if limit is None else min(limit, self.size)

    def passes(self, cfg: EvalConfig) -> list[tuple[int, Sampling]]:
        """How the suite is run: (completions per problem, how they are drawn), the analysed pass first."""
        given, limit = cfg.decoding, cfg.max_new_tokens or self.max_new_tokens
        if given is not None and given.kind == "greedy":
            return [(1, Sampling(0.0, limit))]
        k, temperature = (given.k, given.temperature) if given is not None else (None, None)
        sampled = (k or self.k, Sampling(temperature or self.temperature, limit))
        return [sampled, (1, Sampling(0.0, limit))] if self.greedy and given is None else [sampled]

    def problems(self, data_dir: Path | None) -> list[Problem]:
        """All problems, in order; `text` is the whole user turn.

        Raises as `read_problems`, UsageError when the data is not what the card pins, and MissingError without what
        generates it.
        """
        if self.file is None:
            return [
                replace(p, answer_form=self.answer_form, overlap=self.overlap) for p in generated(self, f"suite {self.name!r}")
            ]
        path = located(self.name, self.file, data_dir)
        if self.hub is not None and not path.exists():
            raise MissingError(f"no file {path}: harness fetch {self.name} --data-dir {data_dir} writes it")
        problems = in_steps(read_problems(path, self.answer_type, self.prompt), self.steps)
        if self.sha256 is not None and file_sha256(path) != self.sha256:
            raise UsageError(f"{path} is not the file that suite {self.name!r} pins by SHA-256")
        if self.drawn:
            problems = draw(problems, self.size, "suite", self.name)
        return [replace(p, answer_form=self.answer_form, overlap=self.overlap) for p in problems]

    def clusters(self, data_dir: Path | None) -> dict[str, str]:
        """The family of every problem, by id; empty where there are no families. Raises as `problems`."""
        if self.file is None:
            return {}
        problems = self.problems(data_dir)
        if self.families == "story":
            first: dict[str, str] = {}
            return {p.id: first.setdefault(story_of(unwrap(p.text)), p.id) for p in problems}
        if all(p.cluster_id is None for p in problems):
            return {}
        return {p.id: p.cluster_id or p.id for p in problems}

    def deviation(self, data_dir: Path | None) -> str | None:
        """Why scores on this data are not a result; None for pinned data (any other is refused by `problems`)."""
        if self.sha256 is not None or self.file is None:
            return None
        return f"suite {self.name!r} pins no file; {self.file} has the SHA-256 {self.data_sha256(data_dir)}"

    def data_sha256(self, data_dir: Path | None) -> str:
        """The pinned hash, or that of the file at hand where none is pinned."""
        return self.sha256 or file_sha256(located(self.name, str(self.file), data_dir))


class Generated(Protocol):
    """A suite or a training set whose problems are generated."""

    @property
    def generator(self) -> dict[str, Any] | None: ...
    @property
    def sha256(self) -> str | None: ...


def generated(source: Generated, named: str) -> list[Problem]:
    """The problems of a suite or a training set without a file, made by its generator; `named` is what messages call it.

    Raises UsageError where it has no generator or the problems are not the pinned ones, and MissingError without what
    generates them.
    """
    if source.generator is None:
        raise UsageError(f"{named} has neither a file nor a generator")
    arguments = dict(source.generator)
    function = load_object(arguments.pop("function"), f"the generator of {named}")
    problems: list[Problem] = function(source, **arguments)
    if content_sha256(problems) != source.sha256:
        raise UsageError(f"the generated problems of {named} are not those that are pinned by SHA-256")
    return problems


def benchmarks_dir() -> Path:
    """The folder of the suites: what lm-eval takes as `--include_path`."""
    return Path(str(files("harness.benchmarks")))


@cache
def _suites() -> dict[str, Suite | str]:
    """By name: the suite, or why its card cannot be read. A damaged card harms no other suite."""
    return {card.parent.name: _read_card(card) for card in sorted(benchmarks_dir().glob("*/card.yaml"))}


def _read_card(card: Path) -> Suite | str:
    """The suite of a card.yaml, or what is wrong with it, with the file and the field."""
    try:
        tree = yaml.safe_load(card.read_text())
        if not isinstance(tree, dict):
            return f"{card}: holds no fields"
        if unknown := [key for key in tree if key == "name" or key not in Suite.__dataclass_fields__]:
            return f"{card}: unknown field {unknown[0]!r}{nearest(str(unknown[0]), Suite.__dataclass_fields__)}"
        return msgspec.convert({"name": card.parent.name, **tree}, Suite)
    except (OSError, ValueError, yaml.YAMLError) as e:  # msgspec names the field
        return f"{card}: {' '.join(str(e).split())}"


def suite_names() -> list[str]:
    """Of all suites, also those whose card cannot be read."""
    return list(_suites())


def list_suites() -> list[Suite]:
    """All suites whose card can be read, by name."""
    return [suite for suite in _suites().values() if isinstance(suite, Suite)]


def broken_suites() -> dict[str, str]:
    """The other ones: what is wrong with the card, by the suite's name."""
    return {name: fault for name, fault in _suites().items() if isinstance(fault, str)}


def load_suite(name: str) -> Suite:
    """Raises UsageError with the nearest name for an unknown one, or with what is wrong with the suite's card."""
    if name not in _suites():
        raise UsageError(f"unknown suite {name!r}{nearest(name, _suites())}")
    suite = _suites()[name]
    if isinstance(suite, str):
        raise UsageError(suite)
    return suite


@cache
def list_groups() -> dict[str, tuple[str, ...]]:
    """Groups of suites by name, in the order of benchmarks/groups.yaml."""
    tree = yaml.safe_load((benchmarks_dir() / "groups.yaml").read_text())
    return {name: tuple(members) for name, members in tree.items()}


def content_sha256(problems: Sequence[Problem]) -> str:
    """SHA-256 over the JSON of (id, text, answer), a line per problem."""
    lines = "".join(json.dumps([p.id, p.text, p.answer]) + "\n" for p in problems)
    return hashlib.sha256(lines.encode()).hexdigest()
