"""Every forgery of tests/support/forgeries.py is named by `harness leaderboard verify`, and stops `build`."""

import re
import shutil

import msgspec
import pytest

from harness.core.errors import HarnessError
from harness.leaderboard import build, submit
from harness.leaderboard.verify import verify_run
from harness.stats.comparison import compare_runs
from support.boards import make_run
from support.command import harness
from support.forgeries import FORGERIES, READING, READING_FORGERIES, RULES_FORGERIES, forged


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A built board of two runs; the folder of one of them."""
    root = tmp_path_factory.mktemp("made")
    folder, _ = submit.add(make_run(root / "a"), root / "boards")
    submit.add(make_run(root / "b", "grpo", (1, 2, 3)), root / "boards")
    compared = compare_runs([root / "a", root / "b"]).to_dict()
    study = {"study": {"title": "A study", "text": "Of two arms."}, "results": {"comparisons": {"": compared}}}
    (root / "boards" / "testbed" / "study.json").write_bytes(msgspec.json.encode(study))
    (root / "boards" / "testbed" / "reading.md").write_text(READING)
    build.build(root / "boards")
    return folder.relative_to(root), root / "boards"


@pytest.fixture
def filed(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made[1], tmp_path / "boards")
    return tmp_path / made[0]


def test_what_is_forged_nowhere_passes(filed):
    """Refiling alone changes nothing that is found."""
    verify_run(forged(filed, lambda m, rows: rows))
    assert build.build(filed.parents[2]) and build.verify(filed.parents[2])


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named(filed, name, capsys):
    change, words = FORGERIES[name]
    forged(filed, change)
    code, _, err = harness(capsys, "leaderboard", "verify", filed.parents[2])
    assert code in (1, 2) and re.search(words, err) and len(err.splitlines()) == 1, err


@pytest.mark.parametrize("name", READING_FORGERIES)
def test_a_forged_reading_is_named(filed, name, capsys):
    file, old, new, words = READING_FORGERIES[name]
    path = filed.parents[1] / file
    text = path.read_text() if old else ""
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)
    code, _, err = harness(capsys, "leaderboard", "verify", filed.parents[2])
    assert code == 1 and re.search(words, err) and len(err.splitlines()) == 1, err


@pytest.fixture
def ruled(filed, capsys):
    """The board with a margin of 9 points."""
    (filed.parent / "rules.json").write_text('{"schema": 1, "margin": 9, "why": "It is large."}')
    build.build(filed.parents[2])
    return filed


@pytest.mark.parametrize("name", RULES_FORGERIES)
def test_rules_changed_after_building_are_named(ruled, name, capsys):
    text, words = RULES_FORGERIES[name]
    (ruled.parent / "rules.json").write_text(text)
    code, _, err = harness(capsys, "leaderboard", "verify", ruled.parents[2])
    assert code == 1 and re.search(words, err) and len(err.splitlines()) == 1, err


def test_a_board_says_its_margin_and_why_and_judges_by_it(ruled, capsys):
    """On the page, in its tables, in a comparison of its runs, and on the page of a study beside it, whose own margin is 1."""
    assert build.verify(ruled.parents[2])
    said = "The smallest difference that matters on this board is 9 points. It is large."
    for name in ("README.md", "index.html"):
        text = (ruled.parent / name).read_text()
        assert said in text and "beyond 9.0 points" in text
    assert "beyond 9.0 points" in (ruled.parents[1] / "study.md").read_text()
    runs = sorted(p.parent for p in ruled.parent.glob("*/manifest.json"))
    assert compare_runs(runs).margin == 0.09 and compare_runs(runs, margin=2).margin == 0.02
    code, out, _ = harness(capsys, "compare", *runs, "--json")
    assert code == 0 and msgspec.json.decode(out)["margin"] == 0.09
    elsewhere = ruled.parents[2] / "elsewhere" / runs[0].name
    shutil.copytree(runs[0], elsewhere)
    assert compare_runs([elsewhere, runs[1]]).margin == 0.01, "runs of two folders are no board's"


def test_a_study_beside_a_board_is_judged_by_the_boards_margin(filed):
    """A margin that suits a study's authors changes nothing on the page that is built: P2O leads by 25 points, its interval
    ends far above 9 and begins below it."""
    before = (filed.parents[1] / "study.md").read_text()
    path = filed.parents[1] / "study.json"
    tree = msgspec.json.decode(path.read_bytes())
    [found] = tree["results"]["comparisons"].values()
    found["margin"] = 0.9
    for arm in found["arms"]:
        for x in arm["contrasts"].values():
            x["verdict"] = "equivalent"
    path.write_bytes(msgspec.json.encode(tree))
    build.build(filed.parents[2])
    assert (filed.parents[1] / "study.md").read_text() == before


def test_a_reading_has_its_figures_from_the_tables(filed):
    """The scores that make_run gives by hand: 12 and 6 of 24 right, and two seeds of P2O at half or above."""
    lines = (filed.parents[1] / "README.md").read_text().splitlines()
    assert lines[7:9] == ["| p2o | 50.0 | 2/3 |", "| grpo | 25.0 | 0/3 |"]
    assert lines[10].startswith("P2O scores 50.0 points")
    [gain] = [x for x in compare_runs(sorted(p.parent for p in filed.parent.glob("*/manifest.json"))).arms if x.contrasts]
    new = gain.contrasts["macro:ood"].new
    assert lines[11] == f"+25.0 ({100 * new.low:+.1f} to {100 * new.high:+.1f})."


@pytest.mark.parametrize("name", ["reading", "README"])
def test_a_study_does_not_take_the_readings_place(filed, name):
    above = filed.parents[1]
    (above / "study.json").rename(above / f"{name}.json")
    with pytest.raises(HarnessError, match=f"{name}.md: is the reading's"):
        build.build(filed.parents[2])
    assert (above / "reading.md").read_text() == READING


def test_a_page_written_by_hand_is_refused(filed, capsys):
    """Without a reading.md nothing says where a README's figures come from."""
    (filed.parents[1] / "reading.md").unlink()
    code, _, err = harness(capsys, "leaderboard", "verify", filed.parents[2])
    assert code == 1 and "README.md: nothing checks its figures; write reading.md" in err


def test_a_run_that_contradicts_its_settings_stops_a_board_by_its_name(filed):
    """Forged roles ended in a message that named no run."""
    folder = forged(filed, FORGERIES["another role"][0])
    with pytest.raises(HarnessError, match=f"{folder}.*role is 'id'"):
        build.build(filed.parents[2])


@pytest.mark.parametrize("role", ["id", "other", "ood"])
def test_a_run_with_forged_roles_is_refused_where_it_is_compared(filed, role, capsys):
    import json

    m = json.loads((filed / "manifest.json").read_text())
    m["suites"]["tb-long"]["role"] = role  # the macro averages stay as they were
    (filed / "manifest.json").write_text(json.dumps(m))
    code, _, err = harness(capsys, "compare", *sorted(p.parent for p in filed.parent.glob("*/manifest.json")))
    assert code == (0 if role == "ood" else 1), err
    assert role == "ood" or ("disagree on whether there is a suite of role" in err and len(err.splitlines()) == 1)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_that_is_a_link_is_refused(filed, tmp_path, capsys, depth):
    folder = [filed, *filed.parents][depth]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    code, _, err = harness(capsys, "leaderboard", "verify", tmp_path / "boards")
    assert code == 1 and "is a link" in err


def test_a_folder_that_is_no_run_is_named(filed, capsys):
    (filed.parent / "extra").mkdir()
    code, _, err = harness(capsys, "leaderboard", "verify", filed.parents[2])
    assert code == 1 and "extra: does not belong to this board" in err
