"""Every arm end to end on the testbed: what it logs, what it pays, that evaluation sees no hint, that it can be resumed."""

import json

import pytest

from harness.registry import methods
from harness.runs.files import read_jsonl
from harness.training.seedlog import SeedLog
from support.command import harness
from support.smoke import comparable

SMALL = [
    "--bench",
    "tb-id",
    "--limit",
    "8",
    "--seeds",
    "0",
    "--set",
    "testbed.problems=48",
    "--set",
    "train.epochs=2",
    "--set",
    "train.max_rollouts=700",
    "--set",
    "train.checkpoint_steps=1",
    "--set",
    "p2o.min_hard=6",
    "--set",
    "gepa-grpo.evolve={metric_calls: 120, dev_size: 8}",
    "--set",
    "grpo-gepa.evolve={metric_calls: 120, dev_size: 8}",
]
HINTED = [
    "prefix-ladder",
    "prefix-curriculum",
    "self-hint",
    "gepa-grpo",
    "prefix-ladder-original",
    "self-hint-original",
    "self-hint-light",
    "reflection",
    "p2o-random-templates",
]
REFERENCE = {"prefix-ladder": "world", "prefix-curriculum": "world"}
ARMS = [*(set(methods()) - {"grpo", "p2o", "gepa"}), "grpo-hard", "grpo-t1", *HINTED[4:], "gepa-grpo-dropped"]


def run(capsys, arm, out, *more):
    code, stdout, err = harness(capsys, "run", "--method", arm, "--out", out, *SMALL, *more)
    assert code == 0, err
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_arm_end_to_end(capsys, tmp_path, arm):
    result = run(capsys, arm, tmp_path / "run")
    ledger = result["ledger"]
    if arm == "sft-teacher":
        assert (result["teacher"], result["reference_source"]) == ("world", "world")
        assert result["teacher_tokens"] == ledger["reflection_tokens"] > 48 * 8 and ledger["optimiser_steps"] == 2 * 3
        assert ledger["trained_tokens"] == 3 * (result["teacher_tokens"] + 48), "three passes, with the end tokens"
        return
    groups = read_jsonl(tmp_path / "run" / "rollouts" / "s0.jsonl")
    kept, dropped, requests = ([r for g in groups for r in g[key]] for key in ("rollouts", "discarded", "requests"))
    dropped += requests
    assert ledger["rollouts"] == len(kept) + len(dropped) + ledger["search_rollouts"]
    assert ledger["discarded_rollouts"] == len(dropped) and ledger["trained_tokens"] == sum(r["tokens_T"] for r in kept)
    assert ledger["refused_hints"] == sum(g["refused"] for g in groups) and ledger["optimiser_steps"] == len(groups) / 16
    assert result["teacher_tokens"] == 0 and result["reference_source"] == REFERENCE.get(arm.removesuffix("-original"), "none")
    batches = [r for r in read_jsonl(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "batch"]
    assert batches and all({"all_zero_groups", "entropy", "templated_rollouts"} <= set(r) for r in batches)
    if arm in HINTED:
        seen = [r for r in batches if r["templated_rollouts"]]
        assert seen and all({"hint_reliance", "masked_tokens", "template_diversity"} <= set(r) for r in seen)
        distilled = [r for r in kept if r["context"]["template"] and r["context"]["train"] != r["context"]["rollout"]]
        assert bool(distilled) == (arm.endswith("-original") or arm in ("reflection", "p2o-random-templates"))
    prompts = [r["prompt"] for r in read_jsonl(tmp_path / "run" / "samples" / "tb-id.jsonl")]
    assert any("\n\n" in p for p in prompts) == (arm in ("gepa-grpo", "grpo-gepa")), "evaluation sees no hint"


def test_mining_without_templates_is_grpo(capsys, tmp_path):
    run(capsys, "grpo", tmp_path / "a")
    run(capsys, "p2o-no-templates", tmp_path / "b")
    a, b = ((tmp_path / d / "rollouts" / "s0.jsonl").read_text() for d in "ab")
    assert a == b


def test_matched_budget(capsys, tmp_path):
    paid = run(capsys, "self-hint", tmp_path / "a")["ledger"]["generated_tokens"]
    matched = run(capsys, "grpo", tmp_path / "b", "--match-budget", tmp_path / "a")
    groups = read_jsonl(tmp_path / "b" / "rollouts" / "s0.jsonl")
    last = sum(r["tokens_T"] for g in groups[-16:] for r in g["rollouts"])
    assert paid <= matched["ledger"]["generated_tokens"] < paid + last, "stopped by the first batch past it"
    assert groups[-1]["epoch"] > 1, "not by the epochs of the recipe"


@pytest.mark.parametrize("arm", ["gepa-grpo", "prefix-curriculum", "self-hint-light"])
def test_resumed_equals_uninterrupted(capsys, tmp_path, monkeypatch, arm):
    run(capsys, arm, tmp_path / "whole")
    seen, real_step, real_epoch = [], SeedLog.step, SeedLog.epoch

    def stopping(real, at):
        def wrapped(self, *args):
            real(self, *args)
            seen.append(at)
            if seen.count(at) == 2:
                raise KeyboardInterrupt

        return wrapped

    monkeypatch.setattr(SeedLog, "step", stopping(real_step, "step"))
    monkeypatch.setattr(SeedLog, "epoch", stopping(real_epoch, "epoch"))
    stopped = 0
    while True:
        command = ["run", "--method", arm, "--out", tmp_path / "cut", *SMALL, *(["--resume"] if stopped else [])]
        code, _, err = harness(capsys, *command)
        if code != 130:
            break
        stopped += 1
    assert code == 0 and stopped == 2, err
    assert comparable(tmp_path / "cut") == comparable(tmp_path / "whole")
