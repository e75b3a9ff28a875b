"""vLLM's build for CPUs as the local backend's sampler, against the transformers sampler and the trainer's own pass."""

import json
from types import SimpleNamespace

import pytest
import torch
from running import harness
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from harness.core.errors import HarnessError
from harness.core.settings import LocalConfig
from harness.core.types import Sampling
from harness.runs.files import read_jsonl
from harness.training.local.generation import sample
from harness.training.local.logps import completion_logps
from harness.training.local.vllm_sampler import VLLMSampler, takes_vllm

SIZES = dict(
    vocab_size=100,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=2,
    num_key_value_heads=1,
    initializer_range=0.2,
    max_position_embeddings=256,
)
LIMIT, STOP = 24, {1, 2}
PROMPTS = [[5, 6, 7] * 50, [8], [9, 9, 4], [5, 6, 7] * 50, [5, 6, 7] * 49 + [3]]
"""Long ones that begin alike, so that vLLM reuses the keys and values of their first blocks."""


@pytest.fixture(scope="module", params=["llama", "qwen2, tied"])
def policy(request):
    torch.manual_seed(0)
    if request.param == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)).eval()
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)).eval()
    return SimpleNamespace(model=model, sampler=VLLMSampler(model, LocalConfig(generation_tokens=2048)))


def drawn(policy, temperature, seed=0, prompts=PROMPTS, model=None):
    limits = [LIMIT] * len(prompts)
    return policy.sampler.sample(model or policy.model, prompts, limits, Sampling(temperature, LIMIT), STOP, seed)


def likeliest(model):
    return sample(model, PROMPTS, Sampling(0.0, LIMIT), STOP, 0, torch.Generator(), 10_000)


def move(policy):
    policy.sampler.changed()
    with torch.no_grad():
        for p in policy.model.parameters():
            p.add_(torch.randn_like(p) * 0.1)


def test_the_likeliest_tokens_are_those_of_transformers_before_and_after_every_update(policy):
    seen = set()
    for _ in range(3):
        mine, theirs = drawn(policy, 0.0), likeliest(policy.model)
        assert [r.tokens_T for r in mine] == [r.tokens_T for r in theirs]
        assert [r.truncated for r in mine] == [r.truncated for r in theirs]
        for a, b in zip(mine, theirs, strict=True):
            assert a.logps_T == pytest.approx(b.logps_T, abs=1e-4)
        seen.add(str([r.tokens_T for r in mine]))
        move(policy)
    assert len(seen) == 3


def test_another_model_is_sampled_in_the_policys_place(policy):
    other = type(policy.model)(policy.model.config).eval()
    for model in (policy.model, other, policy.model):
        assert [r.tokens_T for r in drawn(policy, 0.0, model=model)] == [r.tokens_T for r in likeliest(model)]


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_samples_have_the_trainers_log_probabilities_and_its_frequencies(policy, temperature):
    """Far below the guard of 0.2 nats; and the first tokens of 2,000 rows come as often as the model says (chi-square)."""
    rows = drawn(policy, temperature, seed=3)
    values, _ = completion_logps(policy.model, PROMPTS, [r.tokens_T for r in rows], temperature, 0)
    for row, logps_T in zip(rows, values.tolist(), strict=True):
        assert row.logps_T == pytest.approx(logps_T[: len(row.tokens_T)], abs=1e-4)
        assert row.truncated == (not STOP & set(row.tokens_T)) and not STOP & set(row.tokens_T[:-1])
    many = policy.sampler.sample(policy.model, [[9, 9, 4]] * 2000, [1] * 2000, Sampling(temperature, 1), STOP, 11)
    with torch.no_grad():
        expected = 2000 * torch.softmax(policy.model(torch.tensor([[9, 9, 4]])).logits[0, -1] / temperature, -1)
    counts = torch.bincount(torch.tensor([r.tokens_T[0] for r in many]), minlength=100)
    common = expected >= 5
    rest = torch.stack([counts[~common].sum(), expected[~common].sum()])
    chi2 = ((counts - expected)[common] ** 2 / expected[common]).sum() + (rest[0] - rest[1]) ** 2 / rest[1].clamp(min=1)
    df = int(common.sum())
    assert chi2 < df + 4 * (2 * df) ** 0.5


def test_a_row_has_random_numbers_of_its_own(policy):
    """Whatever stands beside it; another seed or place draws others."""
    rows = drawn(policy, 1.0, seed=5, prompts=PROMPTS * 4)
    assert [r.tokens_T for r in drawn(policy, 1.0, seed=5, prompts=PROMPTS)] == [r.tokens_T for r in rows[:5]]
    assert [r.tokens_T for r in drawn(policy, 1.0, seed=6)] != [r.tokens_T for r in rows[:5]]
    assert rows[0].tokens_T != rows[3].tokens_T  # the same prompt


def test_a_broken_model_is_an_error_as_with_the_other_sampler(policy):
    broken = type(policy.model)(policy.model.config).eval()
    with torch.no_grad():
        broken.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="probability tensor contains"):
        drawn(policy, 1.0, model=broken)


def test_a_model_that_vllm_cannot_serve_is_refused_in_a_sentence():
    class Config(LlamaConfig):
        def save_pretrained(self, folder):
            (folder_config := self.to_dict())["architectures"] = ["NoSuchModel"]
            with open(f"{folder}/config.json", "w") as f:
                json.dump({**folder_config, "model_type": "llama"}, f)

    model = LlamaForCausalLM(Config(**SIZES))
    with pytest.raises(HarnessError, match="^vLLM cannot sample this model here .*local.sampler=transformers can$"):
        VLLMSampler(model, LocalConfig(generation_tokens=4096))


def test_auto_leaves_a_cpu_to_transformers(policy):
    assert not takes_vllm("auto", policy.model, False) and takes_vllm("vllm", policy.model, False)


SETTINGS = ["--bench", "tb-id", "--limit", 8, "--set", "testbed.problems=32", "--set", "train.epochs=2"]


def test_a_run_with_vllm_from_training_to_evaluation(tmp_path):
    """Two seeds, which share the engine; every batch within the trainer's rounding; the same settings, the same samples."""
    for name, seeds in (("run", "0,1"), ("again", "1")):
        more = ["--recipe", "testbed", "--out", tmp_path / name, "--seeds", seeds, *SETTINGS, "--set", "local.sampler=vllm"]
        code, _, err = harness("run", "--method", "grpo", *more)
        assert code == 0, err
    batches = [r for r in read_jsonl(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "batch"]
    assert {r["seed"] for r in batches} == {0, 1} and max(r["sampler_gap"] for r in batches) < 1e-4
    identity = json.loads((tmp_path / "run" / "result.json").read_text())["identity"]
    assert (identity["engine"], identity["version"]) == ("vllm", "0.29.0")
    first, alone = (read_jsonl(tmp_path / name / "rollouts" / "s1.jsonl") for name in ("run", "again"))
    assert first == alone and len(first) == 4 * 16  # on one machine: seed 1 after seed 0, and in a process of its own
