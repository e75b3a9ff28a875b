"""Which sampler the setting means; what vLLM draws is tested in tests/openrlhf."""

from types import SimpleNamespace

import pytest
import torch

from harness.config import resolve
from harness.core.errors import MissingError, UsageError
from harness.training.local import vllm_sampler
from harness.training.local.backend import LocalBackend
from harness.training.local.vllm_sampler import WORTH_IT, takes_vllm


def model(device, parameters):
    weight = torch.empty(parameters, device="meta")
    return SimpleNamespace(device=torch.device(device), parameters=lambda: iter([weight]))


@pytest.mark.parametrize("installed", [False, True])
def test_auto_takes_vllm_for_a_model_of_some_size_on_a_gpu_where_it_is_installed(monkeypatch, installed):
    monkeypatch.setattr(vllm_sampler, "find_spec", lambda name: object() if installed else None)
    assert takes_vllm("auto", model("cuda", WORTH_IT), adapters=False) is installed
    for device, parameters, adapters in [("cuda", WORTH_IT - 1, False), ("cpu", WORTH_IT, False), ("cuda", WORTH_IT, True)]:
        assert not takes_vllm("auto", model(device, parameters), adapters)
    assert not takes_vllm("transformers", model("cuda", WORTH_IT), adapters=False)


def test_vllm_and_adapters_do_not_go_together():
    spec = resolve("grpo", recipe="testbed", sets=["local.sampler=vllm", "train.lora.rank=4"])
    with pytest.raises(UsageError, match="^local.sampler=vllm takes over whole weights; with train.lora take local.sampler="):
        LocalBackend(spec, offline=True)


def test_vllm_that_is_not_installed_is_named_before_anything_runs(monkeypatch):
    monkeypatch.setattr(vllm_sampler, "find_spec", lambda name: None)
    spec = resolve("grpo", recipe="testbed", sets=["local.sampler=vllm"])
    with pytest.raises(MissingError, match="^local.sampler=vllm needs vLLM: pip install vllm, or take local.sampler=transform"):
        LocalBackend(spec, offline=True)
