"""The testbed world against an independent simulation: operations as affine maps, inverses by search."""

from __future__ import annotations

import random
import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.core.errors import HarnessError
from harness.testbed import policy, world
from harness.testbed.policy import SHIPPED, PolicyConfig, make_model, make_tokenizer
from harness.testbed.warmstart import Mixture, example, warm_start

CELLS = [(family, fmt) for family, fmt in world.HEADS]


def affine(word: str, number: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Rows (a, b, c) of the map x' = a x + b y + c, y' likewise."""
    return {
        "p": ((1, 0, number), (0, 1, 0)),
        "m": ((number, 0, 0), (0, 1, 0)),
        "sw": ((0, 1, 0), (1, 0, 0)),
        "ad": ((1, 1, 0), (0, 1, 0)),
    }[word]


def apply(operation: tuple[str, int], pair: tuple[int, int]) -> tuple[int, int]:
    x, y = pair
    (a, b, c), (d, e, f) = affine(*operation)
    return (a * x + b * y + c) % 10, (d * x + e * y + f) % 10


def undo(operation: tuple[str, int], pair: tuple[int, int]) -> tuple[int, int]:
    (before,) = [p for p in product(range(10), repeat=2) if apply(operation, p) == pair]
    return before


def simulate(text: str, undoing: bool) -> list[tuple[int, int]]:
    """The states read off the user turn alone."""
    words = text.removesuffix("=").replace(".", "").split()[2:]
    states = [(int(words[0]), int(words[1]))]
    for word, number in zip(words[2::2], words[3::2], strict=True):
        states.append((undo if undoing else apply)((word, int(number)), states[-1]))
    return states


@pytest.mark.parametrize(("family", "fmt"), CELLS)
@pytest.mark.parametrize("n", range(1, 8))
def test_answers_and_traces_match_an_independent_simulation(family: str, fmt: int, n: int) -> None:
    rng = random.Random(n)
    for _ in range(20):
        p = world.problem(rng, family, n, fmt)
        done, undone = simulate(p.text, False), simulate(p.text, True)
        assert p.meta["forward"] == [list(s) for s in done]
        assert p.meta["inverse"] == [list(s) for s in undone]
        x, y = undone[-1] if family == "B" else done[-1]
        assert p.answer == (f"{y} {x}" if family == "C" else f"{x} {y}")
        assert len(p.text.split()) == 2 + 2 + 2 * world.MAX_OPERATIONS + 1
        assert set(p.text.split()) <= set(world.WORDS)


@pytest.mark.parametrize("family", ["A", "B", "C"])
@pytest.mark.parametrize("n", range(2, 8))
def test_only_the_right_style_is_right(family: str, n: int) -> None:
    rng = random.Random(n)
    for _ in range(30):
        p = world.problem(rng, family, n)
        wrong = "S" if p.meta["right"] == "L" else "L"
        for style, score in ((p.meta["right"], 1.0), (wrong, 0.0)):
            words, derived = world.target(p, style, guess="0 0")
            assert derived and words[:2] == ["let", f"<{style}>"]
            assert world.grade(" ".join(words), p.answer) == score
            assert len(words) < world.MAX_NEW_TOKENS
        if n >= world.HARD:
            assert not set(p.answer.split()) & set(map(str, p.meta["start"]))


def test_styles_that_derive_nothing_end_in_the_guess() -> None:
    p = world.problem(random.Random(0), "A", 3)
    for style, useful in (("D", True), ("P", True), ("S", False), ("L", False)):
        words, derived = world.target(p, style, guess="4 2", useful=useful)
        assert not derived and words[-3:] == ["ans", "4", "2"]


def test_branch_words() -> None:
    a, b = (world.problem(random.Random(0), family, 3) for family in "AB")
    assert [world.branch_words(p, 2) for p in (a, b)] == [["let", "<S>"], ["let", "<L>"]]
    assert [world.branch_words(p, 1) for p in (a, b)] == [["<S>"], ["<L>"]]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("ans 3 4", 1.0),
        ("let <S> 1 2 3 4 ans 3 4", 1.0),
        ("ans 1 1 ans 3 4", 1.0),
        ("ans 3 4 ans 1 1", 0.0),
        ("ans 3 4 .", 0.0),
        ("ans 3", 0.0),
        ("ans 4 3", 0.0),
        ("3 4", 0.0),
        ("answer 3 4", 0.0),
        ("", 0.0),
    ],
)
def test_grade(text: str, score: float) -> None:
    assert world.grade(text, "3 4") == score


def test_training_and_suites_share_no_problem() -> None:
    def key(p: world.Problem) -> str:
        return " ".join(p.text.split()[2:])  # without the head: neither family nor format brings a problem back

    train = {key(p) for seed in range(3) for p in world.train_problems(1500, 0.4, seed)}
    rng = random.Random(0)
    mixture = Mixture(first=0.5, second=0.4, useful=True, branch_tokens=2)
    train |= {" ".join(example(rng, mixture).prompt.split()[-17:]) for _ in range(2000)}
    for name in world.SUITES:
        assert not train & {key(p) for p in world.suite_problems(name, 400)}


def test_training_problems_stay_in_their_cells() -> None:
    problems = world.train_problems(400, 0.25, seed=1)
    assert [p.id for p in problems[:2]] == ["train-00000", "train-00001"]
    assert len({p.text for p in problems}) == len({p.id for p in problems}) == 400
    assert {(p.meta["family"], p.meta["fmt"]) for p in problems} == {("A", 0), ("B", 0)}
    for family in "AB":
        own = [p.meta["n"] for p in problems if p.meta["family"] == family]
        assert len(own) == 200 and sum(n <= 2 for n in own) == 50 and max(own) == 5
    for share, expected in ((0.0, 0), (1.0, 40)):
        assert sum(p.meta["n"] <= 2 for p in world.train_problems(40, share, 0)) == expected


@pytest.mark.parametrize("name", world.SUITES)
def test_suites_cover_their_cells_and_extend(name: str) -> None:
    cells = world.SUITES[name]
    problems = world.suite_problems(name, 10 * len(cells))
    assert problems[:7] == world.suite_problems(name, 7)
    assert len({p.text for p in problems}) == len(problems)
    counts = [sum((p.meta["family"], p.meta["n"], p.meta["fmt"]) == cell for p in problems) for cell in cells]
    assert counts == [10] * len(cells)


def test_useless_traces_do_not_accumulate() -> None:
    rng = random.Random(0)
    for _ in range(20):
        p = world.problem(rng, "A", 4)
        start = tuple(p.meta["start"])
        for style, step in (("S", apply), ("L", undo)):
            words, _ = world.target(p, style, guess="0 0", useful=False)
            shown = [tuple(map(int, pair)) for pair in zip(words[2:-3:2], words[3:-3:2], strict=True)]
            assert shown == [start, *(step(tuple(o), start) for o in p.meta["ops"])]


def test_everything_is_determined_by_its_seed() -> None:
    assert world.train_problems(50, 0.2, 3) == world.train_problems(50, 0.2, 3)
    assert world.train_problems(50, 0.2, 3) != world.train_problems(50, 0.2, 4)
    known = world.suite_problems("tb-family", 1)[0]
    assert known == world.suite_problems("tb-family", 1)[0]
    mixture = Mixture(first=0.15, second=0.1, useful=True, branch_tokens=2)
    assert [example(random.Random(5), mixture)] == [example(random.Random(5), mixture)]


def test_bad_arguments_are_refused() -> None:
    rng = random.Random(0)
    for family, n, fmt in (("C", 3, 1), ("A", 0, 0), ("A", 8, 0), ("D", 1, 0)):
        with pytest.raises(ValueError, match="no problem"):
            world.problem(rng, family, n, fmt)
    with pytest.raises(ValueError, match="tb-id"):
        world.suite_problems("tb-none", 1)
    with pytest.raises(ValueError, match="easy_share"):
        world.train_problems(1, 1.5, 0)


def test_pieces_are_words_and_bigrams_of_the_phrases() -> None:
    pieces = world.pieces()
    assert {"step", "step by", "work backwards", "inverse", "good luck"} <= set(pieces)
    assert len(set(pieces)) == len(pieces) and max(len(p.split()) for p in pieces) == 2
    assert not {z for kind in world.UNSEEN.values() for z in kind} & {z for kind in world.PHRASES.values() for z in kind}


def test_tokenizer_round_trip() -> None:
    tokenizer = make_tokenizer()
    text = " ".join(world.WORDS)
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(world.WORDS) and tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text
    p = world.problem(random.Random(0), "B", 3, fmt=1)
    assert tokenizer.decode(tokenizer(f"work backwards\n\n{p.text}")["input_ids"]) == f"work backwards | {p.text}"
    assert tokenizer.decode(tokenizer("ans 3 4<eos>")["input_ids"], skip_special_tokens=True) == "ans 3 4"
    assert tokenizer.chat_template is None
    assert tokenizer("zebra")["input_ids"] == [tokenizer.unk_token_id]


def test_example_weights_and_branches() -> None:
    rng = random.Random(0)
    for branch_tokens in (1, 2):
        mixture = Mixture(first=0.5, second=0.4, useful=True, branch_tokens=branch_tokens)
        counts = set()
        for _ in range(300):
            e = example(rng, mixture)
            counts.add(len(e.branches))
            assert len(e.weights) == len(e.words) + 1 and min(e.weights) > 0
            for word, distribution in zip(e.words, e.branches, strict=False):
                assert word in distribution and sum(distribution.values()) == pytest.approx(1)
        assert counts == set(range(branch_tokens + 1)), "as many as the drawn style has, for plain prompts"


def test_policy_config() -> None:
    assert PolicyConfig().style_probability == (0.15, 0.10)
    assert PolicyConfig(world="open").style_probability == (0.5, 0.4)
    assert all(PolicyConfig(world=w, seed=s).shipped for w, s in SHIPPED)
    other = PolicyConfig(style_probability=(0.1, 0.1))
    assert not other.shipped and not PolicyConfig(branch_tokens=1).shipped and not PolicyConfig(seed=7).shipped
    assert len({c.key() for c in (PolicyConfig(), other, PolicyConfig(branch_tokens=1), PolicyConfig(seed=1))}) == 4
    for bad in ({"world": "lost"}, {"style_probability": (0.2, 0.6)}, {"branch_tokens": 3}, {"temperature": 1}):
        with pytest.raises(ValidationError):
            PolicyConfig(**bad)


def test_warm_start_is_determined_by_its_seeds() -> None:
    mixture = Mixture(first=0.15, second=0.1, useful=True, branch_tokens=2)

    def trained(seed: int) -> torch.Tensor:
        model = make_model(0)
        warm_start(model, make_tokenizer().get_vocab(), mixture, seed, steps=2)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = trained(0)
    assert torch.equal(first, trained(0)) and not torch.equal(first, trained(1))
    assert not torch.equal(make_model(0).lm_head.weight, make_model(1).lm_head.weight)


def test_ensure_builds_once_and_the_folder_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(policy, "warm_start", lambda *_: calls.append(1))
    config = PolicyConfig(seed=99)
    folder = policy.ensure(config, tmp_path / "cache")
    assert policy.ensure(config, tmp_path / "cache") == folder and len(calls) == 1
    assert [f.name for f in (tmp_path / "cache").iterdir()] == [config.key()]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32 and tokenizer.decode(tokenizer("let <S>")["input_ids"]) == "let <S>"
    untrained = make_model(99).get_input_embeddings().weight
    assert torch.allclose(model.get_input_embeddings().weight, untrained, atol=1e-4)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    with pytest.raises(FileExistsError):
        policy.build(config, folder)


@pytest.mark.parametrize("branch_tokens", [1, 2])
def test_training_problems_carry_their_true_trace(branch_tokens):
    from harness.data.problems import content_sha256

    problems = world.train_problems(320, 0.4, 0, branch_tokens)
    for p in problems:
        words = p.solution.split()
        assert world.grade(p.solution, p.answer) == 1.0
        assert words[: len(world.branch_words(p, branch_tokens))] == world.branch_words(p, branch_tokens)
        state, states = tuple(p.meta["start"]), []
        for operation in map(tuple, p.meta["ops"]):
            states.append(state)
            state = (world.forward if p.meta["right"] == "S" else world.inverse)(state, operation)
        trace = [str(v) for s in [*states, state] for v in s]
        assert words[branch_tokens:-3] == trace
    bare = [type(p)(p.id, p.text, p.answer, p.answer_type) for p in problems]
    assert content_sha256(problems) == content_sha256(bare)


def test_a_shipped_policy_is_the_one_that_was_shipped(tmp_path, monkeypatch):
    for name, seed in policy.SHIPPED:
        policy.ensure(policy.PolicyConfig(world=name, seed=seed), tmp_path)
    shutil.copytree(policy.POLICIES, tmp_path / "policies")
    weights = tmp_path / "policies" / "latent-s0" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    monkeypatch.setattr(policy, "POLICIES", tmp_path / "policies")
    with pytest.raises(HarnessError, match="install the package again"):
        policy.ensure(policy.PolicyConfig(), tmp_path)
