"""Many comparisons at once: corrected p values, and the letters of arms that are tied."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p values that control the chance of any false rejection (Holm 1979)."""
    out: dict[Key, float] = {}
    highest = 0.0
    for i, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p) - i) * value))
        out[key] = highest
    return out


def benjamini_hochberg(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p values that control the share of false rejections (Benjamini and Hochberg 1995)."""
    if not p:  # the report of a run alone: half a second less
        return {}
    from scipy.stats import false_discovery_control

    return dict(zip(p, map(float, false_discovery_control(list(p.values()))), strict=True))


def tie_letters(means: Mapping[str, float], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display: two arms share a letter exactly if they are not `different` (Piepho 2004).

    Every letter stands for a maximal set of arms no two of which differ; `a` is a set with the best arm. All such sets
    have a letter where there are at most MOST_LETTERS, otherwise as many as it takes to show every tie. `letters_of` takes
    an arm's text apart.
    """
    order = sorted(means, key=lambda arm: (-means[arm], arm))
    rank = {arm: i for i, arm in enumerate(order)}
    near = [(1 << len(order)) - 1 & ~(1 << i) for i in range(len(order))]  # bit j: not different from arm j
    for a, b in different:
        near[rank[a]] &= ~(1 << rank[b])
        near[rank[b]] &= ~(1 << rank[a])
    sets = _all_tied(near)
    groups = sorted(list(_bits(group)) for group in (_enough_tied(near) if sets is None else sets))
    letters: list[list[str]] = [[] for _ in order]
    for i, group in enumerate(groups):
        for arm in group:
            letters[arm].append(_letter(i))
    return {arm: "".join(own) for arm, own in zip(order, letters, strict=True)}


MOST_LETTERS = 500
"""The number of maximal sets of tied arms can be exponential in that of the arms: 200 noisy ones easily have 10,000."""


def letters_of(ties: str) -> set[str]:
    """The letters in one arm's text, e.g. `a`, `b` and `c1` in "abc1"."""
    return set(re.findall(r"[a-z][0-9]*", ties))


def _all_tied(near: Sequence[int]) -> list[int] | None:
    """The maximal sets of arms no two of which differ, as bits; None where there are more than MOST_LETTERS.

    Insert and absorb (Piepho 2004), arm by arm. The arms so far have no more maximal sets than all of them have, so that
    there are never more than MOST_LETTERS at hand.
    """
    groups = [0]
    for new, friends in enumerate(near):
        before = friends & (1 << new) - 1
        grown = {group & before for group in groups}
        whole = {part for part in grown if not _common(near, part, before)}
        groups = [group for group in groups if group & ~before] + [part | 1 << new for part in whole]
        if len(groups) > MOST_LETTERS:
            return None
    return groups


def _enough_tied(near: Sequence[int]) -> list[int]:
    """Maximal sets that hold every tied pair between them, as bits; at most one per pair, found in the order of the arms."""
    open_ = list(near)
    groups: list[int] = []
    for first in range(len(near)):
        while open_[first] or not near[first] and not any(group >> first & 1 for group in groups):
            group, candidates = 1 << first, near[first]
            while candidates:  # whoever shows the most ties that no set shows yet
                best = max(_bits(candidates), key=lambda arm: ((open_[arm] & group).bit_count(), -arm))
                group, candidates = group | 1 << best, candidates & near[best]
            groups.append(group)
            for arm in _bits(group):
                open_[arm] &= ~group
    return groups


def _common(near: Sequence[int], group: int, among: int) -> int:
    """The arms `among` those given, outside of the group, that differ from none of it."""
    among &= ~group
    for arm in _bits(group):
        among &= near[arm]
        if not among:
            break
    return among


def _bits(number: int) -> Iterator[int]:
    """The places of its ones, from the lowest."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _letter(i: int) -> str:
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
