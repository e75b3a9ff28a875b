"""samples/<suite>.jsonl: one row per completion of an evaluation, with its grade.

Rows carry no version of their own; result.json of the same run does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.core.errors import UNREADABLE, HarnessError, dotted
from harness.core.text import visible

R = TypeVar("R")

OVERLONG = "overlong"
"""The status of a sample whose prompt is longer than the model can read: there is no completion, and it scores 0."""


class SampleRow(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A completion of one problem of a suite. `index` counts the samples of a problem; those of a greedy pass have `greedy`.

    `score` is in [0, 1]; `parity` is the score of the second grader, None where the suite has none. `status` says whether
    the answer was found and graded (harness/grading/graders.py), or is `overlong`. `seed` is the run's, `eval_seed` that of the
    random stream which drew the completion.
    """

    suite: str
    problem: str
    index: int
    greedy: bool
    prompt: str
    completion: str
    answer: str | None
    gold: str
    score: float
    parity: float | None
    status: str
    truncated: bool
    prompt_tokens: int
    tokens: int
    prompt_sha256: str
    seed: int
    eval_seed: int


class FiledSample(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A sample as a leaderboard files it, for which the suite stands in the file's name.

    Prompts hold the problems, whose licences are not ours: only their hash is filed, save for suites of generated problems.
    """

    problem: str
    seed: int
    index: int
    greedy: bool
    completion: str
    answer: str | None
    gold: str
    score: float
    parity: float | None
    status: str
    truncated: bool
    prompt_tokens: int
    tokens: int
    prompt_sha256: str
    prompt: str | msgspec.UnsetType = msgspec.UNSET


AnySampleRow = SampleRow | FiledSample


class Outcome(msgspec.Struct, gc=False):
    """What statistics read of a row; everything else is skipped, which is most of the file."""

    problem: str
    seed: int
    index: int
    score: float
    parity: float | None
    greedy: bool


def samples_path(run: Path, suite: str) -> Path:
    return run / "samples" / f"{suite}.jsonl"


def read_samples(path: Path) -> list[SampleRow]:
    """All rows; an absent file has none. Raises HarnessError, with file and line, for a row that does not fit."""
    return list(iter_samples(path))


def iter_samples(path: Path) -> Iterator[SampleRow]:
    """The same, read no further than is asked for. A partial last line, which a killed writer left, is dropped."""
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(SampleRow)
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n") or line == b"\n":
                continue
            try:
                yield _decode(line, decoder)
            except (msgspec.MsgspecError, *UNREADABLE) as e:
                raise HarnessError(visible(f"{path}, line {number} is damaged: {dotted([e])}")) from None


def _decode(line: bytes, decoder: msgspec.json.Decoder[R]) -> R:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # half of a surrogate pair, escaped, which Python's json reads
        return msgspec.convert(json.loads(line), decoder.type)


def decode_filed(data: bytes, path: Path) -> list[FiledSample]:
    """The rows of a filed suite. Raises HarnessError, naming `path`, for a row that does not fit."""
    return _decode_lines(data, msgspec.json.Decoder(FiledSample), path)


def decode_outcomes(data: bytes, path: Path) -> list[Outcome]:
    """The rows of samples, filed or not, as statistics read them. Raises as `decode_filed`."""
    return _decode_lines(data, msgspec.json.Decoder(Outcome), path)


def _decode_lines(data: bytes, decoder: msgspec.json.Decoder[R], path: Path) -> list[R]:
    try:
        try:
            return decoder.decode_lines(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            return [_decode(line, decoder) for line in data.split(b"\n") if line]
    except (msgspec.MsgspecError, *UNREADABLE) as e:
        raise HarnessError(visible(f"{path} cannot be read: {dotted([e])}")) from None


def canonical(rows: Sequence[AnySampleRow], seeds: Sequence[int], with_prompt: bool) -> list[FiledSample]:
    """The samples of these seeds in one order and form, so that the same samples are the same bytes."""
    kept = [_filed(row, with_prompt) for row in rows if row.seed in seeds]
    return sorted(kept, key=lambda r: (seeds.index(r.seed), r.greedy, r.problem, r.index))


_FILED = tuple(f.name for f in msgspec.structs.fields(FiledSample) if f.name != "prompt")


def _filed(row: AnySampleRow, with_prompt: bool) -> FiledSample:
    prompt = row.prompt if with_prompt else msgspec.UNSET
    return FiledSample(**{name: getattr(row, name) for name in _FILED}, prompt=prompt)
