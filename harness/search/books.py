"""Books of phrases: published instructions with their sources, and the neutral phrases that are their placebo.

A reflector of kind `book` or `placebo` composes templates of them, so prompt search on a real model costs no tokens of a
model that writes. The phrases are data (books.yaml).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter

from harness.core.settings import Strict

Book = Literal["book", "placebo"]
"""By the kind of reflector that takes its phrases from it."""


class Phrase(Strict):
    """One phrase of a book."""

    text: str = Field(min_length=1)
    """Word for word as the source has it."""
    source: str = Field(min_length=1)
    """Who published it, or for what it was written."""
    arxiv: str | None = Field(None, pattern=r"^\d{4}\.\d{5}$")
    """arXiv id of a published one."""


@cache
def books() -> dict[Book, tuple[Phrase, ...]]:
    """All books, in the order of the file."""
    tree = yaml.safe_load((Path(__file__).parent / "books.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(dict[Book, tuple[Phrase, ...]]).validate_python(tree)


def phrases(book: Book) -> list[str]:
    """The texts of a book."""
    return [phrase.text for phrase in books()[book]]
