"""Suites as data: what is in benchmarks/, and what comes from outside: a folder with a card, or a data file alone.

A file of --data-dir is pinned by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import yaml

from harness.core.errors import MissingError, UsageError, nearest
from harness.core.types import BOXED, Overlap, Problem, Sampling
from harness.data.problems import (
    PROMPT_FORMS,
    are_choices,
    draw,
    file_sha256,
    generated,
    in_steps,
    located,
    read_problems,
    story_of,
    unwrap,
)
from harness.registry import CARD_ENDINGS, included, included_by_packages, name_fault, place_name

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
    drawn with a seed. `home`: of a suite from outside, the folder of its card, to which its file is
    relative; no field of a card.
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
    home: Path | None = None

    @property
    def groups(self) -> list[str]:
        """The groups it belongs to (benchmarks/groups.yaml)."""
        return [name for name, members in list_groups().items() if self.name in members]

    def card(self) -> dict[str, Any]:
        """What its card says, without the fields that are at their defaults."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "home")}
        given = {f.name for f in fields(self) if f.default is MISSING and f.default_factory is MISSING}
        kept = {key: value for key, value in said.items() if key in given or value != getattr(_PLAIN, key)}
        plain: dict[str, Any] = json.loads(json.dumps(kept))  # lists, as a file has them, for tuples
        return plain

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

    def terms(self, cfg: EvalConfig) -> str:
        """How it is asked and graded, in words."""
        k, how = self.passes(cfg)[0]
        asked = f"answers {self.answer_type}, prompt {self.prompt}"
        return f"{asked}; k {k} at temperature {how.temperature:g}, at most {how.max_new_tokens:,} tokens"

    def problems(self, data_dir: Path | None) -> list[Problem]:
        """All problems, in order; `text` is the whole user turn.

        Raises as `read_problems`, UsageError when the data is not what the card pins, and MissingError without what
        generates it.
        """
        if self.file is None:
            return [
                replace(p, answer_form=self.answer_form, overlap=self.overlap) for p in generated(self, f"suite {self.name!r}")
            ]
        path = located(self.name, self.file, data_dir, self.home)
        if self.hub is not None and not path.exists():
            raise MissingError(f"no file {path}: harness fetch {self.name} --data-dir {data_dir} writes it")
        problems = in_steps(read_problems(path, self.answer_type, self.prompt), self.steps)
        if self.sha256 is not None and file_sha256(path) != self.sha256:
            raise UsageError(f"{path} is not the file that suite {self.name!r} pins by SHA-256")
        if self.drawn:
            problems = draw(problems, self.size, "suite", self.name)
        if self.home is not None and len(problems) != self.size:
            raise UsageError(f"{self.home / 'card.yaml'}: size is {self.size:,}, and {path} gives {len(problems):,} problems")
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
        found = file_sha256(located(self.name, self.file, data_dir, self.home))
        return f"suite {self.name!r} pins no file; {self.file} has the SHA-256 {found}"

    def data_sha256(self, data_dir: Path | None) -> str:
        """The pinned hash, or that of the file at hand where none is pinned; of a suite from outside, that of its content,
        what is asked and the answers with their type, since no version of the harness pins its card."""
        if self.home is not None:
            lines = "".join(json.dumps([p.id, p.text, p.answer, p.answer_type]) + "\n" for p in self.problems(data_dir))
            return hashlib.sha256(lines.encode()).hexdigest()
        return self.sha256 or file_sha256(located(self.name, str(self.file), data_dir))


_PLAIN = Suite("", "", "", None, "", None, "", 1, "", "", 1, 0.0, 1, (), False)
"""With the default of every field that has one."""


def benchmarks_dir() -> Path:
    """The folder of the suites: what lm-eval takes as `--include_path`."""
    return Path(str(files("harness.benchmarks")))


@cache
def _suites() -> dict[str, Suite | str]:
    """By name: the suite, or why its card cannot be read. A damaged card harms no other suite."""
    return {card.parent.name: _read_card(card) for card in sorted(benchmarks_dir().glob("*/card.yaml"))}


def _read_card(card: Path, name: str | None = None, home: Path | None = None) -> Suite | str:
    """The suite of a card.yaml, or what is wrong with it, with the file and the field; `home` as in `Suite`."""
    try:
        tree = yaml.safe_load(card.read_text(encoding="utf-8-sig"))
        if not isinstance(tree, dict):
            return f"{card}: holds no fields"
        known = [key for key in Suite.__dataclass_fields__ if key not in ("name", "home")]
        if unknown := [key for key in tree if key not in known]:
            return f"{card}: unknown field {unknown[0]!r}{nearest(str(unknown[0]), known)}"
        suite = replace(msgspec.convert({"name": name or card.parent.name, **tree}, Suite), home=home)
    except (OSError, ValueError, yaml.YAMLError) as e:  # msgspec names the field
        return f"{card}: {' '.join(str(e).split())}"
    if suite.prompt not in PROMPT_FORMS:
        return f"{card}: prompt is {suite.prompt!r}{nearest(suite.prompt, PROMPT_FORMS)}"
    for field_, wrong in (
        ("size", suite.size < 1),
        ("k", suite.k < 1),
        ("max_new_tokens", suite.max_new_tokens < 1),
        ("temperature", not 0 <= suite.temperature < float("inf") or (suite.temperature == 0 and suite.k > 1)),
    ):
        if wrong:
            return f"{card}: {field_} is {getattr(suite, field_)!r}{', with k above 1' if field_ == 'temperature' else ''}"
    return suite


def suite_of_file(path: Path) -> Suite:
    """A suite made of a data file alone: mathematics, or letters where every gold answer is that of an option in its problem;
    asked as the six mathematics suites are. Raises as `read_problems`."""
    problems = read_problems(path, "math", "bare")
    choice = are_choices(problems)
    return Suite(
        name=place_name(path),
        title=place_name(path),
        source=path.name,
        file=path.name,
        revision="1",
        sha256=file_sha256(path),
        licence="not stated",
        size=len(problems),
        answer_type="choice" if choice else "math",
        prompt="choice" if choice else "boxed",
        k=16 if len(problems) < 100 else 4 if len(problems) <= 5000 else 1,
        temperature=0.6,
        max_new_tokens=12288,
        known_defects=(),
        verified=False,
        home=path.parent,
    )


def _outside() -> dict[str, list[Path]]:
    """Where suites from outside lie, by name: cards and data files. Nothing is read."""
    found: dict[str, list[Path]] = {}
    for place in included():
        for path in _cards(place) if place.is_dir() else [place]:
            own = found.setdefault(place_name(path), [])
            if path not in own:  # as it is where a folder and one in it are named
                own.append(path)
    for folder in included_by_packages()[0]:  # their names yield to all others
        for path in _cards(folder):
            if path.parent.name not in found and path.parent.name not in _suites():
                found[path.parent.name] = [path]
    return found


def _cards(folder: Path) -> list[Path]:
    return [folder / "card.yaml"] if (folder / "card.yaml").exists() else sorted(folder.glob("*/card.yaml"))


def _read_outside(name: str, paths: Sequence[Path]) -> Suite | str:
    if fault := name_fault(name):
        return f"{paths[0]}: {fault}"
    if name in _suites() or name in list_groups():
        return f"{paths[0]}: {name!r} is the name of one of the harness's own suites or groups; give it another"
    if len(paths) > 1:
        return f"two suites have the name {name!r}: {paths[0]} and {paths[1]}"
    [path] = paths
    try:
        stat = path.stat()
        return _read_place(name, path, stat.st_mtime_ns, stat.st_size)
    except OSError as e:
        return f"{path}: {e.strerror}"


@cache
def _read_place(name: str, path: Path, *stamp: int) -> Suite | str:
    """`stamp`: of the file as it is now, so that another one is read again."""
    if path.name.endswith(CARD_ENDINGS):
        return _read_card(path, name, path.parent)
    try:
        return suite_of_file(path)
    except UsageError as e:
        return str(e)


def _all_suites() -> dict[str, Suite | str]:
    return {**_suites(), **{name: _read_outside(name, paths) for name, paths in _outside().items()}}


def suite_names() -> list[str]:
    """Of all suites, also those whose card cannot be read."""
    return list(dict.fromkeys([*_suites(), *_outside()]))


def suite_of_run(name: str, cards: Mapping[str, Mapping[str, Any]]) -> Suite:
    """A suite of a stored run, whose spec.json has the `cards` of those from outside. Raises as `load_suite`."""
    if is_own(name) or name not in cards:
        return load_suite(name)
    try:
        return msgspec.convert({"name": name, **cards[name]}, Suite)
    except msgspec.ValidationError as e:
        raise UsageError(f"the run's card of suite {name!r}: {e}") from None


def list_suites() -> list[Suite]:
    """All suites whose card can be read, by name; those from outside come last."""
    return [suite for suite in _all_suites().values() if isinstance(suite, Suite)]


def broken_suites() -> dict[str, str]:
    """The other ones: what is wrong with the card, by the suite's name, or with a package that should have suites."""
    return {name: fault for name, fault in _all_suites().items() if isinstance(fault, str)} | included_by_packages()[1]


def is_own(name: str) -> bool:
    """Whether a suite is part of the harness, so that whoever has the harness has its card."""
    return name in _suites()


def load_suite(name: str) -> Suite:
    """Raises UsageError with the nearest name for an unknown one, or with what is wrong with the suite's card."""
    places = _outside() if included() or name not in _suites() else {}
    if name not in _suites() and name not in places:
        raise UsageError(f"unknown suite {name!r}{nearest(name, suite_names())}")
    suite = _read_outside(name, places[name]) if name in places else _suites()[name]
    if isinstance(suite, str):
        raise UsageError(suite)
    return suite


@cache
def list_groups() -> dict[str, tuple[str, ...]]:
    """Groups of suites by name, in the order of benchmarks/groups.yaml."""
    tree = yaml.safe_load((benchmarks_dir() / "groups.yaml").read_text())
    return {name: tuple(members) for name, members in tree.items()}
