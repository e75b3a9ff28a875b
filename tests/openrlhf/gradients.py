"""The step that the real DeepSpeed engine takes of many micro-batches, under OpenRLHF's own configuration of it.

    python gradients.py FLAGS [FLAGS ...]

FLAGS: OpenRLHF's ds flags as JSON, e.g. '{"zero_stage": 3, "adam_offload": true}'. Prints a JSON line each: for every one of
three steps the cosine of the update with the sum of the micro-batches' gradients, the ratio of their lengths, and the weight
of each micro-batch in the update. With dynamic batches OpenRLHF calls backward on every micro-batch and steps after the last.
"""

import json
import os
import sys
from types import SimpleNamespace

import deepspeed
import torch
from openrlhf.utils.deepspeed import DeepspeedStrategy

MICRO_BATCHES, STEPS = 5, 3
DTYPE = torch.bfloat16


def net():
    first, last = torch.nn.Linear(16, 32, bias=False), torch.nn.Linear(32, 4, bias=False)
    return torch.nn.Sequential(first, torch.nn.Tanh(), last)


def loss_of(model, row):
    return 0.01 * model(row).float().sum()


def masters(engine):
    """The float32 weights, one vector."""
    whole = deepspeed.utils.safe_get_full_fp32_param
    return torch.cat([whole(p).detach().float().flatten().clone() for p in engine.module.parameters()])


def measure(flags):
    torch.manual_seed(0)
    args = SimpleNamespace(ds=SimpleNamespace(param_dtype="bf16", **flags), train=SimpleNamespace(dynamic_batch_enable=True))
    strategy = DeepspeedStrategy(zero_stage=flags["zero_stage"], max_norm=0.0, args=args)
    config = strategy.get_ds_train_config({"type": "SGD", "params": {"lr": 1.0}})  # a step is the gradient
    config |= {"zero_force_ds_cpu_optimizer": False, "zero_allow_untested_optimizer": True}
    config["zero_optimization"]["offload_optimizer"]["pin_memory"] = False  # of a GPU's host
    model = net()
    engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config=config)
    reference = net().to(DTYPE)
    steps = []
    for _ in range(STEPS):
        rows = [torch.randn(1, 16).to(DTYPE) for _ in range(MICRO_BATCHES)]
        before = masters(engine)
        start = 0
        for p in reference.parameters():
            p.data.copy_(before[start : start + p.numel()].view_as(p))
            start += p.numel()
        gradients = []
        for row in rows:
            reference.zero_grad()
            loss_of(reference, row).backward()
            gradients.append(torch.cat([p.grad.float().flatten() for p in reference.parameters()]))
        for row in rows:
            strategy.backward(loss_of(engine, row), engine, None)
        strategy.optimizer_step(None, engine, None)
        moved, true = before - masters(engine), sum(gradients)
        weights = torch.linalg.lstsq(torch.stack(gradients, 1), moved[:, None]).solution[:, 0]
        steps.append(
            {
                "cosine": torch.cosine_similarity(moved.double(), true.double(), 0).item(),
                "ratio": (moved.norm() / true.norm()).item(),
                "weights": [round(w, 2) for w in weights.tolist()],
            }
        )
    return steps


if __name__ == "__main__":
    port = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 400)}
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", DS_ACCELERATOR="cpu", **port)
    deepspeed.init_distributed("gloo")
    for flags in map(json.loads, sys.argv[1:]):
        print(json.dumps({"flags": flags, "steps": measure(flags)}), flush=True)
