"""A small world of many skills, learnt one by one: 96 families of rows, each with its own right way of reading a row.

A problem names two families, `c7 d3`, and shows one to three rows of four symbols. Odd rows belong to the first family, even
rows to the second. A completion takes, row by row, a way token, which points at a column, and copies the symbol there:
`w07 s17 w31 e03`. The answer is the symbols. Every family has four candidate ways, one of each column, and one of them is
right; a way is right for one family and a wrong candidate of three others, so pushing it up everywhere loses as much as it
wins, and what is learnt of one family does not carry to another. The last row shows other symbols than the ones before it,
and any of those ends the completion: there is no ending to learn, or to unlearn.

Without an instruction the right way is taken at a rate known beforehand, spread evenly in its logarithm from a floor to .7;
an instruction raises the rates of some families by a known amount. So the probability of success of every problem under
every instruction is a product of rates, in closed form (`success`). Standard library only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from harness.core.seeds import derive, stream
from harness.core.types import Problem

SIZE = 48
"""Families of each kind."""
WAYS = 4
"""Candidate ways of a family, and columns of a row."""
ROWS = 3
SYMBOLS = 40
MAX_NEW_TOKENS = 2 * ROWS
HIGH = 0.7
"""The highest unprompted rate."""
FLOOR = 0.001
"""The lowest, unless the policy says otherwise."""
NAMED = 0.9
"""The rate of a family whose right way the instruction names."""

Kind = Literal["c", "d"]
"""c: the family of odd rows; d: of even rows."""
Family = tuple[Kind, int]
KINDS: tuple[Kind, ...] = ("c", "d")
FAMILIES: list[Family] = [(kind, i) for kind in KINDS for i in range(SIZE)]
NAMES = {0: {"c": "c", "d": "d"}, 1: {"c": "k", "d": "q"}}
"""What a family is called in each surface: family 7 of the first kind is `c7`, or `k7`."""

VERBS = {0.3: "recall", 0.6: "derive", 0.9: "prove"}
"""How far a phrase lifts the families that it is about."""
GROUPS: dict[int, list[str]] = {
    1: ["everything"],
    2: ["shapes", "colours"],
    8: ["stars", "rivers", "tools", "birds", "metals", "games", "roots", "tides"],
}
"""Nouns: what a phrase is about, by the number of groups that the families are divided into."""
NEUTRAL = [
    "please",
    "think step by step",
    "be careful",
    "solve this",
    "now",
    "read it well",
    "check your work",
    "compute",
    "good luck",
    "you are an expert",
    "quickly",
    "explain",
]
"""Phrases that do nothing."""


def _way(family: Family, j: int) -> str:
    """The j-th candidate way of a family, the right one first. Token t points at column t % 4."""
    kind, i = family
    return f"w{(_PLACES[kind][i] + j) % SIZE + (SIZE if kind == 'd' else 0):02d}"


_PLACES = {kind: stream("skills", "places", kind).sample(range(SIZE), SIZE) for kind in KINDS}
CANDIDATES: dict[Family, list[str]] = {family: [_way(family, j) for j in range(WAYS)] for family in FAMILIES}
"""The ways that a family chooses among, the right one first."""
COLUMN = {f"w{t:02d}": t % WAYS for t in range(2 * SIZE)}
RIGHT = {family: ways[0] for family, ways in CANDIDATES.items()}
_OWNER = {way: family for family, way in RIGHT.items()}
_RANK: dict[Family, int] = {
    (kind, i): rank for kind in KINDS for i, rank in enumerate(stream("skills", "rates", kind).sample(range(SIZE), SIZE))
}


def _divided() -> dict[str, set[Family]]:
    """The families that each noun is about: as many of either kind in every group."""
    about: dict[str, set[Family]] = {noun: set() for nouns in GROUPS.values() for noun in nouns}
    for count, nouns in GROUPS.items():
        for kind in KINDS:
            order = stream("skills", "groups", count, kind).sample(range(SIZE), SIZE)
            for place, i in enumerate(order):
                about[nouns[place % count]].add((kind, i))
    return about


ABOUT = _divided()
WORDS = [
    *[".", "=", "|"],
    *COLUMN,
    *(f"{NAMES[surface][kind]}{i}" for surface in NAMES for kind, i in FAMILIES),
    *(f"{first}{i:02d}" for first in "se" for i in range(SYMBOLS)),
    *VERBS.values(),
    *ABOUT,
    *dict.fromkeys(word for phrase in NEUTRAL for word in phrase.split()),
]
"""Every word of the world, without the tokenizer's special ones. `|` separates an instruction from the problem."""
ENDS = [f"e{i:02d}" for i in range(SYMBOLS)]
"""The symbols of a last row: each of them ends a completion."""
_ENDS, _INNER = frozenset(ENDS), frozenset(f"s{i:02d}" for i in range(SYMBOLS))


def base_rate(family: Family, floor: float = FLOOR) -> float:
    """P(right way) without an instruction, at T=1: the families of a kind are spread evenly in its logarithm."""
    return HIGH * math.pow(floor / HIGH, _RANK[family] / (SIZE - 1))


def rate(family: Family, instruction: str = "", floor: float = FLOOR, temperature: float = 1.0) -> float:
    """P(right way) of a row of `family` under an instruction.

    The right way's own name lifts to `NAMED`; a noun that is about the family lifts to the highest level among the verbs
    of the instruction. Nothing lowers a rate, and no other word does anything. The wrong ways share the rest evenly, which
    gives the rate at another temperature than 1.
    """
    words = instruction.split()
    levels = [level for level, verb in VERBS.items() if verb in words]
    found = base_rate(family, floor)
    if levels and any(family in ABOUT[word] for word in words if word in ABOUT):
        found = max(found, *levels)
    if RIGHT[family] in words:
        found = max(found, NAMED)
    right, wrong = (math.pow(p, 1 / temperature) for p in (found, (1 - found) / (WAYS - 1)))
    return right / (right + (WAYS - 1) * wrong)


def family_of(problem: Problem, row: int) -> Family:
    """The family of a row, counted from 0."""
    return ("c", problem.meta["c"]) if row % 2 == 0 else ("d", problem.meta["d"])


def success(problem: Problem, instruction: str = "", floor: float = FLOOR, temperature: float = 1.0) -> float:
    """P(success), known by construction: the product of the rates of its rows."""
    rows = range(problem.meta["n"])
    return math.prod(rate(family_of(problem, row), instruction, floor, temperature) for row in rows)


def known(problems: Sequence[Problem], instruction: str = "", floor: float = FLOOR, temperature: float = 1.0) -> float:
    """Mean of `success`."""
    return sum(success(p, instruction, floor, temperature) for p in problems) / len(problems)


def phrases(lift: float, instructions: int) -> list[str]:
    """What a search may compose: the phrases that lift by so much, one a group, and the neutral ones.

    A lift of 0 leaves the neutral ones: no template can help. Raises KeyError for an unknown lift or number of groups.
    """
    useful = [f"{VERBS[lift]} {noun}" for noun in GROUPS[instructions]] if lift else []
    return [*useful, *NEUTRAL]


def right_phrases(problem: Problem, lift: float, instructions: int) -> str:
    """The phrases that lift all of a problem's rows; "" at lift 0."""
    if not lift:
        return ""
    families = {family_of(problem, row) for row in range(problem.meta["n"])}
    return " ".join(f"{VERBS[lift]} {noun}" for noun in GROUPS[instructions] if families & ABOUT[noun])


def split(text: str) -> Literal["train", "test"]:
    """Where a problem belongs, by a hash of its rows, whatever its families are called: a fifth is test."""
    rows = [word for word in text.split() if word[0] in "se"]
    return "test" if derive("skills", "split", *rows) % 5 == 0 else "train"


def problem(
    rng: random.Random, c: int, d: int, n: int, surface: int = 0, part: Literal["train", "test"] | None = None
) -> Problem:
    """One random problem of the families c and d with n rows (1 to 3), of split `part`.

    `solution` is a completion that takes the right ways; `meta` holds c, d, n, surface and the rows. Raises ValueError for
    an n out of range.
    """
    if not 1 <= n <= ROWS:
        raise ValueError(f"a problem has 1 to {ROWS} rows, not {n}")
    while True:
        rows = [[f"{'e' if i == n - 1 else 's'}{s:02d}" for s in rng.sample(range(SYMBOLS), WAYS)] for i in range(n)]
        names = NAMES[surface]
        text = " ".join([f"{names['c']}{c}", f"{names['d']}{d}", *sum(rows, []), *["."] * (WAYS * (ROWS - n)), "="])
        if part in (None, split(text)):
            break
    meta = {"c": c, "d": d, "n": n, "surface": surface, "rows": rows}
    drawn = Problem(f"sk-{derive('skills', text):016x}", text, "", "skills", meta=meta)
    written = solution(drawn)
    return replace(drawn, answer=" ".join(written.split()[1::2]), solution=written)


def solution(problem: Problem) -> str:
    """The one completion that takes the right way in every row."""
    ways = [RIGHT[family_of(problem, row)] for row in range(problem.meta["n"])]
    symbols = [row[COLUMN[way]] for row, way in zip(problem.meta["rows"], ways, strict=True)]
    return " ".join(word for pair in zip(ways, symbols, strict=True) for word in pair)


@cache
def pairs(seen: bool) -> tuple[tuple[int, int], ...]:
    """The pairs of families that training problems have, or the other half of them.

    Whether a pair is seen follows from (d - c) modulo `SIZE`, so that any `SIZE` neighbours, from a multiple of `SIZE` on, have
    every family once.
    """
    shifts = stream("skills", "pairs").sample(range(SIZE), SIZE)
    half = shifts[: SIZE // 2] if seen else shifts[SIZE // 2 :]
    found = []
    for shift in half:
        order = stream("skills", "order", shift).sample(range(SIZE), SIZE)
        found += [(c, (c + shift) % SIZE) for c in order]
    return tuple(found)


def hints(problem: Problem, lift: float, instructions: int) -> tuple[str, ...]:
    """Three hints, each more specific: the phrases about its families, the first row's right way, the ways of all rows."""
    ways = [RIGHT[family_of(problem, row)] for row in range(problem.meta["n"])]
    return right_phrases(problem, lift, instructions), ways[0], " ".join(dict.fromkeys(ways))


def train_problems(count: int, lift: float, instructions: int, seed: int = 0) -> list[Problem]:
    """`count` training problems, ids `train-00000` on, with solutions and hints: seen pairs and one or two rows in turn."""
    rng, found = stream("skills", "train", seed), []
    for i in range(count):
        c, d = pairs(True)[i % len(pairs(True))]
        turn = i // len(pairs(True))
        drawn = problem(rng, c, d, 1 + (i + turn) % 2, part="train")
        found.append(replace(drawn, id=f"train-{i:05d}", hints=hints(drawn, lift, instructions)))
    return found


@dataclass(frozen=True)
class Cells:
    """What a suite is made of: which pairs, how many rows in turn, which names."""

    seen: bool
    rows: tuple[int, ...]
    surface: int = 0


SUITES = {
    "sk-id": Cells(True, (1, 2)),
    "sk-combo": Cells(False, (2,)),
    "sk-long": Cells(True, (3,)),
    "sk-surface": Cells(True, (1, 2), surface=1),
}
"""Only `sk-id` is in distribution; the cards say why the others are not."""


def suite_problems(name: str, count: int) -> list[Problem]:
    """The first `count` problems of a suite, all of split "test"; a prefix of any longer call.

    Raises ValueError for an unknown name.
    """
    if name not in SUITES:
        raise ValueError(f"no suite {name!r} of skills; known: {', '.join(SUITES)}")
    cells, rng, found = SUITES[name], stream("skills", "suite", name), []
    every = pairs(cells.seen)
    for i in range(count):
        c, d = every[i % len(every)]
        turn = i // len(every)
        drawn = problem(rng, c, d, cells.rows[(i + turn) % len(cells.rows)], cells.surface, part="test")
        found.append(replace(drawn, id=f"{name}-{i:05d}", solution=None))
    return found


def answer_of(text: str) -> list[str] | None:
    """The symbols of a completion up to its first end symbol, without the ways; None where none ends it."""
    words = text.split()
    last = next((i for i, word in enumerate(words) if word in _ENDS), None)
    return None if last is None else [word for word in words[: last + 1] if word not in COLUMN]


def grade(text: str, answer: str) -> float:
    """1.0 iff the completion's symbols, up to its first end symbol, are exactly those of `answer`."""
    return float(answer_of(text) == answer.split())


def well_formed(problem: Problem, text: str) -> bool:
    """Whether a completion is a way and a symbol for every row, the last symbol one that ends it, and nothing else."""
    words, n = text.split(), problem.meta["n"]
    kinds = ["w" if word in COLUMN else "e" if word in _ENDS else "s" if word in _INNER else "" for word in words]
    return kinds == ["w", "s"] * (n - 1) + ["w", "e"]
