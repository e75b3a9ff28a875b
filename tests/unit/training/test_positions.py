"""The end of a model's positions: completions end there, and what does not fit is counted or refused."""

import pytest

from harness.core.errors import HarnessError, UsageError
from harness.core.types import Context, Problem, Sampling
from harness.evaluation.engines import UNREAD, BackendEngine, Block
from harness.methods.grpo import GRPO
from harness.training.local.backend import LocalBackend
from support.models import tiny_llama
from support.settings import resolve

POSITIONS = 24
HOT = Sampling(1.0, 16)


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    folder = tiny_llama(tmp_path_factory.mktemp("model"), max_position_embeddings=POSITIONS)
    return LocalBackend(resolve("grpo", flags={"model": {"id": str(folder)}, "train": {"set": "gsm8k"}}))


def of_length(backend, tokens):
    """A prompt of so many tokens."""
    text = " ".join(["1"] * tokens)
    while len(backend.encode(text)) > tokens:
        text = text[2:]
    assert len(backend.encode(text)) == tokens
    return text


def test_completions_end_with_the_positions(backend):
    lengths = [POSITIONS - 20, POSITIONS - 3, POSITIONS - 1, POSITIONS, POSITIONS + 9]
    rows = backend.generate([of_length(backend, n) for n in lengths], HOT, 0)
    for n, row in zip(lengths, rows, strict=True):
        assert row.prompt_tokens == n and len(row.tokens_T) == len(row.logps_T) <= max(POSITIONS - n, 0)
        ended = row.tokens_T[-1:] and row.tokens_T[-1] in backend.stop
        assert row.truncated == (len(row.tokens_T) in (HOT.max_new_tokens, POSITIONS - n) and not ended and n < POSITIONS)
    assert [row.status for row in rows] == ["ok"] * 3 + ["overlong"] * 2
    assert rows[2].tokens_T and [(r.text, r.tokens_T, r.truncated) for r in rows[3:]] == [("", [], False)] * 2


def test_what_fits_is_sampled_as_if_the_rest_were_not_there(backend):
    short = [of_length(backend, n) for n in (3, 5)]
    alone = backend.generate(short, Sampling(1.0, 4), 7)
    beside = backend.generate([short[0], of_length(backend, POSITIONS + 1), short[1]], Sampling(1.0, 4), 7)
    assert [r.tokens_T for r in alone] == [beside[0].tokens_T, beside[2].tokens_T]


def test_an_evaluation_and_a_search_count_it(backend):
    long = of_length(backend, POSITIONS)
    [(_, completions)] = BackendEngine(backend.generate).complete([Block((long, "1"), 0)], HOT)
    assert completions[0] == UNREAD and completions[1].tokens > 0
    problem = Problem("p", "1", "1", answer_type="exact")
    [rollout] = backend.rollouts([(problem, Context(long, "1", "1 1 1"))], HOT, 0)
    assert (rollout.status, rollout.reward, rollout.tokens_T) == ("overlong", 0.0, [])


def method(backend, texts):
    spec = backend.spec
    problems = [Problem(f"p{i}", text, "1") for i, text in enumerate(texts)]
    return GRPO(spec.typed_method_config(), spec.train, problems, 0)


def test_training_on_a_problem_that_does_not_fit_is_refused_at_once(backend):
    texts = ["1", of_length(backend, POSITIONS - 1), of_length(backend, POSITIONS)]
    with pytest.raises(
        UsageError, match=r"1 of 3 training problems leave no room .* 'p2' has 24 tokens, and the model reads 24"
    ):
        backend.train(method(backend, texts), None)


def test_a_template_that_makes_a_prompt_too_long_stops_the_training(backend):
    class Templated(GRPO):
        async def rollout_group(self, problem, k, sample, rng):
            return await sample([Context(of_length(backend, POSITIONS), problem.text, "1 1 1")] * k)

    arm = method(backend, ["1"])
    arm.__class__ = Templated
    log = type("Log", (), {"seed": 0, "world": None, "ledger": type("L", (), {"add_rollouts": lambda *a: None})()})()
    with pytest.raises(HarnessError, match="a rollout's prompt has 24 tokens, and the model reads 24"):
        backend.batch(arm, arm.problems, log, 0, 0)
