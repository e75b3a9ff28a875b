"""What tests of studies share."""

from types import SimpleNamespace

import pytest

from support.runs import a_plan


@pytest.fixture
def quick(monkeypatch):
    """Cells are resolved, but neither their data nor their overlaps are looked at."""
    monkeypatch.setattr("harness.run.prepare", lambda spec, *a: SimpleNamespace(plan=a_plan(), overlaps={}))
    monkeypatch.setattr("harness.study.local.POLL_S", 0.01)
