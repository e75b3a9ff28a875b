"""Which rule rewards a rollout is the run's setting, on both backends and for the answers of a teacher."""

from __future__ import annotations

import asyncio
import importlib
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest

from harness.core.ledger import Ledger
from harness.core.types import Context, Problem, Rollout, Sampling
from harness.registry import load_method
from harness.search.reflect import Answer
from harness.training.local.backend import LocalBackend
from support.settings import resolve

PROBLEM = Problem("1", "2 and 3?", "5")
TEXTS = ["\\boxed{5}", "\\boxed{2+3}", "First \\boxed{4}. No, that is wrong: \\boxed{5}", "\\boxed{6}"]
EXPECTED = {"evaluation": [1.0, 1.0, 1.0, 0.0], "strict": [1.0, 0.0, 0.0, 0.0]}
RULES = pytest.mark.parametrize("rule", EXPECTED)


@RULES
def test_local(rule, monkeypatch):
    backend = LocalBackend(resolve("grpo", sets=[f"train.reward={rule}"]))

    @dataclass
    class Drawn:
        tokens_T = [1]
        logps_T = [0.0]
        truncated = False

    monkeypatch.setattr(backend, "_sample", lambda prompts, *_: [(Drawn(), text, 1) for text in TEXTS])
    found = backend.rollouts([(PROBLEM, Context.plain(PROBLEM.text))] * len(TEXTS), Sampling(1.0, 4), 0)
    assert [r.reward for r in found] == EXPECTED[rule]


@pytest.fixture
def without_openrlhf(monkeypatch):
    """Stand-ins for the packages that the executor and the trainer import by name only."""
    names = {
        "openrlhf": (),
        "openrlhf.utils": (),
        "openrlhf.utils.agent": ("AgentExecutorBase",),
        "openrlhf.trainer": (),
        "openrlhf.trainer.ppo_trainer": ("PPOTrainer",),
        "openrlhf.trainer.ppo_utils": (),
        "openrlhf.trainer.ppo_utils.experience_maker": ("RemoteExperienceMaker",),
        "openrlhf.trainer.ray": (),
        "openrlhf.trainer.ray.vllm_engine": ("batch_vllm_engine_call",),
        "ray": (),
    }
    for name, classes in names.items():
        module = ModuleType(name)
        for each in classes:
            setattr(module, each, type(each, (), {"__ray_metadata__": SimpleNamespace(modified_class=object)}))
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("executor", "trainer"):
        monkeypatch.delitem(sys.modules, f"harness.training.openrlhf.{name}", raising=False)
    yield lambda name: importlib.import_module(f"harness.training.openrlhf.{name}")
    for name in ("executor", "trainer"):
        sys.modules.pop(f"harness.training.openrlhf.{name}", None)


def rollouts() -> list[Rollout]:
    return [Rollout(Context.plain(PROBLEM.text), text, [1], [0.0], 1) for text in TEXTS]


@RULES
def test_openrlhf_trainer(rule, without_openrlhf):
    trainer = without_openrlhf("trainer")
    held = SimpleNamespace(
        job=SimpleNamespace(spec=resolve("grpo", sets=[f"train.reward={rule}"])), _sample=lambda *_: rollouts()
    )
    requests = [(PROBLEM, Context.plain(PROBLEM.text))] * len(TEXTS)
    assert [r.reward for r in trainer.Trainer.rollouts(held, requests, Sampling(1.0, 4), 0)] == EXPECTED[rule]


@RULES
def test_openrlhf_executor(rule, without_openrlhf, monkeypatch):
    """A group of one problem, as OpenRLHF asks for it; only the engine's completions are given."""
    executor = without_openrlhf("executor")
    spec = resolve("grpo", sets=[f"train.reward={rule}", "train.rollouts_per_prompt=4"])
    job = SimpleNamespace(spec=spec, seed=0)
    method = load_method("grpo")
    made = method(method.Config(), spec.train, [PROBLEM], 0)
    drawn = iter(rollouts())

    async def sample_one(*_):
        return next(drawn)

    monkeypatch.setattr(executor, "sample_one", sample_one)
    agent = executor.AgentExecutor()
    monkeypatch.setattr(agent, "_method", lambda *_: (job, made, PROBLEM))
    at = {"work": "", "epoch": 0, "batch": 0, "problem": "1", "samples": 4}
    group, ledger, _ = asyncio.run(agent._group(at, 64, None, None))
    assert sorted(r.reward for r in group.rollouts) == sorted(EXPECTED[rule])
    assert {r.text: r.reward for r in group.rollouts} == dict(zip(TEXTS, EXPECTED[rule], strict=True))
    assert ledger.rollouts == 4


@RULES
def test_a_teachers_answers(rule, monkeypatch):
    cls = load_method("sft-teacher")
    spec = resolve(
        "sft-teacher", sets=[f"train.reward={rule}", "sft-teacher.teacher.kind=openai", "sft-teacher.teacher.model=t"]
    )
    method = cls(cls.Config(**spec.method_config), spec.train, [PROBLEM], 0)
    monkeypatch.setattr(method, "answers", lambda policy: ([PROBLEM] * 4, [Answer(text, 1, 1) for text in TEXTS]))
    kept = []
    policy = SimpleNamespace(finetune=lambda rows, *_: kept.extend(rows) or SimpleNamespace(steps=1, tokens=1, loss=0.0))
    method.end_epoch(0, [], policy, Ledger(), True)
    assert [text in [y for _, y in kept] for text in TEXTS] == [score == 1.0 for score in EXPECTED[rule]]
