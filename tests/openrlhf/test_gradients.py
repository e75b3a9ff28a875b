"""A batch of many micro-batches gives the true gradient under every DeepSpeed setting that a recipe or a flag can reach."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness.training.openrlhf

REHEARSAL = str(Path(harness.training.openrlhf.__file__).parent / "rehearsal")
RIGHT = [
    {"zero_stage": 3, "adam_offload": offload} | more
    for offload in (False, True)
    for more in ({}, {"overlap_comm": True}, {"grad_accum_dtype": "fp32"}, {"grad_accum_dtype": "bf16"}, {"zpg": 1})
]
WRONG = [{"zero_stage": 2, "adam_offload": offload} for offload in (False, True)]  # what the translation refuses


@pytest.fixture(scope="module")
def measured():
    command = [sys.executable, str(Path(__file__).with_name("gradients.py")), *map(json.dumps, [*RIGHT, *WRONG])]
    environment = {**os.environ, "PYTHONPATH": REHEARSAL}  # its stand-ins for a GPU
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"flags"')]
    return {json.dumps(row["flags"]): row["steps"] for row in rows}


@pytest.mark.parametrize("flags", RIGHT, ids=json.dumps)
def test_every_micro_batch_counts_once(measured, flags):
    for step in measured[json.dumps(flags)]:
        assert step["cosine"] == pytest.approx(1, abs=1e-3)
        assert step["ratio"] == pytest.approx(1, abs=5e-3)  # gradients are rounded to bfloat16


@pytest.mark.parametrize("flags", WRONG, ids=json.dumps)
def test_stage_2_drops_micro_batches(measured, flags):
    """Why it is refused; once this fails, DeepSpeed has mended it, and the refusal in flags.py can go."""
    assert min(step["cosine"] for step in measured[json.dumps(flags)]) < 0.9
