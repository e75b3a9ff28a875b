"""These tests need the environment of `make venv-openrlhf`; every run of the openrlhf backend takes about a minute."""

import runpy
import sys
from pathlib import Path

import pytest
from running import TOY

import harness.training.openrlhf

pytest.importorskip("deepspeed", reason="make test-openrlhf sets up its own environment")
sys.path.insert(0, str(TOY))
# What a rehearsal's processes get at their start: the stand-ins for a GPU, so that OpenRLHF can be imported here, too.
runpy.run_path(str(Path(harness.training.openrlhf.__file__).parent / "rehearsal" / "sitecustomize.py"))
