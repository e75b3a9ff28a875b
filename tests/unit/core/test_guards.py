"""Stop rules: each fires on what it is for and on nothing else, on either backend's loop, and the result says why."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from harness.core.errors import HarnessError
from harness.core.guards import Guard
from harness.core.method import EpochReport
from harness.core.settings import GuardConfig, LossSpec, TrainConfig
from harness.core.types import Context, Group, Problem, Rollout, Sampling
from harness.methods.grpo import GRPO
from harness.runs.files import read_jsonl
from harness.runs.rundir import RunDir
from harness.training.local.backend import LocalBackend
from harness.training.loop import train_epochs
from harness.training.seedlog import SeedLog
from harness.training.update import Updater
from support.settings import resolve

PROBLEMS = [Problem(f"p{i:02d}", f"q{i}", "1") for i in range(20)]
SOUND = {
    "loss": 0.1,
    "grad_norm": 2.0,
    "ratio_max": 3.0,
    "sampler_gap": 1e-3,
    "entropy": 0.5,
    "reward": 0.2,
    "all_zero_groups": 0.5,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"loss": math.nan}, "loss is nan"),
        ({"grad_norm": math.inf}, "grad_norm is inf"),
        ({"entropy": -math.inf}, "entropy is -inf"),
        ({"sampler_gap": math.nan}, "sampler_gap is nan"),
        ({"ratio_max": 2e4}, "max_ratio"),
        ({"sampler_gap": 0.3}, "disagree by 0.3 nats"),
    ],
)
def test_a_rule_fires_at_once(change, reason):
    assert Guard(GuardConfig()).check(SOUND) is None
    assert reason in Guard(GuardConfig()).check({**SOUND, **change})
    off = GuardConfig(finite=False, max_ratio=None, max_sampler_gap=None, min_entropy=None)
    assert Guard(off).check({**SOUND, **change}) is None


def test_collapsed_entropy_must_last_and_a_solved_batch_is_no_collapse():
    guard, flat = Guard(GuardConfig(patience=3)), {**SOUND, "entropy": 1e-8}
    assert [guard.check(m) for m in (flat, flat, SOUND, flat, flat)] == [None] * 5
    assert "entropy 1e-08 in 3 batches" in guard.check(flat)
    guard = Guard(GuardConfig(patience=3))
    assert [guard.check({**flat, "reward": 1.0}) for _ in range(9)] == [None] * 9


def test_a_backend_without_a_metric_is_not_judged_by_it():
    assert Guard(GuardConfig()).check({"reward": 0.0}) is None


# ------------------------------------------------------------------ the loop, the same for both backends


class Breaks:
    """Sound metrics but for those of batch number `at`; stops with KeyboardInterrupt after `batches`."""

    def __init__(self, at, change, batches=10**9):
        self.at, self.change, self.left, self.seen, self.tick = at, change, batches, 0, None

    def batch(self, method, problems, log, epoch, batch):
        if not self.left:
            raise KeyboardInterrupt
        self.left, self.seen = self.left - 1, self.seen + 1
        rollouts = [Rollout(Context.plain("q"), "t", [1], [-1.0], 2) for _ in range(6)]
        log.ledger.add_rollouts(rollouts * len(problems))
        return [Group(p, rollouts) for p in problems], SOUND | (self.change if epoch * 10 + batch >= self.at else {})

    def begin_epoch(self, method, epoch): ...

    def write_checkpoint(self, folder): ...

    def read_checkpoint(self, folder): ...


class Hooked(GRPO):
    hooks = 0

    def end_epoch(self, epoch, groups, policy, ledger, last):
        self.hooks += 1
        return EpochReport()


def start(tmp_path, *sets):
    spec = resolve("grpo", sets=["train.prompts_per_batch=2", "train.max_rollouts=null", "train.checkpoint_steps=1", *sets])
    run = RunDir(tmp_path)
    run.write_spec(spec)
    return Hooked(spec.typed_method_config(), spec.train, PROBLEMS, 0), SeedLog(run, 0, spec, PROBLEMS, lambda *a: None)


def test_the_loop_stops_and_says_why(tmp_path):
    method, log = start(tmp_path)
    trainee = Breaks(13, {"loss": math.nan})
    train_epochs(trainee, method, log)
    assert trainee.seen == 14 and log.stopped == "loss is nan" and method.hooks == 1, "the hook of the first epoch alone"
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert rows[-1]["stopped"] == "loss is nan" and rows[-2]["loss"] is None
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    method, log = start(tmp_path)
    again = Breaks(13, {})
    train_epochs(again, method, log)
    assert again.seen == 0 and log.stopped == "loss is nan", "a resume does not train on"


def test_patience_survives_a_resume(tmp_path):
    change = {"entropy": 0.0}
    method, log = start(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_epochs(Breaks(2, change, batches=5), method, log)
    method, log = start(tmp_path)
    rest = Breaks(2, change)
    train_epochs(rest, method, log)
    assert rest.seen == 2 and "in 5 batches" in log.stopped


# ------------------------------------------------------------------ the optimiser


def groups():
    def rollout(reward):
        return Rollout(Context("x", "x"), "t", [1, 2, 3] if reward else [3, 1, 6], [-1.0] * 3, 2, reward=reward)

    return [Group(Problem(f"p{i}", "x", "1"), [rollout(0.0), rollout(1.0)]) for i in range(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_no_step_is_taken_on_a_gradient_that_is_not_finite(dtype, where):
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    ).to(dtype)
    updater = Updater(model, TrainConfig(lr=0.1, updates_per_batch=2), LossSpec(), pad=0, forward_tokens=20)
    sick = groups()
    if where == "loss":
        sick[0].rollouts[0].reward = math.nan
    else:
        next(model.parameters()).register_hook(lambda grad: grad * math.inf)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    _, metrics = updater.step(sick, lambda text: [4, 5])
    assert Guard(GuardConfig()).check(metrics)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    updater.cfg = TrainConfig(lr=0.1, updates_per_batch=2, guards=GuardConfig(finite=False))
    updater.step(sick, lambda text: [4, 5])
    assert not all(torch.isfinite(v).all() for v in model.state_dict().values()), "what the guard is for"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_without_advantages_moves_resumed_weights_as_it_moves_others(tmp_path, dtype):
    """By the momentum of the batches before it, which a process that has just loaded them has to go on with."""
    torch.manual_seed(0)
    shape = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    whole, resumed = LlamaForCausalLM(shape).to(dtype), LlamaForCausalLM(shape).to(dtype)
    cfg, alike = TrainConfig(lr=0.1), groups()
    for group in alike:
        for rollout in group.rollouts:
            rollout.reward = 1.0
    updater = Updater(whole, cfg, LossSpec(), pad=0, forward_tokens=20)
    updater.step(groups(), lambda text: [4, 5])
    updater.save(tmp_path / "optimizer.pt")
    resumed.load_state_dict(whole.state_dict())
    again = Updater(resumed, cfg, LossSpec(), pad=0, forward_tokens=20)
    again.load(tmp_path / "optimizer.pt")
    before = {k: v.clone() for k, v in whole.state_dict().items()}
    for one in (updater, again):
        _, metrics = one.step(alike, lambda text: [4, 5])
        assert metrics["degenerate_groups"] == 1.0 and metrics["grad_norm"] == 0.0
    assert not all(torch.equal(v, before[k]) for k, v in whole.state_dict().items()), "momentum"
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in resumed.state_dict().items())


def test_the_largest_ratio_is_that_of_brute_force():
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    updater = Updater(model, TrainConfig(lr=0.05, updates_per_batch=2), LossSpec(), pad=0, forward_tokens=20)

    def logps():
        out = []
        for tokens in ([1, 2, 3], [3, 1, 6]):
            logits = model(torch.tensor([[4, 5, *tokens[:-1]]])).logits[0, 1:].float() / updater.cfg.temperature
            out.append(torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens)[:, None])[:, 0].detach())
        return torch.cat(out)

    before, old_step, mid = logps(), updater._step, []
    updater._step = lambda loss=0.0: (old_step(loss), mid.append(logps()))[0]
    _, metrics = updater.step(groups(), lambda text: [4, 5])
    assert metrics["ratio_max"] == pytest.approx(max(1.0, (mid[0] - before).exp().max().item()), rel=1e-4)
    assert metrics["ratio_max"] > 1.0


# ------------------------------------------------------------------ a policy that is broken already


def test_a_policy_of_broken_weights_is_a_sentence():
    backend = LocalBackend(resolve("grpo"))
    with torch.no_grad():
        next(backend.model.parameters()).fill_(math.nan)
    with pytest.raises(HarnessError, match="weights are broken"):
        backend.generate(["run : 1 2 ="], Sampling(1.0, 4), 0)
