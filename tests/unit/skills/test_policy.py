"""The policies of the world of skills: what is built, what is shipped, and what the warm start teaches."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.core.errors import HarnessError
from harness.skills import policy, world
from harness.skills.policy import SHIPPED, PolicyConfig, make_model, make_tokenizer
from harness.skills.warmstart import example, loss_of, warm_start
from harness.worlds import folders


def test_tokenizer_round_trip() -> None:
    tokenizer = make_tokenizer()
    text = " ".join(world.WORDS)
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(world.WORDS) and tokenizer.unk_token_id not in ids and tokenizer.decode(ids) == text
    p = world.suite_problems("sk-surface", 1)[0]
    assert tokenizer.decode(tokenizer(f"derive shapes\n\n{p.text}")["input_ids"]) == f"derive shapes | {p.text}"


def test_an_example_teaches_the_stated_rates() -> None:
    rng, told = random.Random(0), Counter()
    for _ in range(400):
        e = example(rng, 0.005)
        instruction, _, problem = e.prompt.rpartition(" | ")
        c, d, *cells = problem.split()
        rows = [cells[i : i + 4] for i in range(0, 12, 4) if cells[i] != "."]
        assert len(e.words) == 2 * len(rows) == 2 * len(e.ways)
        assert world.split(problem) == "train" and set(e.prompt.split()) <= set(world.WORDS)
        for i, (row, ways) in enumerate(zip(rows, e.ways, strict=True)):
            family = ("d", int(d[1:])) if i % 2 else ("c", int(c[1:]))
            assert sum(ways.values()) == pytest.approx(1) and list(ways) == world.CANDIDATES[family]
            assert ways[world.RIGHT[family]] == world.rate(family, instruction, 0.005)
            assert e.words[2 * i + 1] == row[world.COLUMN[e.words[2 * i]]]
        told["bare" if not instruction else "neutral" if set(instruction.split()) <= _neutral() else "told"] += 1
    assert min(told.values()) > 40


def _neutral() -> set[str]:
    return {word for phrase in world.NEUTRAL for word in phrase.split()}


def test_the_loss_is_the_cross_entropy_of_every_completion_token() -> None:
    model, vocabulary = make_model(0), make_tokenizer().get_vocab()
    batch = [example(random.Random(i), 0.02) for i in range(3)]
    terms = []
    for e in batch:
        ids = torch.tensor([[vocabulary[word] for word in [*e.prompt.split(), *e.words]]])
        logps = torch.log_softmax(model(ids).logits[0], -1)
        start = len(e.prompt.split())
        for j, word in enumerate(e.words):
            goal = e.ways[j // 2] if j % 2 == 0 else {word: 1.0}
            terms.append(-sum(p * logps[start + j - 1, vocabulary[w]].item() for w, p in goal.items()))
    assert loss_of(model, vocabulary, batch).item() == pytest.approx(sum(terms), rel=1e-4)


def test_warm_start_is_determined_by_its_seeds() -> None:
    def trained(seed: int) -> torch.Tensor:
        model = make_model(0)
        warm_start(model, make_tokenizer().get_vocab(), 0.02, seed, steps=2)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = trained(0)
    assert torch.equal(first, trained(0)) and not torch.equal(first, trained(1))


def test_policy_config() -> None:
    assert PolicyConfig().name == "floor0.001-s0" and PolicyConfig(floor=0.02, seed=3).name == "floor0.02-s3"
    assert len({PolicyConfig(floor=f, seed=s).key() for f in (0.001, 0.02) for s in (0, 1)}) == 4
    for bad in ({"floor": 0}, {"floor": 0.5}, {"seed": -1}, {"lift": 0.6}):
        with pytest.raises(ValidationError):
            PolicyConfig(**bad)


def test_ensure_builds_once_and_the_folder_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []
    monkeypatch.setattr(policy, "warm_start", lambda model, vocabulary, floor, *_: calls.append(floor))
    config = PolicyConfig(floor=0.123, seed=99)
    folder = policy.ensure(config, tmp_path / "cache")
    assert policy.ensure(config, tmp_path / "cache") == folder and calls == [0.123]
    assert [f.name for f in (tmp_path / "cache").iterdir()] == [config.key()]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    ends = tokenizer.convert_ids_to_tokens(model.generation_config.eos_token_id)
    assert ends == ["<eos>", *world.ENDS], "a symbol of a last row ends a completion, for whoever loads the folder"
    with pytest.raises(FileExistsError):
        policy.build(config, folder)


@pytest.mark.parametrize(("floor", "seed"), sorted(SHIPPED))
def test_a_shipped_policy_is_the_one_that_was_shipped(floor: float, seed: int, tmp_path: Path) -> None:
    config = PolicyConfig(floor=floor, seed=seed)
    folder = policy.ensure(config, tmp_path)
    assert folder == policy.POLICIES / config.name and not list(tmp_path.iterdir())
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 1_100_000
    assert PolicyConfig(**json.loads((folder / "policy.json").read_text())) == config
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(p.numel() for p in model.parameters()) < 500_000 and math.prod(model.lm_head.weight.shape) > 0
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == make_tokenizer().get_vocab()


def test_another_folder_than_the_shipped_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PolicyConfig().name).mkdir()
    (tmp_path / PolicyConfig().name / "config.json").write_text("{}")
    monkeypatch.setattr(policy, "POLICIES", tmp_path)
    with pytest.raises(HarnessError, match="install the package again"):
        policy.ensure(PolicyConfig(), tmp_path)
    assert folders.digest(tmp_path / PolicyConfig().name) != SHIPPED[0.001, 0]
