"""Stop rules through the command line: none fires on a sound run, and a stopped one says why."""

import json
import sys

import pytest

from harness.cli import main
from harness.runs.files import read_jsonl


@pytest.fixture
def tiny(monkeypatch):
    """`harness run` of a few batches on the testbed."""
    words = (
        "run --method grpo --bench tb-id --limit 2 --seeds 0 --set testbed.problems=16 --set train.epochs=1 "
        "--set train.prompts_per_batch=4 --json"
    ).split()

    def run(capsys, out, *sets):
        monkeypatch.setattr(sys, "argv", ["harness", *words, "--out", str(out), *(x for s in sets for x in ("--set", s))])
        with pytest.raises(SystemExit) as e:
            main()
        told = capsys.readouterr()
        assert e.value.code == 0, told.err
        return json.loads(told.out.splitlines()[-1])

    return run


def test_the_result_names_the_reason_and_is_stamped(capsys, tmp_path, tiny):
    result = tiny(capsys, tmp_path / "run", "train.guards.max_sampler_gap=1e-12")
    reason = json.loads((tmp_path / "run" / "result.json").read_text())["stopped"]["0"]
    assert "trainer and sampler disagree" in reason
    assert f"the training of seed 0 was stopped: {reason}" in result["not_a_result"]
    assert result["ledger"]["optimiser_steps"] == 1 and "was stopped" in (tmp_path / "run" / "report.md").read_text()


def test_trainer_and_sampler_agree_while_nothing_is_learnt(capsys, tmp_path, tiny):
    """At a learning rate of next to 0 every gap is numerical noise and every ratio 1, so that no rule fires."""
    tiny(
        capsys,
        tmp_path / "run",
        "train.lr=1e-30",
        "train.updates_per_batch=2",
        "train.guards.max_sampler_gap=1e-5",
        "train.guards.max_ratio=1.0001",
    )
    assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped"] == {}
    rows = [r for r in read_jsonl(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "batch"]
    assert len(rows) == 4 and all(r["sampler_gap"] < 1e-5 for r in rows)
