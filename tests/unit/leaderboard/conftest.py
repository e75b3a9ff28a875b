"""A filed run in memory, for tests of the single checks."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import submit
from harness.leaderboard.checks import Content, check_run
from harness.leaderboard.entries import load_filed
from harness.leaderboard.figures import confirm_grades
from harness.runs import formats
from harness.runs.filed import Curve, Manifest, read_curves, read_filed_templates
from harness.runs.logs import Template
from harness.runs.samples import FiledSample, decode_filed
from support.boards import make_run, sample_rows


@dataclass
class Held:
    """A manifest as JSON, rows of its one suite as JSON, and what is filed beside them."""

    folder: Path
    m: dict[str, Any]
    rows: list[dict[str, Any]]
    curves: dict[str, list[Curve]]
    templates: list[Template]

    def manifest(self) -> Manifest:
        return formats.decode(json.dumps(self.m).encode(), Manifest, self.folder / "manifest.json")

    def samples(self) -> dict[str, list[FiledSample]]:
        data = "".join(json.dumps(r) + "\n" for r in self.rows).encode()
        return {"tb-long": decode_filed(data, self.folder / "rows")}

    def check(self, **own) -> Any:
        """All that is checked before a run is filed. Raises HarnessError."""
        samples = self.samples()
        content = Content(samples=samples, curves=self.curves, templates=self.templates)
        found = check_run(self.folder, self.manifest(), content, **own)
        confirm_grades(samples, str(self.folder / "samples"))
        return found

    def changed(self, change) -> Held:
        """The same with a case of tests/support/forgeries.py, or any function of manifest and rows, applied."""
        m, rows = copy.deepcopy(self.m), [dict(r) for r in self.rows]
        rows = change(m, rows) or rows
        rows = sorted(rows, key=lambda r: (r["seed"], r["greedy"], r["problem"], r["index"]))
        return Held(self.folder, m, rows, self.curves, self.templates)


def held(root, method, right):
    folder, _ = submit.add(make_run(root / method, method, right), root / "boards")
    m = json.loads((folder / "manifest.json").read_text())
    return Held(folder, m, sample_rows(folder), read_curves(folder), read_filed_templates(folder))


@pytest.fixture(scope="session")
def held_p2o(tmp_path_factory):
    return held(tmp_path_factory.mktemp("held"), "p2o", (3, 5, 4))


@pytest.fixture(scope="session")
def held_gepa(tmp_path_factory):
    """A run that evaluates with the template it found."""
    return held(tmp_path_factory.mktemp("held"), "gepa", (3, 5, 4))


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory):
    """Two runs in directories of their own, and filed on a board that is not built: folder of the first, and of the second."""
    root = tmp_path_factory.mktemp("two")
    runs = [make_run(root / "p2o"), make_run(root / "grpo", "grpo", (1, 2, 3))]
    return [submit.add(run, root / "boards")[0] for run in runs]


@pytest.fixture(scope="session")
def entries(two_runs):
    return [load_filed(folder, 3) for folder in two_runs]
