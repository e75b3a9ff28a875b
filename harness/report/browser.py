"""What the sample browser of a run's page reads: all samples of all suites and seeds, packed into blocks of the page.

A block is JSON, compressed with gzip, in base64: nothing that a model wrote stands in the page as markup, and the page stays
one file that opens without a server. The first block holds the facts of every sample by columns, so that filtering needs
no text; then come the prompts, each once, and the texts, a few thousand samples a block.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from harness.core.text import visible
from harness.report.pages import excerpt
from harness.runs.samples import SampleRow, iter_samples, samples_path

CHARACTERS = 48_000_000
"""Maximum number of characters of prompts and completions on a page."""
LENGTHS = (20_000, 10_000, 6_000, 3_000, 1_500, 800, 400, 200)
"""Where texts may be cut: at the first of these at which all fit into CHARACTERS, failing that at the last."""
SAMPLES = 200_000
"""Maximum number of samples on a page, in equal shares for the suites; the first ones of each."""
SHORT = 400
"""Maximum number of characters of an answer as it was read, of a reference, of a problem's name."""
BLOCK = 2_000_000
"""Characters of a block before it is compressed: small enough that unpacking one never stalls the page."""


class Packed(msgspec.Struct, frozen=True):
    """The blocks of a page, in base64, and what they leave out: `cut` is the length at which texts are cut, None where none
    is; `total` counts the samples that there are, `shown` those in the blocks."""

    facts: str
    prompts: list[str]
    texts: list[str]
    cut: int | None
    shown: int
    total: int


def packed_samples(run: Path, suites: Sequence[str], seeds: Sequence[int]) -> Packed:
    """All samples of a run, in the order of its files. Raises HarnessError for a damaged row."""
    room = max(1, SAMPLES // max(1, len(suites)))
    longest, sizes, total = 0, dict.fromkeys(LENGTHS, 0), 0
    seen: set[str] = set()
    for suite in suites:
        for i, row in enumerate(iter_samples(samples_path(run, suite))):
            total += 1
            if i >= room:
                continue
            new = () if row.prompt in seen else (row.prompt,)
            seen.update(new)
            for text in (row.completion, *new):
                longest = max(longest, len(text))
                for cut in LENGTHS:
                    sizes[cut] += min(len(text), cut)
    cut = next((c for c in LENGTHS if sizes[c] <= CHARACTERS), LENGTHS[-1])
    facts = _Facts(suites, seeds)

    def texts() -> Iterator[list[str | None]]:
        for suite in suites:
            for row in islice(iter_samples(samples_path(run, suite)), room):
                facts.add(suite, row)
                answer = None if row.answer is None else _cut(row.answer, SHORT)
                yield [_cut(row.completion, cut), answer, _cut(row.gold, SHORT)]

    blocks = list(_blocks(texts()))
    return Packed(
        facts=_pack(facts.columns | {name: list(each) for name, each in facts.lists.items()}),
        prompts=list(_blocks(_cut(text, cut) for text in facts.prompts)),
        texts=blocks,
        cut=cut if longest > cut else None,
        shown=len(facts.columns["suite"]),
        total=total,
    )


class _Facts:
    """The facts of all samples by columns; `suite`, `seed`, `problem` and `prompt` are places in lists."""

    def __init__(self, suites: Sequence[str], seeds: Sequence[int]) -> None:
        names = ("suite", "seed", "problem", "prompt", "index", "greedy", "score", "parity", "status", "truncated", "tokens")
        self.columns: dict[str, list[Any]] = {name: [] for name in names}
        self.prompts: dict[str, int] = {}
        self.lists: dict[str, dict[Any, int]] = {
            "suites": {name: i for i, name in enumerate(suites)},
            "seeds": {seed: i for i, seed in enumerate(seeds)},
            "problems": {},
        }

    def add(self, suite: str, row: SampleRow) -> None:
        suites, seeds, problems = self.lists.values()
        name = _cut(row.problem, SHORT)
        cells = {
            "suite": suites[suite],
            "seed": seeds.setdefault(row.seed, len(seeds)),
            "problem": problems.setdefault(name, len(problems)),
            "prompt": self.prompts.setdefault(row.prompt, len(self.prompts)),
            "index": row.index,
            "greedy": int(row.greedy),
            "score": row.score,
            "parity": row.parity,
            "status": visible(row.status),
            "truncated": int(row.truncated),
            "tokens": row.tokens,
        }
        for key, column in self.columns.items():
            column.append(cells[key])


def _cut(text: str, most: int) -> str:
    return visible(excerpt(text, most))


def _blocks(items: Iterable[Any]) -> Iterator[str]:
    """Lists of items as blocks of about BLOCK characters."""
    held: list[Any] = []
    size = 0
    for item in items:
        held.append(item)
        size += sum(len(text or "") for text in ([item] if isinstance(item, str) else item))
        if size >= BLOCK:
            yield _pack(held)
            held, size = [], 0
    if held:
        yield _pack(held)


def _pack(value: Any) -> str:
    data = gzip.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), 5, mtime=0)
    return base64.b64encode(data).decode("ascii")
