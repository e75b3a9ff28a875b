"""Tables and verbs at 60 to 140 columns: no line is wider, no name is lost, headings are there."""

import itertools
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from harness.cli.listing import LISTS
from harness.cli.options import show_result
from harness.report import brief, terminal
from harness.report.claims import brief_claims_table, claims_table
from harness.report.comparison import tables
from harness.report.tables import Table
from harness.runs.result import load_result
from harness.stats.assess import check
from harness.stats.claims import load_claims
from harness.stats.comparison import compare_runs
from harness.study.tables import summary, summary_table
from support.command import harness
from support.paths import ROOT
from support.results import result
from support.runs import make_run

WIDTHS = (60, 80, 100, 140)
BOARD = ROOT / "leaderboards" / "testbed" / "testbed"
LONG = "p2o-with-a-name-that-no-column-of-a-terminal-has-room-for-whatever-it-says"


@pytest.fixture(params=WIDTHS)
def columns(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def fits(text, columns, names=(), headings=()):
    """No line is wider than the terminal; names stand there whole, or, if longer than a line, folded; so do headings."""
    assert max(map(cell_len, text.splitlines())) <= columns
    words, folded = " ".join(text.split()), "".join(text.split())
    for name in names:
        assert name in words or "".join(name.split()) in folded, name
    for heading in headings:
        assert all(part in folded for part in heading.split()), heading


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Arms of real result files: one with a long name, one of a single seed, one that never gives an answer."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    shares = {"grpo": 0.1, "p2o": 0.9, LONG: 0.95, "p2o-no-distillation": 0.12}
    made = [make_run(folder / f"{i}", name, rng.random((8, 40, 2)) < share) for i, (name, share) in enumerate(shares.items())]
    made.append(make_run(folder / "one", "gepa", rng.random((1, 40, 2)) < 0.5))
    silent = np.zeros((8, 40, 2), bool)
    return [*made, make_run(folder / "silent", "silent", silent, unparsed=1.0, truncated=0.5, grader_faults=2)]


ARMS = ("grpo", "p2o", LONG, "p2o-no-distillation", "gepa", "silent")


def test_compare(capsys, columns, runs):
    code, out, err = harness(capsys, "compare", *runs)
    assert code == 0, err
    fits(out, columns, ARMS, ("arm", "score", "95% interval", "difference", "these questions", "verdict"))
    first = out.split("Scores")[0]
    assert "are ahead of grpo" in " ".join(first.split()) and "Out of distribution" in first
    # What makes an ordinary zero of it stands right below its row.
    at = next(i for i, line in enumerate(out.splitlines()) if line.startswith("silent"))
    assert "no answer was found in any sample" in " ".join(out.splitlines()[at : at + 5])


def test_compare_in_full(capsys, columns, runs):
    code, out, err = harness(capsys, "compare", *runs, "--full")
    assert code == 0, err
    c = compare_runs(runs)
    headings = {name for table in tables(c) for name in table.header} - {"measure"}
    fits(out, columns, [*ARMS, *(table.title for table in tables(c))], headings)
    every = {word for table in tables(c) for row in table.rows for cell in row for word in cell.split()}
    assert {word for word in every if word not in "".join(out.split())} == set()


@pytest.mark.parametrize("full", [False, True])
def test_run_and_eval(capsys, columns, runs, full):
    for run in runs:
        found = load_result(run)
        show_result(found, full, False)
        out = capsys.readouterr().out
        fits(out.replace(f"report: {run}/report.html", ""), columns, [found.method], ("score", "95% interval", "sd", "seeds"))
        assert f"{found.method} scores" in " ".join(out.split()) or found.method == LONG
        low, high = re.findall(r"95%: (\d+\.\d) to (\d+\.\d)", " ".join(out.split()))[0]
        assert f"{low} to {high}" in out.split("interval")[1], "the interval that was computed stands in the table, too"


def test_study(columns, runs):
    conditions = {"rare": compare_runs(runs[:4]), "common": compare_runs(runs[2:5], baseline=0)}
    rows = [row for name, c in conditions.items() for row in summary(name, c)]
    text = terminal.in_text([summary_table(rows), *(brief.brief_table(c, name) for name, c in conditions.items())], columns)
    fits(text, columns, [*ARMS[:5], *conditions], ("arm", "OOD", "score", "verdict"))


def test_claim_check_on_filed_runs(columns):
    claims = load_claims()
    found = check([claims[name] for name in ("testbed-latent", "testbed-absent", "p2o-distillation-strict")], [BOARD])
    for table in (brief_claims_table(found), claims_table(found)):
        names = [name for a in found for name in (a.claim, a.verdict, *a.modifiers)]
        fits(terminal.in_text([table], columns), columns, names, ("claimed", "measured", "these questions", "seeds"))


def test_claim_list(capsys, columns):
    code, out, _ = harness(capsys, "claim", "list")
    assert code == 0
    fits(out, columns, load_claims(), ("claim", "claimed", "budget", "what it says"))


@pytest.mark.parametrize("what", LISTS)
def test_lists(capsys, columns, what, tmp_path, monkeypatch, runs):
    monkeypatch.chdir(tmp_path)
    for run in runs[:2]:
        shutil.copytree(run, Path("runs") / f"{LONG}-{run.name}")
    code, out, _ = harness(capsys, "list", what)
    assert code == 0
    rows = LISTS[what].rows()
    fits(out, columns, [row["run" if what == "runs" else "name"] for row in rows], [name for name, *_ in LISTS[what].shown])


def test_no_width_and_no_cell_breaks_a_table():
    """Random tables, wide characters among them, at any width from 20 on: every cell is there, whole or folded."""
    rng = random.Random(0)
    words = ("p2o", "無損失", "x" * 45, "+12.3†", "-100.0 to +100.0", "two words", "a\nb", "")
    for _ in range(300):
        n = rng.randint(1, 8)
        rows = [("arm", *(rng.choice(words) for _ in range(n))) for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.5:
            rows = [(rng.choice(["group", ""]) if i else "group", *row) for i, row in enumerate(rows)]
        header = tuple(f"head {i}" for i in range(len(rows[0])))
        align = "".join(rng.choice("lr") for _ in header)
        table = Table("title", header, align, rows, notes=("a note",), remarks={0: "below"})
        columns = rng.randint(20, 150)
        text = terminal.in_text([table], columns)
        assert max(map(cell_len, text.splitlines())) <= columns, (table, columns)
        folded = "".join(text.split())
        for cell in itertools.chain(*rows, ("title", "a note", "below")):
            assert all(word in folded or len(word) > 20 for word in cell.split()), (table, columns)


def test_a_pipe_has_80_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.width() == 80


def test_a_result_by_hand_is_shown_without_samples(capsys, columns):
    """No samples, so no interval: the cell is empty and the line says nothing of it."""
    from harness.stats.comparison import compare

    brief.print_comparison(compare([result("grpo")]))
    out = capsys.readouterr().out
    fits(out, columns, ["grpo"], ("score", "95% interval"))
    assert "grpo scores 50.0 out of distribution (3 seeds)." in out
