"""What TRL is made to minimise."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def test_trl_minimises_the_mean_over_completion_tokens():
    """One batch at a vanishing rate: the loss it reports is that of the initial policy, computed row by row."""
    from harness.testbed.policy import make_tokenizer
    from harness.training.local.sft import finetune

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).eval()
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
