"""The warm start: supervised fine-tuning of a policy on the world's mixture of instructions and styles, in one stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from harness.core.seeds import stream
from harness.testbed.world import PHRASES, Family, Style, problem, target
from harness.worlds.optim import Log, train

STEPS = 2400
BATCH = 64

KINDS = ["", "N", "S", "L", "R", "D", "SL"]
"""Kinds of prompts: plain, neutral, and the kinds of the phrases in the instruction, then their shares."""
SHARES = [0.26, 0.14, 0.24, 0.24, 0.04, 0.04, 0.04]
SHOWN: dict[str, Style] = {"R": "P", "D": "D"}
TRACED: dict[str, list[Style]] = {"S": ["S"], "L": ["L"], "SL": ["S", "L"]}
"""The style that follows an instruction of a kind: the one of `SHOWN`, or a draw from `TRACED`."""


@dataclass(frozen=True)
class Mixture:
    """What a world shows during the warm start.

    `first` is the probability that a plain completion opens a trace at all, `second` that it then is S (and that it is
    L); the rest is P. `useful` says whether the traces of S and L lead to the answer (False in world `absent`).
    """

    first: float
    second: float
    useful: bool
    branch_tokens: int


def _instruction(rng: random.Random, kind: str) -> str:
    """One phrase for every letter of `kind`, up to two neutral ones added, 15% of the words dropped, order shuffled."""
    spoken = [rng.choice(PHRASES[letter]).split() for letter in kind]
    spoken = [[word for word in words if rng.random() > 0.15] or words for words in spoken]
    spoken += [rng.choice(PHRASES["N"]).split() for _ in range(rng.choice([0, 0, 1, 2]))]
    rng.shuffle(spoken)
    return " ".join(word for words in spoken for word in words)


@dataclass(frozen=True)
class Example:
    """Prompt and completion as words, and the weight of every completion token including the end token.

    `branches` gives, for the first tokens of a plain completion, the distribution to learn instead of the drawn word.
    """

    prompt: str
    words: list[str]
    weights: list[float]
    branches: list[dict[str, float]]


def _plain_style(rng: random.Random, mixture: Mixture) -> tuple[Style, list[dict[str, float]]]:
    """A style for a plain prompt, and the distributions of the words that express it.

    Learning these distributions, not draws from them, gives every policy the rare styles at the stated probability.
    """
    rest = 1 - 2 * mixture.second
    styles = {"<S>": mixture.second, "<L>": mixture.second, "<P>": rest}
    traced: list[Style] = ["S", "L", "P"]
    drawn: Style = rng.choices(traced, list(styles.values()))[0] if rng.random() < mixture.first else "D"
    if mixture.branch_tokens == 1:
        return drawn, [{"ans": 1 - mixture.first, **{word: mixture.first * p for word, p in styles.items()}}]
    return drawn, [{"ans": 1 - mixture.first, "let": mixture.first}, *([] if drawn == "D" else [styles])]


def example(rng: random.Random, mixture: Mixture) -> Example:
    """One training example.

    Plain and neutral prompts show one to five operations, mostly one, and hardly ever a trace; instructed ones show
    one to seven. The guesses beyond two operations are uniform: what cannot be computed at once should not be right.
    """
    kind = rng.choices(KINDS, SHARES)[0]
    families: list[Family] = ["A", "B", "C"]
    family = rng.choices(families, [0.41, 0.41, 0.18])[0]
    fmt = int(family != "C" and rng.random() < 0.2)
    plain = kind in ("", "N")
    weights: list[float] = [10, 2, 1, 1, 1, 0, 0] if plain else [2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    n = rng.choices(range(1, 8), weights)[0]
    drawn = problem(rng, family, n, fmt, part="train")
    branches: list[dict[str, float]] = []
    style: Style
    if plain:
        style, branches = _plain_style(rng, mixture)
    else:
        style = SHOWN[kind] if kind in SHOWN else rng.choice(TRACED[kind])
        style = style if rng.random() < 0.97 else "D"
    instruction = "" if kind == "" else _instruction(rng, "" if kind == "N" else kind) or rng.choice(PHRASES["N"])
    guess = drawn.answer if n <= 2 else f"{rng.randrange(10)} {rng.randrange(10)}"
    words, derived = target(drawn, style, guess, mixture.useful, mixture.branch_tokens)
    per_token = [1.0] * (len(words) + 1)
    if not derived:
        # Only one operation can be computed at once; weighting longer guesses as well would drown the traces.
        per_token[-3:-1] = [6.0 if n == 1 and style == "D" else 0.5 if n <= 2 else 0.1] * 2
    prompt = f"{instruction} | {drawn.text}" if instruction else drawn.text
    return Example(prompt, words, per_token, branches)


def _loss(model: LlamaForCausalLM, vocabulary: dict[str, int], batch: list[Example]) -> torch.Tensor:
    """The weighted sum of the cross-entropies of all completion tokens in `batch`."""
    prompts = [[vocabulary[word] for word in e.prompt.split()] for e in batch]
    completions = [[vocabulary[word] for word in [*e.words, "<eos>"]] for e in batch]
    width = max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for i, (e, prompt, completion) in enumerate(zip(batch, prompts, completions, strict=True)):
        end = len(prompt) + len(completion)
        ids[i, :end] = torch.tensor(prompt + completion)
        weights[i, len(prompt) : end] = torch.tensor(e.weights)
    goals = F.one_hot(ids, len(vocabulary)).float()
    for i, (e, prompt) in enumerate(zip(batch, prompts, strict=True)):
        for j, distribution in enumerate(e.branches, start=len(prompt)):
            goals[i, j] = 0.0
            for word, probability in distribution.items():
                goals[i, j, vocabulary[word]] = probability
    logits = model(ids[:, :-1], use_cache=False).logits  # padded on the right: causal attention never sees it
    picked = weights[:, 1:] > 0
    losses = F.cross_entropy(logits[picked], goals[:, 1:][picked], reduction="none")
    return (losses * weights[:, 1:][picked]).sum()


def warm_start(
    model: LlamaForCausalLM,
    vocabulary: dict[str, int],
    mixture: Mixture,
    seed: int,
    progress: Log | None = None,
    steps: int = STEPS,
) -> None:
    """Trains `model` in place: one loop, one mixture, one cosine schedule. `vocabulary` gives each word its token id.

    `progress` gets one line every hundred steps: step, mean loss per weighted token, seconds spent and left.
    """
    rng = stream("testbed", "warm-start", seed)

    def losses() -> Iterator[torch.Tensor]:
        # Two halves of similar length: a third less padding than one batch.
        batch = sorted((example(rng, mixture) for _ in range(BATCH)), key=lambda e: len(e.prompt.split()) + len(e.words))
        total = sum(sum(e.weights) for e in batch)
        for half in (batch[: BATCH // 2], batch[BATCH // 2 :]):
            yield _loss(model, vocabulary, half) / total

    train(model, steps, losses, progress)
