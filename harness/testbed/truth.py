"""What is true of a testbed policy, measured: which prompt solves what, how lucky guesses are, how rare each style is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.core.seeds import derive
from harness.core.types import Problem
from harness.testbed.world import (
    HARD,
    MAX_NEW_TOKENS,
    PHRASES,
    SUITES,
    TRAINED,
    UNSEEN,
    Family,
    branch_words,
    grade,
    suite_problems,
)
from harness.worlds.sampling import generate

INSTRUCTIONS = [
    "",
    "please",
    "think",
    "explain",
    "answer directly",
    *PHRASES["S"][:3],
    *UNSEEN["S"],
    *PHRASES["L"][:3],
    *UNSEEN["L"],
    "step by step undo each move",
]
"""The instructions of the table: none, neutral, useless, brief, both styles with unseen paraphrases, both at once."""
RIGHT = {"A": PHRASES["S"][0], "B": PHRASES["L"][0], "C": PHRASES["S"][0]}
"""An instruction that elicits the right style, per family."""


def prompt_for(problem: Problem, template: str) -> str:
    """The user turn: `template`, a blank line and the problem; the problem alone without a template."""
    return f"{template}\n\n{problem.text}" if template else problem.text


class LoadedPolicy:
    """A policy folder loaded for measuring. All samples come from one stream, so a sequence of calls is repeatable."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.generator = torch.Generator().manual_seed(derive("testbed", "truth", seed))

    def sample(
        self, problems: Sequence[Problem], templates: str | Sequence[str], samples: int = 6, temperature: float = 0.6
    ) -> tuple[torch.Tensor, list[list[str]]]:
        """Rewards [problems, samples] and the texts behind them; one template for all problems or one for each."""
        each = [templates] * len(problems) if isinstance(templates, str) else templates
        prompts = [prompt_for(p, z) for p, z in zip(problems, each, strict=True) for _ in range(samples)]
        completions = generate(self.model, self.tokenizer, prompts, temperature, MAX_NEW_TOKENS, self.generator)
        texts = [[text for text, _, _ in completions[i : i + samples]] for i in range(0, len(prompts), samples)]
        rewards = [[grade(text, p.answer) for text in row] for p, row in zip(problems, texts, strict=True)]
        return torch.tensor(rewards), texts

    def after_header(self, problems: Sequence[Problem], branch_tokens: int, temperature: float = 0.6) -> torch.Tensor:
        """Rewards [problems] of uninstructed completions that are given the header of the right style."""
        prompts = [" ".join([p.text, *branch_words(p, branch_tokens)]) for p in problems]
        completions = generate(self.model, self.tokenizer, prompts, temperature, MAX_NEW_TOKENS, self.generator)
        return torch.tensor([grade(text, p.answer) for (text, _, _), p in zip(completions, problems, strict=True)])

    @torch.no_grad()
    def branch_probabilities(self, problems: Sequence[Problem], branch_tokens: int, temperature: float) -> torch.Tensor:
        """P(branch token | prompt, tokens before it) of the right style without an instruction: [problems, tokens]."""
        headers = [branch_words(p, branch_tokens) for p in problems]
        prompts = [f"{p.text} {' '.join(words[:-1])}".strip() for p, words in zip(problems, headers, strict=True)]
        batch = self.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        position = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = self.model(**batch, position_ids=position, logits_to_keep=branch_tokens).logits
        ids = torch.tensor([self.tokenizer.convert_tokens_to_ids(words) for words in headers])
        return torch.softmax(logits / temperature, -1).gather(2, ids[:, :, None])[:, :, 0]


@dataclass
class Truth:
    """The measurements of one policy. `table`: (prompt, family, n) to success rate; the rest is keyed as named."""

    table: dict[tuple[str, Family, int], float]
    suites: dict[tuple[str, Family, str], float]
    """(suite, family, "none" | "right") to success rate."""
    luck: dict[float, float]
    """Temperature to success rate of direct-style answers on hard problems."""
    branch: dict[tuple[Family, float], list[float]]
    """(family, temperature) to the mean probability of each branch token of the right style, then their joint one."""
    lifted: dict[str, tuple[float, float]]
    """Family to the share of hard problems that fail >= 90% uninstructed, and of those the share then solved >= 90%."""
    after_header: dict[Family, float]
    """Family to the success rate on hard problems, uninstructed, once the header of the right style is given."""
    lucky_groups: float
    """Share of plain groups of 6 on hard problems with at least one success."""


def hard_problems(count: int) -> list[Problem]:
    """The first `count` problems of `tb-id` with three to five operations."""
    cells = SUITES["tb-id"]
    share = sum(n >= HARD for _, n, _ in cells) / len(cells)
    found = [p for p in suite_problems("tb-id", int(count / share) + len(cells)) if p.meta["n"] >= HARD]
    return found[:count]


def _of(problems: Sequence[Problem], family: str) -> list[Problem]:
    return [p for p in problems if p.meta["family"] == family]


def lifted(meter: LoadedPolicy, problems: Sequence[Problem], samples: int = 10) -> dict[str, tuple[float, float]]:
    """Per family: share of `problems` that fail >= 90% without an instruction, and of those that are then solved.

    Solved: at least 90% of the samples under the right instruction succeed, all at T=.6.
    """
    shares = {}
    for family in sorted({p.meta["family"] for p in problems}):
        own = _of(problems, family)
        failing = meter.sample(own, "", samples)[0].mean(1) <= 0.1 + 1e-6
        solved = meter.sample(own, RIGHT[family], samples)[0].mean(1) >= 0.9 - 1e-6
        shares[family] = (
            failing.float().mean().item(),
            (solved & failing).sum().item() / max(1, failing.sum().item()),
        )
    return shares


def luck(meter: LoadedPolicy, problems: Sequence[Problem], samples: int = 6, temperature: float = 0.6) -> float:
    """Success rate of the uninstructed completions of `problems` that answer directly (nan when none does)."""
    rewards, texts = meter.sample(problems, "", samples, temperature)
    direct = torch.tensor([[text.startswith("ans") for text in row] for row in texts])
    return float(rewards[direct].mean())


def measure(folder: Path, branch_tokens: int = 2, per_cell: int = 30, samples: int = 6, seed: int = 0) -> Truth:
    """All measurements of the policy in `folder`, `per_cell` problems per family and number of operations, at T=.6."""
    meter = LoadedPolicy(folder, seed)
    problems = suite_problems("tb-id", per_cell * len(SUITES["tb-id"]))
    hard = hard_problems(per_cell * 6)
    table, groups = {}, 0.0
    for prompt in INSTRUCTIONS:
        rewards = meter.sample(problems, prompt, samples)[0]
        for family, n, _ in SUITES["tb-id"]:
            rows = [i for i, p in enumerate(problems) if (p.meta["family"], p.meta["n"]) == (family, n)]
            table[prompt, family, n] = rewards[rows].mean().item()
        if not prompt:
            rows = [i for i, p in enumerate(problems) if p.meta["n"] >= HARD]
            groups = (rewards[rows].sum(1) > 0).float().mean().item()
    suites = {}
    for name, cells in SUITES.items():
        drawn = suite_problems(name, per_cell * len(cells))
        for family in sorted({family for family, _, _ in cells}):
            for label, prompt in (("none", ""), ("right", RIGHT[family])):
                suites[name, family, label] = meter.sample(_of(drawn, family), prompt, samples)[0].mean().item()
    branch = {}
    for family in TRAINED:
        for temperature in (0.6, 1.0):
            each = meter.branch_probabilities(_of(hard, family), branch_tokens, temperature)
            branch[family, temperature] = [*each.mean(0).tolist(), each.prod(1).mean().item()]
    given = {family: meter.after_header(_of(hard, family) * 2, branch_tokens).mean().item() for family in TRAINED}
    lucky = {temperature: luck(meter, hard, samples * 2, temperature) for temperature in (0.6, 1.0)}
    return Truth(
        table=table,
        suites=suites,
        luck=lucky,
        branch=branch,
        lifted=lifted(meter, hard),
        after_header=given,
        lucky_groups=groups,
    )


def markdown(truth: Truth) -> str:
    """The measurements as Markdown tables."""
    lines = ["| instruction | A, n=1..5 | B, n=1..5 |", "|---|---|---|"]
    for prompt in dict.fromkeys(prompt for prompt, _, _ in truth.table):
        cells = [" ".join(f"{truth.table[prompt, family, n]:.2f}" for n in range(1, 6)) for family in TRAINED]
        lines.append(f"| {prompt or '(none)'} | {cells[0]} | {cells[1]} |")
    lines += ["", "| suite | family | no instruction | right instruction |", "|---|---|---|---|"]
    for name, family in dict.fromkeys((name, family) for name, family, _ in truth.suites):
        none, right = (truth.suites[name, family, label] for label in ("none", "right"))
        lines.append(f"| {name} | {family} | {none:.2f} | {right:.2f} |")
    lines += ["", "| P(right style, no instruction) | T | each branch token | joint |", "|---|---|---|---|"]
    for (family, temperature), values in truth.branch.items():
        each = ", ".join(f"{value:.3f}" for value in values[:-1])
        lines.append(f"| {family} | {temperature} | {each} | {values[-1]:.4f} |")
    lines.append("")
    for trained, (failing, solved) in truth.lifted.items():
        lines.append(
            f"- Family {trained}, hard: {failing:.0%} fail at least 90% of the time without an instruction; "
            f"the right one then solves {solved:.0%} of those at least 90% of the time."
        )
    given = ", ".join(f"{family} {value:.2f}" for family, value in truth.after_header.items())
    lines.append(f"- Success on hard problems once the right header is given, without an instruction: {given}.")
    lines.append("- Luck on hard problems: " + ", ".join(f"{v:.3f} at T={t}" for t, v in truth.luck.items()) + ".")
    lines.append(f"- Plain groups of 6 with a success on a hard problem: {truth.lucky_groups:.0%}.")
    return "\n".join(lines)
