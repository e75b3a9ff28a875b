"""What TRL is made to minimise."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def small_policy(tokenizer, width=16):
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).eval()


def test_trl_minimises_the_mean_over_completion_tokens():
    """One batch at a vanishing rate: the loss it reports is that of the initial policy, computed row by row."""
    from harness.testbed.policy import make_tokenizer
    from harness.training.local.sft import finetune

    tokenizer = make_tokenizer()
    model = small_policy(tokenizer)
    pairs = [([5, 6, 7], [8, 9]), ([5], [10, 11, 12, 1]), ([9, 8, 7, 6], [1])]
    total = 0.0
    for x, y in pairs:
        with torch.no_grad():
            logits = model(torch.tensor([x + y])).logits[0, len(x) - 1 : -1]
        total -= torch.log_softmax(logits, -1).gather(1, torch.tensor(y)[:, None]).sum().item()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    done = finetune(model, tokenizer, pairs, lr=1e-12, epochs=2, batch=3, seed=0)
    assert done.loss == pytest.approx(total / 7, abs=1e-4) and (done.steps, done.tokens) == (2, 14)
    finetune(model, tokenizer, pairs, lr=1e-2, epochs=2, batch=3, seed=0)
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items()) and not model.training


def test_in_bfloat16_small_steps_go_as_far_as_in_float32():
    """At a rate of 1e-5 nearly every step of AdamW is below the spacing of bfloat16 weights; together they are not."""
    from harness.testbed.policy import make_tokenizer
    from harness.training.local.sft import finetune

    tokenizer = make_tokenizer()
    generator = torch.Generator().manual_seed(1)
    pairs = [(torch.randint(3, 30, (5,), generator=generator).tolist(), [7, 8, 9, 1]) for _ in range(16)]
    moved = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = small_policy(tokenizer, width=64).to(torch.bfloat16).to(dtype)
        before = {k: v.float().clone() for k, v in model.state_dict().items()}
        finetune(model, tokenizer, pairs, lr=1e-5, epochs=12, batch=4, seed=0)
        assert {v.dtype for v in model.state_dict().values()} == {dtype}
        moved[dtype] = torch.cat([(v.float() - before[k]).flatten() for k, v in model.state_dict().items()])
    way = moved[torch.float32]
    share = (moved[torch.bfloat16] @ way / (way @ way)).item()
    assert share == pytest.approx(1, abs=0.1)  # the last rounding to bfloat16 is unbiased
