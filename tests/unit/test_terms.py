"""docs/terms.md names every quantity: ledger entries, metrics, columns. A new one needs its row there."""

import ast
import re
from dataclasses import fields

from harness.core.ledger import Ledger
from harness.data.contamination import KINDS
from harness.report.spreadsheet import HIGH, LOW, header
from support.paths import ROOT
from support.structure import sources

PAGE = (ROOT / "docs" / "terms.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))
MEASURED = (
    "harness/training/metrics.py",
    "harness/training/update.py",
    "harness/core/screening.py",
    "harness/training/pace.py",
)
"""Where metrics of a batch or of an epoch are made by name, whatever the method."""
HEADERS = {"header", "quality", "also"}
"""Variables from which tables take their columns."""


def texts(node):
    """The strings in an expression; what is filled in is `*`."""
    if isinstance(node, ast.JoinedStr):
        return ["".join(v.value if isinstance(v, ast.Constant) else "*" for v in node.values)]
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Subscript | ast.Compare):
        return []
    if isinstance(node, ast.Call):  # its arguments are looked up, not shown
        return []
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return [t for child in ast.iter_child_nodes(node) for t in texts(child)]


def columns():
    """Headings of all tables, from the source: those of harness/report, of a board, of a study, of the listings."""
    found = set()
    for path, source in sources(ROOT):
        if not any(word in source for word in ("Table(", "Listing(", "BUDGET = ")):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                found |= {(path, t) for t in texts(node.value) if name in HEADERS}
                if name == "BUDGET":
                    found |= {(path, t) for value in node.value.values for t in texts(value)}
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id in HEADERS:
                found |= {(path, t) for t in texts(node.value)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table":
                given = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "header")]
                found |= {(path, t) for header in given for t in texts(header)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Listing":
                found |= {(path, texts(column)[0]) for column in node.args[1].elts}
    return {(path, text) for path, text in found if text}


def metrics():
    """Keys that are written into metrics.jsonl: of dictionaries, and set one by one."""
    found = set()
    for name in MEASURED:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Dict):
                found |= {k.value for k in node.keys if isinstance(k, ast.Constant)}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                found |= set(texts(node.targets[0].slice))
    return found - {"optimizer", "schedule", "masters"}


def test_every_entry_of_the_ledger_is_a_term():
    assert ({f.name for f in fields(Ledger)} | {"sampled_tokens"}) - NAMED == set()


def test_every_metric_is_a_term():
    found = metrics()
    assert {"reward", "entropy", "hint_reliance", "sampler_gap", "loss", "rescued_groups"} <= found
    assert found - NAMED == set()


def test_every_column_is_a_term():
    found = columns()
    assert {"score", "MDE 80%", "these questions", "evidence", "verdict", "pass@*", "optimiser steps"} <= {t for _, t in found}
    assert {(path, text) for path, text in found if text.replace("*", "N") not in NAMED} == set()
    assert set(KINDS) - NAMED == set(), "columns of the overlaps"


def test_every_column_of_a_spreadsheet_is_a_term():
    assert {name.removesuffix(LOW).removesuffix(HIGH) for name in header} - NAMED == set()


def test_no_term_is_explained_twice():
    rows = re.findall(r"^\| (?!---)([^|]+) \|", PAGE, re.M)
    names = [row.strip().lower() for row in rows if row.strip() != "term"]
    assert len(names) > 60 and sorted({n for n in names if names.count(n) > 1}) == []
