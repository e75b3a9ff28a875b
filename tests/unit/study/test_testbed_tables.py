"""The tables of docs/testbed_results.md, from the cells of a study on the testbed run in miniature."""

import importlib.util
import re

from harness.runs.files import append_jsonl
from harness.study import load_study
from support.paths import ROOT

spec = importlib.util.spec_from_file_location("testbed_tables", ROOT / "docs" / "testbed_tables.py")
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)


def test_branch_tokens_by_hand(tmp_path):
    """Batches of the first epochs and the last probe of each seed; a metric that was not logged is a dash."""
    rows = [
        {"seed": 0, "kind": "batch", "epoch": 0, "rollouts": 1, "batch": 0, "degenerate_groups": 0.5},
        {"seed": 1, "kind": "batch", "epoch": 0, "rollouts": 1, "batch": 0, "degenerate_groups": 1.0},
        {"seed": 0, "kind": "batch", "epoch": 1, "rollouts": 2, "batch": 1, "degenerate_groups": 0.25, "branch_masked_1": 0.5},
        {"seed": 0, "kind": "epoch", "epoch": 0, "rollouts": 2, "hard_problems": 7, "branch_p_joint": 0.1},
        {"seed": 1, "kind": "epoch", "epoch": 0, "rollouts": 2, "hard_problems": 8, "branch_p_joint": 0.3},
        {"seed": 0, "kind": "epoch", "epoch": 1, "rollouts": 3, "branch_p_joint": 0.9},
    ]
    cell = tmp_path / "latent--p2o"
    append_jsonl(cell / "metrics.jsonl", rows)
    last = tables.mechanism_table([cell]).splitlines()[-1]
    assert last == "| latent--p2o | 0.75, 0.25 | 8, -, - | -, - | -, - | 0.50, - | 0.300 0.900 |"


def test_every_cell_of_the_page_is_one_of_the_study():
    study = load_study("testbed-temperatures")
    named = {f"{condition}--{arm}" for condition in study.conditions for arm in study.arms}
    page = (ROOT / "docs" / "testbed_results.md").read_text()
    assert set(re.findall(r"^\| (\S+--\S+) \|", page, re.M)) == named
    assert {f"{c}--{m}" for c, m in re.findall(r"^\| (\S+-t\S+) \| (p2o|grpo) \|", page, re.M)} == named
