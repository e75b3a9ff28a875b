"""Suites and training sets as data: what is in benchmarks/, where its problems come from, which role a suite plays.

The files of --data-dir hold one JSON object a line with `id`, `problem` and `answer`; each is pinned by its SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import yaml

from harness.core.errors import MissingError, UsageError, nearest
from harness.core.seeds import stream
from harness.core.types import Problem, Sampling
from harness.testbed import world

if TYPE_CHECKING:
    from harness.config import RunSpec
    from harness.core.settings import EvalConfig, TestbedConfig

Role = Literal["id", "ood"]
MAX_BYTES, MAX_CHARS = 1 << 31, 1_000_000
"""Of an unpacked data file, and of a field of one of its rows; other people wrote them."""

PROMPT_FORMS = {
    "bare": "{problem}",
    "boxed": "Please reason step by step and put your final answer within \\boxed{}.\nQuestion: {problem}",
    "choice": "Please reason step by step and put the letter of the right option within \\boxed{}.\nQuestion: {problem}",
    "short": "Please reason step by step and put only the final answer within \\boxed{}: the letter of an option, one word "
    "(yes or no, true or false, valid or invalid), a number, or a sequence.\nQuestion: {problem}",
}
"""The user turn by name, in training and evaluation alike; `boxed` after the released P2O code (one instruction line,
then the question; Lu et al. 2026)."""


@dataclass(frozen=True)
class Suite:
    """An evaluation suite, as its card says (benchmarks/<name>/card.yaml).

    `file` is relative to the data directory (None: generated), `sha256` that of its bytes, or of the generated
    problems; None where the file cannot be pinned, see `deviation`. `k` samples a problem at `temperature`, of at most
    `max_new_tokens` tokens. `verified`: hash, size, and that the suite's grader accepts every gold answer have been
    checked, but for `rejected_golds`: problem id to reason. `hub`: where `harness fetch` gets the file. `generator`: the
    `task` and `config` of reasoning_gym, whose version is the `revision` (harness/data/procedural.py).
    `greedy`: a greedy completion per problem is drawn beside the samples, because published numbers are greedy there.
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

        Raises as `read_problems`, UsageError when the data is not what the card pins, and MissingError without
        reasoning_gym where that generates it.
        """
        if self.generator is not None:
            return self._procedural(**self.generator)
        if self.file is None:
            problems = world.suite_problems(self.name, self.size)
            if content_sha256(problems) != self.sha256:
                raise UsageError(f"the generated problems of suite {self.name!r} are not those its card pins by SHA-256")
            return problems
        path = _located(self.name, self.file, data_dir)
        if self.hub is not None and not path.exists():
            raise MissingError(f"no file {path}: harness fetch {self.name} --data-dir {data_dir} writes it")
        problems = read_problems(path, self.answer_type, self.prompt)
        if self.sha256 is not None and _sha256(path) != self.sha256:
            raise UsageError(f"{path} is not the file that suite {self.name!r} pins by SHA-256")
        return problems

    def _procedural(self, task: str, config: dict[str, Any]) -> list[Problem]:
        from harness.data import procedural

        pairs = procedural.questions(self.name, task, config, self.size)
        problems = [
            Problem(f"{self.name}-{i:03d}", render(question, self.prompt), gold, self.answer_type)
            for i, (question, gold) in enumerate(pairs)
        ]
        if content_sha256(problems) != self.sha256:
            raise UsageError(
                f"reasoning_gym {procedural.version()} generates other problems than those that suite {self.name!r} pins "
                f"by SHA-256: pip install reasoning-gym=={self.revision}"
            )
        return problems

    def deviation(self, data_dir: Path | None) -> str | None:
        """Why scores on this data are not a result; None for pinned data (any other is refused by `problems`)."""
        if self.sha256 is not None or self.file is None:
            return None
        return f"suite {self.name!r} pins no file; {self.file} has the SHA-256 {self.data_sha256(data_dir)}"

    def data_sha256(self, data_dir: Path | None) -> str:
        """The pinned hash, or that of the file at hand where none is pinned."""
        return self.sha256 or _sha256(_located(self.name, str(self.file), data_dir))


@dataclass(frozen=True)
class TrainingSet:
    """What a policy is trained on, and which suites are then in and out of distribution (training_sets.yaml)."""

    name: str
    title: str
    source: str
    file: str | None
    sha256: str | None
    licence: str
    answer_type: str
    prompt: str
    id: tuple[str, ...]
    ood: tuple[str, ...]
    solutions: str | None = None
    """Who wrote the reference solutions: "human", "model:NAME", "world"; None where the file has none."""
    hub: dict[str, Any] | None = None
    """Where `harness fetch` gets it: dataset id, split, columns, and a least `level` where only hard ones belong."""

    def role_of(self, suite: str) -> Role | None:
        """The role of a suite; None for one that plays none."""
        return "id" if suite in self.id else "ood" if suite in self.ood else None

    def problems(self, spec: RunSpec, data_dir: Path | None) -> list[Problem]:
        """The problems a run trains on: those of the file or the world, `train.limit` of them drawn once for all seeds.

        Raises as `read_problems`. The file may be the user's own; `deviation` says so.
        """
        problems = self.whole(spec.testbed, data_dir)
        limit = spec.train.limit
        if limit is None or limit >= len(problems):
            return problems
        kept = sorted(stream("train subset", self.name).sample(range(len(problems)), limit))
        return [problems[i] for i in kept]

    def whole(self, testbed: TestbedConfig, data_dir: Path | None) -> list[Problem]:
        """All problems of the file, or of the world with these knobs. Raises as `read_problems`."""
        if self.file is None:
            return world.train_problems(testbed.problems, testbed.easy_share, 0, testbed.branch_tokens)
        return read_problems(_located(self.name, self.file, data_dir), self.answer_type, self.prompt)

    def deviation(self, data_dir: Path | None) -> str | None:
        """Why a run on this data does not count as a run on the named set; None for the pinned file."""
        if self.file is None or _sha256(_located(self.name, self.file, data_dir)) == self.sha256:
            return None
        return f"{self.file} is not the file that training set {self.name!r} pins"

    def phrases(self) -> list[str]:
        """Pieces of instructions that an offline prompt proposer composes; only the testbed has them."""
        return world.pieces() if self.answer_type == "testbed" else []


def render(problem: str, prompt: str) -> str:
    """The user turn of a problem's text under a prompt of PROMPT_FORMS."""
    return PROMPT_FORMS[prompt].replace("{problem}", problem)


def unwrap(text: str) -> str:
    """The problem's text of a user turn that `render` made, under whichever prompt."""
    for template in PROMPT_FORMS.values():
        before, after = template.split("{problem}")
        text = text.removeprefix(before).removesuffix(after)
    return text


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
def _training_sets() -> dict[str, TrainingSet]:
    tree = yaml.safe_load((benchmarks_dir() / "training_sets.yaml").read_text())
    return {
        name: TrainingSet(name=name, **{**fields, "id": tuple(fields["id"]), "ood": tuple(fields["ood"])})
        for name, fields in tree.items()
    }


def list_training_sets() -> list[TrainingSet]:
    """All training sets, in the order of the file."""
    return list(_training_sets().values())


def load_training_set(name: str) -> TrainingSet:
    """Raises UsageError with the nearest name for an unknown one."""
    if name not in _training_sets():
        raise UsageError(f"unknown training set {name!r}{nearest(name, _training_sets())}")
    return _training_sets()[name]


@cache
def list_groups() -> dict[str, tuple[str, ...]]:
    """Groups of suites by name, in the order of benchmarks/groups.yaml."""
    tree = yaml.safe_load((benchmarks_dir() / "groups.yaml").read_text())
    return {name: tuple(members) for name, members in tree.items()}


def resolve_bench(bench: str, training_set: TrainingSet | None) -> list[Suite]:
    """Suites of a comma list of suites, groups and the training set's roles `id`, `ood`, `all` (id, then ood), each once.

    There are no roles without a training set. Raises UsageError for an unknown name or an empty list.
    """
    roles: dict[str, tuple[str, ...]] = {}
    if training_set is not None:
        roles = {"id": training_set.id, "ood": training_set.ood, "all": training_set.id + training_set.ood}
    known = roles | list_groups() | {name: (name,) for name in _suites()}
    items = [item.strip() for item in bench.split(",") if item.strip()]
    if not items:
        raise UsageError(f"the list of suites is empty; name suites, groups{' or the roles id, ood, all' if roles else ''}")
    names: list[str] = []
    for item in items:
        if item not in known:
            raise UsageError(f"unknown suite {item!r}{nearest(item, known)}")
        if training_set is not None and not known[item]:
            raise UsageError(f"training set {training_set.name!r} has no suite in the role {item!r}; name suites instead")
        names += known[item]
    return [load_suite(name) for name in dict.fromkeys(names)]


def content_sha256(problems: Sequence[Problem]) -> str:
    """SHA-256 over the JSON of (id, text, answer), a line per problem."""
    lines = "".join(json.dumps([p.id, p.text, p.answer]) + "\n" for p in problems)
    return hashlib.sha256(lines.encode()).hexdigest()


def _located(name: str, file: str, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise MissingError(f"{name!r} needs {file}: pass the folder that holds it with --data-dir")
    return data_dir / file


def _sha256(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"no file {path}: pass the folder that holds eval/ and train/ with --data-dir") from None
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror}") from None


def read_problems(path: Path, answer_type: str, prompt: str = "boxed") -> list[Problem]:
    """Problems from JSON lines (gzipped where the name ends in .gz): `id`, `problem`, `answer`, perhaps `solution`.

    Raises MissingError for an absent file; UsageError, with file, line and field, for a malformed row, a repeated id
    or an empty file.
    """
    data = _read(path)
    try:
        lines = (_unzipped(data) if path.suffix == ".gz" else data).decode().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
        raise UsageError(f"{path} cannot be read as text: {e}") from None
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _row(line, f"{path}, line {number}")
        if row["id"] in seen:
            raise UsageError(f"{path}, line {number}: id {row['id']!r} is that of line {seen[row['id']]} too")
        seen[row["id"]] = number
        text = render(row["problem"], prompt)
        meta = row.get("meta") or {}
        problems.append(Problem(row["id"], text, row["answer"], answer_type, row.get("solution"), meta))
    if not problems:
        raise UsageError(f"{path} holds no problems")
    return problems


def _unzipped(data: bytes) -> bytes:
    """Raises OSError for more than MAX_BYTES: a small file may unpack to any size."""
    with gzip.open(BytesIO(data)) as f:
        out = f.read(MAX_BYTES + 1)
    if len(out) > MAX_BYTES:
        raise OSError(f"it unpacks to more than {MAX_BYTES:,} bytes")
    return out


def _row(line: str, at: str) -> dict[str, Any]:
    """One checked row; `at` names file and line."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as e:
        raise UsageError(f"{at} is not JSON: {e.msg} at column {e.colno}") from None
    except (ValueError, RecursionError) as e:  # a number of thousands of digits, thousands of brackets
        raise UsageError(f"{at} cannot be read: {e}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{at} is not a JSON object")
    for key in ("id", "problem", "answer"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise UsageError(f"{at}: field {key!r} must be a text that is not empty, got {row.get(key)!r}")
    if not isinstance(row.get("solution"), str | None):
        raise UsageError(f"{at}: field 'solution' must be a text or null, got {row['solution']!r}")
    if not isinstance(row.get("meta"), dict | None):
        raise UsageError(f"{at}: field 'meta' must be an object or null, got {row['meta']!r}")
    for key in ("id", "problem", "answer", "solution"):
        text = row.get(key) or ""
        if len(text) > MAX_CHARS:
            raise UsageError(f"{at}: field {key!r} has {len(text):,} characters, more than {MAX_CHARS:,}")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise UsageError(f"{at}: field {key!r} holds half of a surrogate pair, which no text file can")
    return row
