"""Problems from files, rows with `id`, `problem` and `answer`, or from generators, and the user turn that is made of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import MissingError, UsageError, listed
from harness.core.extras import require
from harness.core.limits import MAX_BYTES
from harness.core.seeds import stream
from harness.core.types import Problem
from harness.registry import load_object

MAX_CHARS = 1_000_000
"""Of a field of a row of a data file, which other people wrote; harness/core/limits.py bounds the file."""

PROMPT_FORMS = {
    "bare": "{problem}",
    "boxed": "Please reason step by step and put your final answer within \\boxed{}.\nQuestion: {problem}",
    "choice": "Please reason step by step and put the letter of the right option within \\boxed{}.\nQuestion: {problem}",
    "brief": "Write the calculation in one line, without words, and put the result within \\boxed{}.\nQuestion: {problem}",
    "short": "Please reason step by step and put only the final answer within \\boxed{}: the letter of an option, one word "
    "(yes or no, true or false, valid or invalid), a number, or a sequence.\nQuestion: {problem}",
    "examples": "Question: What is 2 + 3?\nAnswer: \\boxed{5}\n\nQuestion: Which number is the largest: 4, 7, 1?\n"
    "Answer: \\boxed{7}\n\nQuestion: {problem}\nAnswer:",
}
"""The user turn by name, in training and evaluation alike; `boxed` after the released P2O code (one instruction line,
then the question; Lu et al. 2026). `examples` is a text to be continued, for models that follow a pattern more readily than an
instruction."""


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


def in_steps(problems: Sequence[Problem], steps: tuple[int, int] | None) -> list[Problem]:
    """Those whose reference solution takes from `steps[0]` to `steps[1]` calculations, both included; all where it is None.

    A calculation is what GSM8K's solutions mark as `<<48/2=24>>`; a solution without marks has none.
    """
    if steps is None:
        return list(problems)
    least, most = steps
    return [p for p in problems if least <= len(re.findall("<<.*?>>", p.solution or "")) <= most]


def are_choices(problems: Sequence[Problem]) -> bool:
    """Whether every gold answer is the letter of an option in its problem: `(B)`, or `B)`, `B.`, `B:` as a line begins."""

    def has(text: str, letter: str) -> bool:
        return re.search(rf"\({letter}\)|^\s*{letter}[).:]", text, re.MULTILINE) is not None

    return all(re.fullmatch("[A-Z]", p.answer.strip()) and has(p.text, p.answer.strip()) for p in problems)


def without(problems: Sequence[Problem], asked: Sequence[Problem]) -> list[Problem]:
    """Those that are not among `asked`, by their ids, and tell another story than all of these (`story_of`)."""
    ids, stories = {p.id for p in asked}, {story_of(unwrap(p.text)) for p in asked}
    return [p for p in problems if p.id not in ids and story_of(unwrap(p.text)) not in stories]


def draw(problems: Sequence[Problem], count: int, *key: str) -> list[Problem]:
    """`count` problems, or all where there are no more, in their order; `key` names the random stream."""
    kept = sorted(stream(*key).sample(range(len(problems)), min(count, len(problems))))
    return [problems[i] for i in kept]


def located(name: str, file: str, data_dir: Path | None, home: Path | None = None) -> Path:
    """Where a suite's or a training set's file is: beside the card of one from outside, `home`, else in the data directory."""
    if home is not None and ((home / file).exists() or data_dir is None):
        return home / file
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
    """Problems from rows of `id`, `problem`, `answer`, perhaps `solution` and `cluster_id`: JSON lines, plain or gzipped, or
    Parquet, whatever the file's name says.

    A number for an id or an answer is taken as it is written. Raises MissingError for an absent file; UsageError, with file,
    line and field, for a malformed row, a repeated id or an empty file.
    """
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, row in read_rows(path):
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


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The checked rows of a data file with their lines, or, in Parquet, their numbers from 1 on. Raises as `read_problems`."""
    data = _read(path)
    if data.startswith(b"PAR1"):
        for number, row in enumerate(_parquet(data, path), 1):
            yield number, _checked(row, f"{path}, row {number}")
        return
    try:
        text = (_unzipped(data) if data.startswith(b"\x1f\x8b") else data).decode(
            "utf-8-sig"
        )  # a byte order mark is no content
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
        raise UsageError(f"{path} cannot be read as text: {e}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _row(line, f"{path}, line {number}")


def _parquet(data: bytes, path: Path) -> list[dict[str, Any]]:
    require("pyarrow")
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        rows: list[dict[str, Any]] = read_table(BytesIO(data)).to_pylist()
    except (ArrowException, OSError, ValueError) as e:
        raise UsageError(f"{path} cannot be read as Parquet: {' '.join(str(e).split())}") from None
    return rows


def _unzipped(data: bytes) -> bytes:
    """Raises OSError for more than MAX_BYTES: a small file may unpack to any size."""
    with gzip.open(BytesIO(data)) as f:
        out = f.read(MAX_BYTES + 1)
    if len(out) > MAX_BYTES:
        raise OSError(f"it unpacks to more than {MAX_BYTES:,} bytes")
    return out


class _Number(str):
    """A JSON number as it is written."""


def _row(line: str, at: str) -> dict[str, Any]:
    """One checked row; `at` names file and line."""
    try:
        row = json.loads(line)
        if isinstance(row, dict) and any(isinstance(row.get(key), int | float) for key in ("id", "answer")):
            written = json.loads(line, parse_int=_Number, parse_float=_Number)  # 0.10 is what stands there
            row |= {k: str(written[k]) for k in ("id", "answer") if isinstance(written.get(k), _Number)}
    except json.JSONDecodeError as e:
        raise UsageError(f"{at} is not JSON: {e.msg} at column {e.colno}") from None
    except (ValueError, RecursionError) as e:  # a number of thousands of digits, thousands of brackets
        raise UsageError(f"{at} cannot be read: {e}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{at} is not a JSON object")
    return _checked(row, at)


def _checked(row: dict[str, Any], at: str) -> dict[str, Any]:
    for key in ("id", "answer"):  # of Parquet; True is no number
        if isinstance(value := row.get(key), int | float) and not isinstance(value, bool) and math.isfinite(value):
            row[key] = str(value)
    for key in ("id", "problem", "answer"):
        if key not in row:
            own = listed([str(name)[:40] for name in row]) or "nothing"
            raise UsageError(f"{at}: field {key!r} is missing; a row has id, problem and answer, this one {own}")
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


def content_sha256(problems: Sequence[Problem]) -> str:
    """SHA-256 over the JSON of (id, text, answer), a line per problem."""
    lines = "".join(json.dumps([p.id, p.text, p.answer]) + "\n" for p in problems)
    return hashlib.sha256(lines.encode()).hexdigest()


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
