"""A small world with known truth: two registers modulo 10 and a row of operations on them.

Family A ("run") applies the operations, family B ("back") applies the inverse of each in the same order, family C
("flip") is A with the two registers of the answer swapped. A completion is written in one of four styles:

- D, direct:  `ans x y`. Beyond one or two operations the policy can only guess.
- S, forward: `let <S> x0 y0 x1 y1 ... ans x y`, the state after every operation; right for A and C.
- L, inverse: `let <L> ...` with the inverse of every operation; right for B.
- P, plan:    `let <P>`, the operations once more, then a guess. Useless by construction.

From two operations on, S and L end in different registers, so the wrong style gives a wrong answer. Standard library
only. Whether a problem belongs to training or to the suites is a hash of its registers and operations (see `split`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from harness.core.seeds import derive, stream
from harness.core.types import Problem

MODULUS = 10
MAX_OPERATIONS = 7
HARD = 3
"""Problems with at least this many operations are hard: nothing but the right style solves them."""
MAX_NEW_TOKENS = 2 + 2 * (MAX_OPERATIONS + 1) + 4
"""Enough for the longest well-formed completion: header, states, `ans x y`, end token."""

Style = Literal["D", "S", "L", "P"]
Family = Literal["A", "B", "C"]
TRAINED: tuple[Family, Family] = ("A", "B")
"""The families of training problems."""
Pair = tuple[int, int]
Operation = tuple[str, int]

HEADS = {
    ("A", 0): "run :",
    ("B", 0): "back :",
    ("C", 0): "flip :",
    ("A", 1): "apply ;",
    ("B", 1): "invert ;",
}
PHRASES: dict[str, list[str]] = {
    "S": ["step by step", "show running values", "every intermediate result", "one move at a time", "write each state"],
    "L": ["undo each move", "work backwards", "use the inverse", "reverse every operation", "take it back"],
    "R": ["restate the problem", "explain", "plan first", "describe what you see"],
    "D": ["answer directly", "be brief", "only the final answer", "quickly"],
    "N": [
        "please",
        "solve this",
        "compute",
        "be careful",
        "you are an expert",
        "think",
        "check your work",
        "find the registers",
        "read it well",
        "now",
        "calculate",
        "good luck",
    ],
}
"""The instructions of the warm start by kind: S and L elicit a style, R restates, D asks for brevity, N is neutral."""
UNSEEN: dict[str, list[str]] = {
    "S": ["show each intermediate state", "write running values step by step", "every intermediate state"],
    "L": ["reverse each move", "undo every operation", "take the inverse"],
}
"""Paraphrases that are no phrase of the warm start, for measuring whether instructions generalise."""


def _vocabulary() -> list[str]:
    symbols = "p m sw ad . = : ; run back flip apply invert ans let <S> <L> <P> |".split()
    phrases = [*PHRASES.values(), *UNSEEN.values()]
    spoken = [word for kind in phrases for phrase in kind for word in phrase.split()]
    return list(dict.fromkeys([str(i) for i in range(MODULUS)] + symbols + spoken))


WORDS = _vocabulary()
"""Every word of the world, without the tokenizer's special tokens. `|` separates an instruction from the problem."""

_INVERSE_FACTOR = {3: 7, 7: 3}


def forward(state: Pair, operation: Operation) -> Pair:
    """The registers after one operation: p adds to x, m multiplies x, sw swaps, ad adds y to x."""
    (x, y), (kind, d) = state, operation
    if kind == "p":
        return (x + d) % MODULUS, y
    if kind == "m":
        return x * d % MODULUS, y
    return (y, x) if kind == "sw" else ((x + y) % MODULUS, y)


def inverse(state: Pair, operation: Operation) -> Pair:
    """The registers before one operation, i.e. the inverse of `forward`."""
    (x, y), (kind, d) = state, operation
    if kind == "p":
        return (x - d) % MODULUS, y
    if kind == "m":
        return x * _INVERSE_FACTOR[d] % MODULUS, y
    return (y, x) if kind == "sw" else ((x - y) % MODULUS, y)


def _states(start: Pair, operations: Sequence[Operation], step: Callable[[Pair, Operation], Pair]) -> list[Pair]:
    states = [start]
    for operation in operations:
        states.append(step(states[-1], operation))
    return states


def _operation(rng: random.Random) -> Operation:
    kind = rng.choices(["p", "m", "sw", "ad"], [0.3, 0.2, 0.25, 0.25])[0]
    return kind, rng.randint(1, 9) if kind == "p" else rng.choice([3, 7]) if kind == "m" else 0


def split(start: Pair, operations: Sequence[Operation]) -> Literal["train", "test"]:
    """Where a problem belongs, by a hash of its registers and operations: a fifth is test.

    Family and format are left out, so a test problem appears in training under no head whatever, neither in the warm
    start nor in reinforcement learning.
    """
    return "test" if derive("testbed", "split", tuple(start), *map(tuple, operations)) % 5 == 0 else "train"


def _acceptable(start: Pair, ends: tuple[Pair, Pair], n: int) -> bool:
    """Filters that keep guessing and the wrong style from succeeding.

    Two operations: both styles end differently. Three and more: also neither end shares a value with the start
    (otherwise copying a register is right too often).
    """
    if n == 1:
        return True
    return ends[0] != ends[1] and (n < HARD or not set(ends[0] + ends[1]) & set(start))


def problem(rng: random.Random, family: Family, n: int, fmt: int = 0, part: Literal["train", "test"] | None = None) -> Problem:
    """One random problem with `n` operations (1 to 7) in surface format `fmt` (0, or 1 for A and B), of split `part`.

    `text` is the user turn as words, `answer` is "x y". `meta` holds family, n, fmt, start, ops, the states of both
    styles (`forward`, `inverse`: n + 1 pairs each) and `right`, the style that solves it.
    Raises ValueError for an unknown combination of family and format or an `n` out of range.
    """
    if (family, fmt) not in HEADS or not 1 <= n <= MAX_OPERATIONS:
        raise ValueError(f"no problem with family {family!r}, n {n}, fmt {fmt}")
    while True:
        start = (rng.randrange(MODULUS), rng.randrange(MODULUS))
        operations = [_operation(rng) for _ in range(n)]
        if n >= HARD and not {"sw", "ad"} <= {kind for kind, _ in operations}:
            continue  # without a swap and an addition the two registers hardly mix, and guesses get lucky
        S, L = _states(start, operations, forward), _states(start, operations, inverse)
        if _acceptable(start, (S[-1], L[-1]), n) and part in (None, split(start, operations)):
            break
    words = [HEADS[family, fmt], *map(str, start), *(f"{kind} {d}" for kind, d in operations)]
    text = " ".join([*words, *[". ."] * (MAX_OPERATIONS - n), "="])
    right = "L" if family == "B" else "S"
    meta = {
        "family": family,
        "n": n,
        "fmt": fmt,
        "start": list(start),
        "ops": [list(o) for o in operations],
        "forward": [list(s) for s in S],
        "inverse": [list(s) for s in L],
        "right": right,
    }
    gold = _answer(family, (S if right == "S" else L)[-1])
    return Problem(f"tb-{derive('testbed', text):016x}", text, gold, "testbed", meta=meta)


def _answer(family: Family, end: Sequence[int]) -> str:
    x, y = end
    return f"{y} {x}" if family == "C" else f"{x} {y}"


def style_answer(problem: Problem, style: Literal["S", "L"]) -> str:
    """The answer "x y" that style S or L ends in; equal to the gold one exactly for the right style (n >= 2)."""
    states = problem.meta["forward" if style == "S" else "inverse"]
    return _answer(problem.meta["family"], states[-1])


def header(style: Style, branch_tokens: int = 2) -> list[str]:
    """The words that commit a completion to a style: none for D, "let <S>" with two branch tokens, "<S>" with one."""
    if style == "D":
        return []
    return ["let", f"<{style}>"] if branch_tokens == 2 else [f"<{style}>"]


def branch_words(problem: Problem, branch_tokens: int) -> list[str]:
    """The header words of the style that solves `problem`."""
    return header(problem.meta["right"], branch_tokens)


def target(problem: Problem, style: Style, guess: str, useful: bool = True, branch_tokens: int = 2) -> tuple[list[str], bool]:
    """A completion in `style` as words (without the end token), and whether its answer is derived from the trace.

    `guess` ("x y") ends the styles that derive nothing: D, P, and with `useful=False` (world `absent`) every style. The
    traces of S and L then show what each operation, or its inverse, does to the start, so that nothing accumulates.
    """
    head = header(style, branch_tokens)
    if style == "D":
        return ["ans", *guess.split()], False
    if style == "P":
        copied = [str(part) for operation in problem.meta["ops"] for part in operation]
        return [*head, *copied, "ans", *guess.split()], False
    if useful:
        states = problem.meta["forward" if style == "S" else "inverse"]
    else:
        start, step = tuple(problem.meta["start"]), forward if style == "S" else inverse
        states = [start, *(step(start, tuple(operation)) for operation in problem.meta["ops"])]
    trace = [str(value) for state in states for value in state]
    answer = style_answer(problem, style) if useful else guess
    return [*head, *trace, "ans", *answer.split()], useful


def train_problems(count: int, easy_share: float, seed: int, branch_tokens: int = 2) -> list[Problem]:
    """`count` training problems, ids `train-00000` on: A and B in turn, format 0, split "train"; `solution` is the trace.

    A share `easy_share` (rounded) has one or two operations, the others three to five; the two kinds are spread evenly
    over the list. Texts are distinct while the world has enough of them (about 1,000 with one operation per family).
    Raises ValueError when `easy_share` is outside [0, 1].
    """
    if not 0 <= easy_share <= 1:
        raise ValueError(f"easy_share must be in [0, 1], got {easy_share}")
    rng, seen, problems = stream("testbed", "train", seed), set(), []
    pairs = (count + 1) // 2
    easy_pairs = round(easy_share * pairs)
    for i in range(count):
        # Bresenham over pairs (one A, one B), so that both families have the same share of easy problems.
        easy = (i // 2 + 1) * easy_pairs // pairs > i // 2 * easy_pairs // pairs
        for _ in range(100):
            n = rng.choice([1, 2] if easy else [3, 4, 5])
            drawn = problem(rng, TRAINED[i % 2], n, part="train")
            if drawn.text not in seen:
                break
        seen.add(drawn.text)
        words, _ = target(drawn, drawn.meta["right"], drawn.answer, branch_tokens=branch_tokens)
        problems.append(replace(drawn, id=f"train-{i:05d}", solution=" ".join(words)))
    return problems


SUITES: dict[str, list[tuple[Family, int, int]]] = {
    "tb-id": [(family, n, 0) for n in range(1, 6) for family in TRAINED],
    "tb-long": [(family, n, 0) for n in (6, 7) for family in TRAINED],
    "tb-format": [(family, n, 1) for n in (3, 4, 5) for family in TRAINED],
    "tb-family": [("C", n, 0) for n in (3, 4, 5)],
}
"""The cells (family, n, format) of each suite, visited in turn. Only `tb-id` is in distribution."""


def suite_problems(name: str, count: int) -> list[Problem]:
    """The first `count` problems of a suite, all of split "test", ids `tb-id-00000` on; a prefix of any longer call.

    Raises ValueError for an unknown name.
    """
    if name not in SUITES:
        raise ValueError(f"no testbed suite {name!r}; known: {', '.join(SUITES)}")
    rng, cells, seen, problems = stream("testbed", "suite", name), SUITES[name], set(), []
    for i in range(count):
        family, n, fmt = cells[i % len(cells)]
        for _ in range(100):
            drawn = problem(rng, family, n, fmt, part="test")
            if drawn.text not in seen:
                break
        seen.add(drawn.text)
        problems.append(replace(drawn, id=f"{name}-{i:05d}"))
    return problems


def grade(text: str, answer: str) -> float:
    """1.0 iff the last `ans` of the completion is followed by exactly the words of `answer` and nothing else."""
    words = text.split()
    if "ans" not in words:
        return 0.0
    last = len(words) - 1 - words[::-1].index("ans")
    return float(words[last + 1 :] == answer.split())


def pieces() -> list[str]:
    """The words and bigrams of all phrases, in order and without repeats: what a prompt proposer composes from."""
    found: list[str] = []
    for kind in PHRASES.values():
        for phrase in kind:
            words = phrase.split()
            found += words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return list(dict.fromkeys(found))
