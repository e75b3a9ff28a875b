"""Which rows of a batch are passed through the model together. A row is a prompt's and a completion's token ids."""

from __future__ import annotations

from collections.abc import Sequence

Pair = tuple[Sequence[int], Sequence[int]]


def passes_by_length(rows: Sequence[Pair], budget: int) -> list[list[int]]:
    """Rows of similar length, at most `budget` tokens a pass with padding, or one row; as indices."""
    length = [len(prompt) + len(completion) for prompt, completion in rows]
    out: list[list[int]] = []
    for i in sorted(range(len(rows)), key=length.__getitem__):
        if out and (len(out[-1]) + 1) * length[i] <= budget:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def passes_by_prompt(rows: Sequence[Pair], budget: int) -> list[list[int]]:
    """Rows with equal prompts together, each prompt counted once, at most `budget` tokens a pass, or one row; as indices.

    Prompts whose rows are of similar length are neighbours. Rows of one prompt are parted only where they do not fit into a
    pass of their own, and then by length: attention pads the completions of a pass to the longest.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, (prompt, _) in enumerate(rows):
        groups.setdefault(tuple(prompt), []).append(i)
    size = [len(completion) for _, completion in rows]
    out: list[list[int]] = []
    used = 0
    for prompt, group in sorted(groups.items(), key=lambda g: (max(size[i] for i in g[1]), len(g[0]))):
        group.sort(key=size.__getitem__)
        if out and used + len(prompt) + sum(size[i] for i in group) <= budget:
            out[-1] += group
            used += len(prompt) + sum(size[i] for i in group)
            continue
        out.append([])
        used = len(prompt)
        for i in group:
            if out[-1] and used + size[i] > budget:
                out.append([])
                used = len(prompt)
            out[-1].append(i)
            used += size[i]
    return out
