"""These tests need the environment of `make venv-openrlhf`. A run of the openrlhf backend takes about a minute, most of it
start-up: runs that several tests read are made once."""

import runpy
import sys
from pathlib import Path

import pytest
from reflecting import serving
from running import TOY, p2o

import harness.training.openrlhf

pytest.importorskip("deepspeed", reason="make test-openrlhf sets up its own environment")
sys.path.insert(0, str(TOY))
# What a rehearsal's processes get at their start: the stand-ins for a GPU, so that OpenRLHF can be imported here, too.
runpy.run_path(str(Path(harness.training.openrlhf.__file__).parent / "rehearsal" / "sitecustomize.py"))


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """A run of P2O with templates that nobody interrupts: its folder, and the server that reflected."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    with serving() as server:
        code, _, err = p2o(out, server, "--set", "toy-p2o.keep=true")
        assert code == 0, err
        yield out, server
