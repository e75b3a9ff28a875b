"""Suites as data: what is in benchmarks/, and where problems come from.

The files of --data-dir hold one JSON object a line with `id`, `problem` and `answer`; each is pinned by its SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import yaml

from harness.core.errors import MissingError, UsageError, nearest
from harness.core.limits import MAX_BYTES
from harness.core.types import BOXED, Overlap, Problem, Sampling
from harness.registry import load_object

if TYPE_CHECKING:
    from harness.core.settings import EvalConfig

MAX_CHARS = 1_000_000
"""Of a field of a row of a data file, which other people wrote; harness/core/limits.py bounds the file."""

PROMPT_FORMS = {
    "bare": "{problem}",
    "boxed": "Please reason step by step and put your final answer within \\boxed{}.\nQuestion: {problem}",
    "choice": "Please reason step by step and put the letter of the right option within \\boxed{}.\nQuestion: {problem}",
    "short": "Please reason step by step and put only the final answer within \\boxed{}: the letter of an option, one word "
    "(yes or no, true or false, valid or invalid), a number, or a sequence.\nQuestion: {problem}",
    "examples": "Question: What is 2 + 3?\nAnswer: \\boxed{5}\n\nQuestion: Which number is the largest: 4, 7, 1?\n"
    "Answer: \\boxed{7}\n\nQuestion: {problem}\nAnswer:",
}
"""The user turn by name, in training and evaluation alike; `boxed` after the released P2O code (one instruction line,
then the question; Lu et al. 2026). `examples` is a text to be continued, for models that follow a pattern more readily than an
instruction."""


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
    default the file's rows say it (`cluster_id`).
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
        problems = read_problems(path, self.answer_type, self.prompt)
        if self.sha256 is not None and file_sha256(path) != self.sha256:
            raise UsageError(f"{path} is not the file that suite {self.name!r} pins by SHA-256")
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


def render(problem: str, prompt: str) -> str:
    """The user turn of a problem's text under a prompt of PROMPT_FORMS."""
    return PROMPT_FORMS[prompt].replace("{problem}", problem)


def unwrap(text: str) -> str:
    """The problem's text of a user turn that `render` made, under whichever prompt."""
    for template in PROMPT_FORMS.values():
        before, after = template.split("{problem}")
        if text.startswith(before) and text.endswith(after):
            text = text.removeprefix(before).removesuffix(after)
    return text


def story_of(text: str) -> str:
    """All but the last sentence, which is the question, in lower case and with every number alike."""
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    return re.sub(r"\d+(?:[.,]\d+)*", "0", " ".join(sentences[:-1] or sentences)).lower()


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


def located(name: str, file: str, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise MissingError(f"{name!r} needs {file}: pass the folder that holds it with --data-dir")
    return data_dir / file


def file_sha256(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"no file {path}: pass the folder that holds eval/ and train/ with --data-dir") from None
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror}") from None


def read_problems(path: Path, answer_type: str, prompt: str = "boxed") -> list[Problem]:
    """Problems from JSON lines (gzipped where the name ends in .gz): `id`, `problem`, `answer`, perhaps `solution` and
    `cluster_id`.

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
        problems.append(
            Problem(
                id=row["id"],
                text=text,
                answer=row["answer"],
                answer_type=answer_type,
                solution=row.get("solution"),
                meta=meta,
                cluster_id=row.get("cluster_id"),
            )
        )
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
    if not isinstance(cluster := row.get("cluster_id"), str | None) or (cluster is not None and not cluster.strip()):
        raise UsageError(f"{at}: field 'cluster_id' must be a text that is not empty, or null, got {cluster!r}")
    if not isinstance(row.get("meta"), dict | None):
        raise UsageError(f"{at}: field 'meta' must be an object or null, got {row['meta']!r}")
    for key in ("id", "problem", "answer", "solution", "cluster_id"):
        text = row.get(key) or ""
        if len(text) > MAX_CHARS:
            raise UsageError(f"{at}: field {key!r} has {len(text):,} characters, more than {MAX_CHARS:,}")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise UsageError(f"{at}: field {key!r} holds half of a surrogate pair, which no text file can")
    return row
