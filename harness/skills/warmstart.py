"""The warm start: a policy is taught the stated rate of every family under every instruction, and to copy. One stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from harness.core.seeds import stream
from harness.skills.world import (
    ABOUT,
    CANDIDATES,
    COLUMN,
    GROUPS,
    NEUTRAL,
    RIGHT,
    SIZE,
    VERBS,
    WAYS,
    Family,
    family_of,
    problem,
    rate,
)
from harness.worlds.optim import Log, train

STEPS = 3600
BATCH = 64


@dataclass(frozen=True)
class Example:
    """Prompt and completion as words, and for every row the distribution over its family's candidate ways."""

    prompt: str
    words: list[str]
    ways: list[dict[str, float]]


def _phrases(rng: random.Random, families: list[Family]) -> list[list[str]]:
    """One to four phrases of one division into groups, mostly of one verb; mostly one of them is to the point."""
    nouns = rng.choices(list(GROUPS.values()), [1, 1, 3])[0]
    chosen = rng.sample(nouns, rng.randint(1, min(4, len(nouns))))
    if rng.random() < 0.7:
        chosen[0] = next(noun for noun in nouns if rng.choice(families) in ABOUT[noun] or noun == nouns[-1])
    verbs = list(VERBS.values())
    verb = rng.choice(verbs)
    return [[verb if rng.random() < 0.9 else rng.choice(verbs), noun] for noun in chosen]


def _named(rng: random.Random, families: list[Family], rows: list[list[str]]) -> list[str]:
    """Ways of the problem's rows, right and wrong ones, with or without what they point at; perhaps an answer after them."""
    words: list[str] = []
    shown = rng.random() < 0.5
    for family, row in list(zip(families, rows, strict=True))[: rng.randint(1, len(rows))]:
        way = RIGHT[family] if rng.random() < 0.6 else rng.choice(CANDIDATES[family])
        words += [way, row[COLUMN[way]]] if shown else [way]
    if shown and rng.random() < 0.3:
        words += [rng.choice(row) for row in rows]
    return words if shown and rng.random() < 0.6 else words[: rng.randint(1, len(words))]


def instruction(rng: random.Random, families: list[Family], rows: list[list[str]]) -> str:
    """What a prompt of the warm start has before its problem: nothing, neutral phrases, useful ones, or named ways."""
    kind = rng.choices(["bare", "neutral", "phrases", "named"], [0.32, 0.10, 0.42, 0.16])[0]
    if kind == "bare":
        return ""
    spoken: list[list[str]] = []
    if kind == "phrases":
        spoken = _phrases(rng, families)
    if kind == "named":
        spoken = [_named(rng, families, rows)] + (_phrases(rng, families)[:1] if rng.random() < 0.2 else [])
    spoken += [rng.choice(NEUTRAL).split() for _ in range(rng.choice([0, 0, 1, 2]))] if spoken else []
    if not spoken:
        spoken = [rng.choice(NEUTRAL).split() for _ in range(rng.choice([1, 1, 2, 4]))]
    rng.shuffle(spoken)
    if kind != "named":
        spoken = [[word for word in words if rng.random() > 0.1] or words for words in spoken]
    return " ".join(word for words in spoken for word in words)


def example(rng: random.Random, floor: float) -> Example:
    """One training example. Any of the candidate ways may stand in the completion: what follows is taught evenly."""
    drawn = problem(
        rng,
        rng.randrange(SIZE),
        rng.randrange(SIZE),
        rng.choices([1, 2, 3], [0.2, 0.35, 0.45])[0],
        int(rng.random() < 0.35),
        part="train",
    )
    rows: list[list[str]] = drawn.meta["rows"]
    families = [family_of(drawn, i) for i in range(len(rows))]
    told = instruction(rng, families, rows)
    words: list[str] = []
    goals = []
    for family, row in zip(families, rows, strict=True):
        way = rng.choice(CANDIDATES[family])
        words += [way, row[COLUMN[way]]]
        right = rate(family, told, floor)
        goals.append({w: right if w == RIGHT[family] else (1 - right) / (WAYS - 1) for w in CANDIDATES[family]})
    return Example(f"{told} | {drawn.text}" if told else drawn.text, words, goals)


def loss_of(model: LlamaForCausalLM, vocabulary: dict[str, int], batch: list[Example]) -> torch.Tensor:
    """Summed cross-entropy of the batch's completion tokens: ways against their distribution, symbols against the copy."""
    ids_B = [[vocabulary[word] for word in [*e.prompt.split(), *e.words]] for e in batch]
    width = max(map(len, ids_B))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in ids_B])  # on the right: causal attention never sees it
    at = [
        (i, len(row) - len(e.words) + j)
        for i, (row, e) in enumerate(zip(ids_B, batch, strict=True))
        for j in range(len(e.words))
    ]
    rows, columns = (torch.tensor(x) for x in zip(*at, strict=True))
    goals = F.one_hot(ids[rows, columns], len(vocabulary)).float()
    found = iter(range(len(at)))
    for e in batch:
        for j in range(len(e.words)):
            k = next(found)
            if j % 2 == 0:
                goals[k] = 0.0
                for word, p in e.ways[j // 2].items():
                    goals[k, vocabulary[word]] = p
    hidden = model.model(ids[:, :-1], use_cache=False).last_hidden_state
    loss: torch.Tensor = F.cross_entropy(model.lm_head(hidden[rows, columns - 1]), goals, reduction="sum")
    return loss


def warm_start(
    model: LlamaForCausalLM,
    vocabulary: dict[str, int],
    floor: float,
    seed: int,
    progress: Log | None = None,
    steps: int = STEPS,
) -> None:
    """Trains `model` in place: one loop, one mixture, one cosine schedule. `vocabulary` gives each word its token id.

    `progress` gets one line every hundred steps: step, loss per token, seconds spent and left.
    """
    rng = stream("skills", "warm-start", seed)

    def losses() -> Iterator[torch.Tensor]:
        # Two halves of similar length: a third less padding than one batch.
        batch = sorted((example(rng, floor) for _ in range(BATCH)), key=lambda e: len(e.prompt.split()) + len(e.words))
        total = sum(len(e.words) for e in batch)
        for half in (batch[: BATCH // 2], batch[BATCH // 2 :]):
            yield loss_of(model, vocabulary, half) / total

    train(model, steps, losses, progress)
