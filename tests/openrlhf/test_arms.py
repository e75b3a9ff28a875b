"""Arms that sample more than once for a group, or before the first epoch, on OpenRLHF: contexts, ledger, what is kept."""

import json

import pytest
from running import harness, left_behind

from harness.runs.files import read_jsonl

K = 4
RUN = [
    "run",
    "--bench",
    "tb-id",
    "--limit",
    "4",
    "--seeds",
    "0",
    "--backend",
    "openrlhf",
    "--rehearse",
    "--set",
    "testbed.problems=16",
    "--set",
    "train.prompts_per_batch=8",
    "--set",
    "train.epochs=1",
    "--set",
    f"train.rollouts_per_prompt={K}",
    "--set",
    "train.max_rollouts=null",
    "--set",
    "gepa-grpo.evolve={metric_calls: 60, dev_size: 8}",
]


SLOW = [pytest.param(arm, marks=pytest.mark.slow) for arm in ("grpo-dynsample", "gepa-grpo")]


@pytest.mark.parametrize("arm", ["prefix-ladder", "self-hint-original", *SLOW])
def test_arm(tmp_path, arm):
    out = tmp_path / "run"
    hard = ["--set", "train.problems=hard", "--set", "testbed.problems=24"] if arm == "grpo-dynsample" else []
    code, _, err = harness(*RUN, "--method", arm, "--out", out, *hard)
    assert code == 0, err
    assert not left_behind(out)
    result = json.loads((out / "result.json").read_text())
    groups, ledger = read_jsonl(out / "rollouts" / "s0.jsonl"), result["ledger"]
    kept, dropped = ([r for g in groups for r in g[key]] for key in ("rollouts", "discarded"))
    assert len(groups) == 16 and all(len(g["rollouts"]) == K for g in groups)  # two batches
    assert ledger["rollouts"] == len(kept) + len(dropped) + ledger["search_rollouts"]
    assert ledger["generated_tokens"] >= sum(r["tokens_T"] for r in kept + dropped)
    assert ledger["refused_hints"] == sum(g["refused"] for g in groups) and ledger["optimiser_steps"] == 2
    batches = [r for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]
    if arm == "grpo-dynsample":
        for g in groups:
            assert all(r["context"]["template"] == "" for r in g["rollouts"] + g["discarded"])
            texts = {r["context"]["rollout"] for r in g["rollouts"]}
            assert len(texts) == 1 and (len(g["discarded"]) == 9 * K or len({r["reward"] for r in g["rollouts"]}) > 1)
        assert any(g["discarded"] for g in groups)
        texts = {r["context"]["rollout"] for g in groups for r in g["rollouts"] + g["discarded"]}
        [screened] = [r for r in read_jsonl(out / "metrics.jsonl") if r["epoch"] == -1]
        assert len(texts) <= screened["hard_problems"] < screened["seen_problems"] == 24, "refilled with hard ones only"
        return
    hinted = [g for g in groups if g["rollouts"][0]["context"]["template"]]
    assert hinted and any(r["templated_rollouts"] for r in batches)
    for g in hinted:
        context = g["rollouts"][0]["context"]
        assert all(r["context"] == context for r in g["rollouts"]), "one hint for the group"
        assert (context["train"] == context["rollout"]) == (arm != "self-hint-original")
        if arm != "gepa-grpo":
            assert sum(r["reward"] for r in g["discarded"]) == 0 and not g["discarded"][0]["context"]["template"]
    if arm == "gepa-grpo":
        assert ledger["search_rollouts"] and len(hinted) == 16
