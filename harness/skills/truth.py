"""What is true of a policy of the world of skills: known by construction, and measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.core.hints import insert
from harness.core.seeds import derive
from harness.core.types import Problem
from harness.skills.probe import rates
from harness.skills.world import (
    FLOOR,
    GROUPS,
    MAX_NEW_TOKENS,
    SUITES,
    VERBS,
    Family,
    base_rate,
    grade,
    known,
    right_phrases,
    solution,
    suite_problems,
    well_formed,
)
from harness.worlds.sampling import generate

SIZE = 288
"""Problems of a suite."""
INSTRUCTIONS = [
    "",
    "please",
    "think step by step",
    *(f"{verb} {noun}" for verb in VERBS.values() for noun in ("everything", "shapes", "birds")),
    *(" ".join(f"{verb} {noun}" for noun in GROUPS[2]) for verb in VERBS.values()),
    "derive stars derive rivers derive tools derive birds",
]
"""The instructions of the table: none, neutral, every level of one, two and eight groups, several phrases at once."""


class LoadedPolicy:
    """A policy folder loaded for measuring. All samples come from one stream, so a sequence of calls is repeatable."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.generator = torch.Generator().manual_seed(derive("skills", "truth", seed))

    def texts(self, prompts: Sequence[str], temperature: float = 1.0) -> list[str]:
        """One completion per user turn."""
        drawn = generate(self.model, self.tokenizer, prompts, temperature, MAX_NEW_TOKENS, self.generator)
        return [text for text, _, _ in drawn]

    def sample(
        self, problems: Sequence[Problem], templates: str | Sequence[str], samples: int = 4, temperature: float = 1.0
    ) -> tuple[float, float]:
        """Success rate, and share of malformed completions; one template for all problems or one for each."""
        each = [templates] * len(problems) if isinstance(templates, str) else templates
        prompts = [insert(z, p.text) for p, z in zip(problems, each, strict=True) for _ in range(samples)]
        asked = [p for p in problems for _ in range(samples)]
        texts = self.texts(prompts, temperature)
        right = [grade(text, p.answer) for text, p in zip(texts, asked, strict=True)]
        odd = [not well_formed(p, text) for text, p in zip(texts, asked, strict=True)]
        return statistics.fmean(right), statistics.fmean(odd)

    def success(self, problems: Sequence[Problem], templates: str | Sequence[str]) -> float:
        """Mean probability of the solutions at T=1, exactly: what the policy gives to the one completion that is right."""
        each = [templates] * len(problems) if isinstance(templates, str) else templates
        prompts = [insert(z, p.text) for p, z in zip(problems, each, strict=True)]
        return statistics.fmean(math.exp(sum(row)) for row in self.score(prompts, [solution(p) for p in problems], 1.0))

    @torch.no_grad()
    def score(self, prompts: Sequence[str], completions: Sequence[str], temperature: float) -> list[list[float]]:
        """Log-probabilities of the completions' tokens, as `harness.core.world.Scorer`; all rows in one pass."""
        read, written = (self.tokenizer(list(texts))["input_ids"] for texts in (prompts, completions))
        width = max(len(x) + len(y) for x, y in zip(read, written, strict=True))
        padded = [[*x, *y, *[0] * (width - len(x) - len(y))] for x, y in zip(read, written, strict=True)]
        ids = torch.tensor(padded)  # on the right: causal attention never sees it
        logps = torch.log_softmax(self.model(ids).logits[:, :-1] / temperature, -1).gather(2, ids[:, 1:, None])[:, :, 0]
        own = zip(logps.tolist(), read, written, strict=True)
        return [row[len(x) - 1 : len(x) + len(y) - 1] for row, x, y in own]


@dataclass
class Truth:
    """Of one policy: `table`, (suite, instruction) to success as known and as the policy has it; `right`, the same under each
    problem's own right phrases, by (suite, level, groups). `malformed`: the share of completions, over all cells. `rates`:
    per family, unprompted, as the policy has them."""

    floor: float
    table: dict[tuple[str, str], tuple[float, float]]
    right: dict[tuple[str, float, int], tuple[float, float]]
    malformed: float
    rates: dict[Family, float]

    @property
    def worst(self) -> float:
        """The largest difference between known and found success."""
        return max(abs(a - b) for a, b in [*self.table.values(), *self.right.values()])

    @property
    def log_errors(self) -> list[float]:
        """|log(found / stated)| of every family's unprompted rate, ascending."""
        return sorted(abs(math.log(p / base_rate(family, self.floor))) for family, p in self.rates.items())


def measure(folder: Path, floor: float = FLOOR, seed: int = 0) -> Truth:
    """Of the policy in `folder` at T=1. Success is computed, without sampling; completions are drawn to look at their form."""
    meter = LoadedPolicy(folder, seed)
    table, right, malformed = {}, {}, []
    for suite in SUITES:
        problems = suite_problems(suite, SIZE)
        for told in INSTRUCTIONS:
            table[suite, told] = known(problems, told, floor), meter.success(problems, told)
            malformed.append(meter.sample(problems, told, 1)[1])
        for level in VERBS:
            for groups in GROUPS:
                each = [right_phrases(p, level, groups) for p in problems]
                stated = statistics.fmean(known([p], z, floor) for p, z in zip(problems, each, strict=True))
                right[suite, level, groups] = stated, meter.success(problems, each)
                malformed.append(meter.sample(problems, each, 1)[1])
    return Truth(floor, table, right, statistics.fmean(malformed), rates(meter))


def markdown(truth: Truth) -> str:
    """The measurements as Markdown tables, known / found in the policy."""
    head = " | ".join(SUITES)
    lines = [f"| instruction | {head} |", "|" + "---|" * (len(SUITES) + 1)]
    for told in INSTRUCTIONS:
        cells = " | ".join("{:.3f} / {:.3f}".format(*truth.table[suite, told]) for suite in SUITES)
        lines.append(f"| {told or '(none)'} | {cells} |")
    for level in VERBS:
        for groups in GROUPS:
            cells = " | ".join("{:.3f} / {:.3f}".format(*truth.right[suite, level, groups]) for suite in SUITES)
            lines.append(f"| the problem's own phrases, level {level:g}, {groups} groups | {cells} |")
    errors = truth.log_errors
    lines += [
        "",
        f"- Largest difference between known and found success: {100 * truth.worst:.1f} points.",
        f"- Unprompted rates of the {len(errors)} families, |log(found / stated)|: median {statistics.median(errors):.3f}, "
        f"largest {errors[-1]:.3f}.",
        f"- Malformed completions: {truth.malformed:.3%}.",
    ]
    return "\n".join(lines)
