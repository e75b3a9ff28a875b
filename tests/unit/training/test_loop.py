"""The epochs of a seed on a scripted policy: what begins them, what narrows the problems, what ends them."""

import itertools

import pytest
from msgspec.structs import replace

from harness.core.budget import rollouts_left, spent
from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.core.method import EpochReport
from harness.core.settings import TrainConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.methods.grpo import GRPO
from harness.plan import matched
from harness.runs.files import read_jsonl
from harness.runs.rundir import RunDir
from harness.training.loop import train_epochs
from harness.training.seedlog import SeedLog
from support.results import result
from support.runs import write_run
from support.settings import resolve

PROBLEMS = [Problem(f"p{i:02d}", f"q{i}", "1") for i in range(20)]
TOKENS = 5  # of every completion


class Scripted:
    """Problem i is solved by the first i of its k plain tries; stops with KeyboardInterrupt after `batches`."""

    def __init__(self, batches=10**9):
        self.tick, self.seen, self.left, self.searched = None, [], batches, 0

    def rollouts(self, requests, sampling, seed):
        self.searched += len(requests)
        tries = {}
        out = []
        for p, c in requests:
            nth = tries[p.id] = tries.get(p.id, -1) + 1
            out.append(Rollout(c, "t", [1] * TOKENS, [-1.0] * TOKENS, 2, reward=float(nth < int(p.id[1:]))))
        return out

    def batch(self, method, problems, log, epoch, batch):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.seen.append([p.id for p in problems])
        k = log.spec.train.rollouts_per_prompt
        groups = [Group(p, self.rollouts([(p, Context.plain(p.text))] * k, None, 0)) for p in problems]
        log.ledger.add_rollouts(r for g in groups for r in g.rollouts)
        return groups, {}

    def begin_epoch(self, method, epoch): ...

    def write_checkpoint(self, folder): ...

    def read_checkpoint(self, folder): ...


def start(tmp_path, *sets):
    spec = resolve("grpo", sets=["train.prompts_per_batch=2", "train.max_rollouts=null", "train.checkpoint_steps=1", *sets])
    run = RunDir(tmp_path)
    run.write_spec(spec)
    return GRPO(spec.typed_method_config(), spec.train, PROBLEMS, 0), SeedLog(run, 0, spec, PROBLEMS, lambda *a: None)


@pytest.mark.parametrize(
    ("bound", "batches"),
    [
        ("train.max_rollouts=25", 3),
        ("train.max_rollouts=24", 2),
        ("train.max_sampled_tokens=121", 3),
        ("train.max_sampled_tokens=120", 2),
        ("train.epochs=2", 20),
        ("train.max_seconds=1e-9", 1),
    ],
)
def test_the_first_bound_stops(tmp_path, bound, batches):
    """A batch is 2 problems x 6 rollouts of 5 tokens."""
    method, log = start(tmp_path, bound)
    trainee = Scripted()
    train_epochs(trainee, method, log)
    assert len(trainee.seen) == batches and trainee.searched == log.ledger.rollouts == 12 * batches


def test_without_checkpoints_an_interrupted_seed_begins_anew(tmp_path):
    sets = ("train.checkpoint_steps=null", "train.epochs=2")
    method, log = start(tmp_path, *sets)
    with pytest.raises(KeyboardInterrupt):
        train_epochs(Scripted(batches=13), method, log)
    assert not list(tmp_path.glob("ckpt/s0/e*"))
    method, log = start(tmp_path, *sets)
    trainee = Scripted()
    train_epochs(trainee, method, log)
    assert len(trainee.seen) == 20 and not list(tmp_path.glob("ckpt/s0/e*"))
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert [(r["epoch"], r["batch"]) for r in rows if r["kind"] == "batch"] == [(e, b) for e in (0, 1) for b in range(10)]
    assert log.ledger.rollouts == 20 * 12


def test_hard_problems_only_and_paid_for(tmp_path):
    method, log = start(
        tmp_path, "train.problems=hard", "train.epochs=3", "train.prompts_per_batch=1", "train.updates_per_batch=1"
    )
    trainee = Scripted()
    train_epochs(trainee, method, log)
    assert [sorted(itertools.chain(*trainee.seen[i : i + 2])) for i in (0, 2, 4)] == [["p00", "p01"]] * 3
    assert log.ledger.search_rollouts == 20 * 6 and log.ledger.rollouts == 20 * 6 + 6 * 6
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert rows[0]["epoch"] == -1 and (rows[0]["seen_problems"], rows[0]["hard_problems"]) == (20, 2)
    assert [r.get("rescued_problems") for r in rows if r["kind"] == "epoch"] == [None, None, 0.0, 0.0]


def test_rollouts_are_left_for_a_search_at_the_end(tmp_path):
    class Searches(GRPO):
        def costs(self):
            return super().costs()._replace(last=30)

        def end_epoch(self, epoch, groups, policy, ledger, last):
            ledger.rollouts += 30 * last
            return EpochReport()

    _, log = start(tmp_path, "train.max_rollouts=100")
    trainee = Scripted()
    train_epochs(trainee, Searches(GRPO.Config(), log.spec.train, PROBLEMS, 0), log)
    assert len(trainee.seen) == 6 and log.ledger.rollouts == 6 * 12 + 30, "72 is the first step at or past 70"


def test_what_was_screened_out_stays_out_after_a_resume(tmp_path):
    sets = ("train.problems=hard", "train.epochs=3", "train.prompts_per_batch=1", "train.updates_per_batch=1")
    method, log = start(tmp_path, *sets)
    first = Scripted(batches=3)
    with pytest.raises(KeyboardInterrupt):
        train_epochs(first, method, log)
    method, log = start(tmp_path, *sets)
    second = Scripted()
    train_epochs(second, method, log)
    assert len(first.seen) + len(second.seen) == 6 and {*itertools.chain(*second.seen)} == {"p00", "p01"}
    assert log.ledger.search_rollouts == 120, "screened once"


def test_too_few_hard_problems_for_a_batch(tmp_path):
    method, log = start(tmp_path, "train.problems=hard", "train.prompts_per_batch=4")
    with pytest.raises(UsageError, match="2 of 20 problems are left to train on, fewer than one batch"):
        train_epochs(Scripted(), method, log)


def test_rollouts_left_is_the_nearest_bound():
    paid = Ledger(rollouts=100, generated_tokens=400, reflection_tokens=100, wall_seconds=20)
    assert rollouts_left(TrainConfig(), paid) == float("inf") and not spent(TrainConfig(), paid)
    cfg = TrainConfig(max_rollouts=250, max_sampled_tokens=1000, max_seconds=60)
    assert rollouts_left(cfg, paid) == pytest.approx(min(150, 500 / 5, 40 / 0.2))
    assert rollouts_left(TrainConfig(max_sampled_tokens=1000, max_new_tokens=10), Ledger()) == 100
    assert spent(TrainConfig(max_sampled_tokens=500), paid), "reflections count"
    assert not spent(TrainConfig(max_sampled_tokens=501), paid)


def test_matched_budget_is_the_mean_over_seeds(tmp_path):
    ledgers = {0: Ledger(generated_tokens=100, reflection_tokens=20), 1: Ledger(generated_tokens=200)}
    write_run(tmp_path / "a", replace(result(scores={0: 0.5, 1: 0.5}), ledgers=ledgers))
    found = matched(tmp_path / "a")
    assert found["max_sampled_tokens"] == 160 and found["max_rollouts"] is None
    spec = resolve("grpo", flags={"train": found})
    assert spec.train.max_sampled_tokens == 160 and spec.train.epochs > 100
    write_run(tmp_path / "b", result(ledger=Ledger(rollouts=1)))
    with pytest.raises(UsageError, match="no budget to match"):
        matched(tmp_path / "b")
