"""P2O on both backends, from the same weights on the same rollouts: one step, one epoch, and the epoch with templates.

OpenRLHF samples; the local backend then takes its own steps on what was sampled, in bfloat16 as OpenRLHF does, so that all
that differs is how the two score, mask, split into passes, and step.
"""

import json

import pytest
from reflecting import SECRET
from running import left_behind
from sides import BATCHES, agreement, both
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.runs.files import read_jsonl

LEAST = 0.99  # cosine of the updates


@pytest.fixture(scope="module")
def weights(uninterrupted):
    return both(uninterrupted[0])


@pytest.mark.parametrize(
    ("what", "start", "end"), [("one step", 0, 1), ("one epoch", 0, 2), ("the epoch with templates", 2, 4), ("both", 0, 4)]
)
def test_the_same_update(weights, what, start, end):
    mine, theirs, _ = weights
    cosine, length = agreement(mine, theirs, start, end)
    print(f"{what}: cosine {cosine:.4f}, length {length:.4f}")
    assert cosine >= LEAST and length == pytest.approx(1, abs=0.02)


def test_the_same_figures(uninterrupted, weights):
    """What both sides log of the same batches: reward exactly, log-probabilities to bfloat16's rounding."""
    out, _ = uninterrupted
    rows = [r for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]
    assert [(r["epoch"], r["batch"]) for r in rows] == BATCHES
    for row in rows:
        mine = weights[2][row["epoch"], row["batch"]]
        assert (mine["reward"], mine["templated_rollouts"]) == (row["reward"], row["templated_rollouts"])
        assert mine["advantage"] == pytest.approx(row["advantage"], rel=1e-5)
        assert mine["grad_norm"] == pytest.approx(row["grad_norm"], rel=0.1)
        assert ("masked_tokens" in mine) == ("masked_tokens" in row) == bool(row["templated_rollouts"])
        assert mine.get("masked_tokens", 0.0) == pytest.approx(row.get("masked_tokens", 0.0), abs=0.03)
    templated = [r for r in rows if r["epoch"] == 1]
    assert all(r["templated_rollouts"] for r in templated) and any(r["masked_tokens"] for r in templated)


def test_the_search_saw_a_server_that_thinks(uninterrupted):
    """No template holds reasoning; what was cut, reasoned or too long for the server is counted, and paid for."""
    out, server = uninterrupted
    rows = read_jsonl(out / "templates" / "s0.jsonl")
    assert len(rows) > 1 and not any(SECRET in r["template"] or "think>" in r["template"] for r in rows)
    [search] = [r for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "epoch" and "candidates" in r]
    habits = server.habits
    assert search["reflections_cut"] == habits["cut"]
    assert search["reflections_reasoning"] == habits["alone"] + habits["endless"]
    assert habits["long"] and search["reflection_faults"] > habits["cut"] + habits["alone"] + habits["endless"]
    used = {r["context"]["template"] for g in read_jsonl(out / "rollouts" / "s0.jsonl") for r in g["rollouts"]}
    assert max(len(template.split()) for template in used) < 96  # no template that the policy cannot read
    ledger = json.loads((out / "result.json").read_text())["ledger"]
    assert ledger["dropped_reflections"] == sum(habits[h] for h in ("cut", "alone", "endless"))
    assert (ledger["reflection_prompt_tokens"], ledger["reflection_tokens"]) == server.counts


def test_nothing_is_left_and_the_policy_loads(uninterrupted):
    out, _ = uninterrupted
    assert not left_behind(out)
    AutoModelForCausalLM.from_pretrained(out / "ckpt" / "s0" / "final")
    AutoTokenizer.from_pretrained(out / "ckpt" / "s0" / "final")
