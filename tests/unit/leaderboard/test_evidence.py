"""Evidence levels are derived: from samples, and from second runs that came out the same."""

import json
import random
import re
import shutil

import numpy as np
import pytest

from harness.core.errors import HarnessError, UsageError
from harness.leaderboard import build, submit
from harness.leaderboard.evidence import _same_curves, levels
from harness.report.plots import thin
from harness.runs.filed import Curve, read_manifest
from support.boards import make_run, sample_rows
from support.command import harness
from support.forgeries import refile


@pytest.fixture
def board(tmp_path):
    """A board of one run, and the run made again at another time."""
    folder, _ = submit.add(make_run(tmp_path / "a"), tmp_path / "boards")
    again = make_run(tmp_path / "again")
    env = json.loads((again / "env.json").read_text())
    (again / "env.json").write_text(json.dumps({**env, "started": "2026-03-04T05:06:07+00:00"}))
    for name in ("result.json", "ledger.json"):
        text = (again / name).read_text()
        (again / name).write_text(text.replace('"wall_seconds": 10.0', '"wall_seconds": 11.0').replace("30.0", "33.0"))
    return folder, again


def test_a_second_run_with_the_same_samples_makes_a_run_retrained(board, capsys):
    folder, again = board
    submit.add(again, folder.parents[2], beside=folder.parent)
    root = folder.parents[2]
    assert harness(capsys, "leaderboard", "build", root)[0] == 0
    assert harness(capsys, "leaderboard", "verify", root)[0] == 0
    said = (folder.parent / "README.md").read_text()
    assert "retrained" in said and "seeds 0, 1, 2: trained and evaluated again, all 960 samples the same" in said
    index = json.loads((folder.parent / "index.json").read_text())
    assert list(index["reproductions"]) == [read_manifest(folder).run] == list(index["manifests"])


def test_a_copy_of_the_run_is_no_second_run(board):
    folder, _ = board
    shutil.copytree(folder, folder.parent / "reproductions" / folder.name)
    with pytest.raises(HarnessError, match="started at .* as the run that it reproduces: it is no second run"):
        build.build(folder.parents[2])
    copy = folder.parent / "reproductions" / folder.name
    m = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**m, "started": "2026-03-04T05:06:07+00:00"}))
    with pytest.raises(HarnessError, match="took 10.0 seconds, as the run that it reproduces"):
        build.build(folder.parents[2])


def test_a_second_run_of_other_settings_or_scores_shows_nothing(board, tmp_path):
    folder, again = board
    other = make_run(tmp_path / "other", spec={"train": {"lr": 1.0}})
    at, _ = submit.add(other, folder.parents[2], beside=folder.parent)
    with pytest.raises(HarnessError, match="reproduces no run of this board"):
        levels([folder], [at])
    shutil.rmtree(at)
    at, _ = submit.add(again, folder.parents[2], beside=folder.parent)
    assert levels([folder], [at])[folder][0] == "retrained"
    m = json.loads((folder / "manifest.json").read_text())
    build.build(folder.parents[2])
    shutil.rmtree(at)
    rng = random.Random(0)
    rows = [{**r, "completion": f"ans {r['gold']}", "answer": r["gold"], "score": 1.0} for r in sample_rows(folder)]
    rows = [r if rng.random() < 0.9 else {**r, "completion": " ans no", "answer": "no", "score": 0.0} for r in rows]
    forged = refile(folder, m, rows)
    at, _ = submit.add(again, folder.parents[2], beside=forged.parent)
    with pytest.raises(HarnessError, match=r"does not reproduce .* standard error"):
        levels([forged], [at])


def test_second_runs_are_protected_by_the_index(board, capsys):
    folder, again = board
    at, _ = submit.add(again, folder.parents[2], beside=folder.parent)
    build.build(folder.parents[2])
    m = json.loads((at / "manifest.json").read_text())
    (at / "manifest.json").write_text(json.dumps({**m, "started": "2026-09-09T00:00:00+00:00"}))
    with pytest.raises(HarnessError, match="reproductions.*SHA-256 is .* index.json says"):
        build.verify(folder.parents[2])
    shutil.rmtree(at)
    with pytest.raises(HarnessError, match=r"names the run .* not there"):
        build.verify(folder.parents[2])


@pytest.mark.parametrize(("rows", "part"), [(107, 11), (60, 60), (53, 7), (300, 40), (61, 5)])
def test_curves_are_compared_point_by_point_however_they_were_thinned(rows, part, tmp_path):
    """The first rows of a long curve against its thinned points; one value changed is found."""
    rng = np.random.default_rng(0)
    x, y = [96.0 * (i + 1) for i in range(rows)], rng.random(rows).tolist()

    def filed(values):
        return [float(f"{v:.6g}") for v in thin(values, 60)]

    first = {"reward": [Curve(0, "batch", filed(x), filed(y))]}
    again = {"reward": [Curve(0, "batch", filed(x[:part]), filed(y[:part]))]}
    points, reach = _same_curves(first, again, (0,), tmp_path)
    assert points >= part // (rows // 60 + 1) - 1 and 0 < reach <= x[part - 1]
    changed = [*y[:part]]
    changed[0] += 0.01
    with pytest.raises(HarnessError, match="reward of seed 0 .* is not that of the filed run"):
        _same_curves(first, {"reward": [Curve(0, "batch", filed(x[:part]), filed(changed))]}, (0,), tmp_path)
    with pytest.raises(HarnessError, match="shares no point"):
        _same_curves(first, {"loss": again["reward"]}, (0,), tmp_path)


# ---------------------------------------------------------------------- pilots


def test_fewer_seeds_than_the_rule_are_a_pilot(tmp_path, capsys):
    root = tmp_path / "boards"
    pilot = make_run(tmp_path / "p", "gepa", (8, 8))
    code, _, err = harness(capsys, "leaderboard", "add", pilot, "--board", root)
    assert code == 2 and "has 2 of the 3 seeds that this board asks for" in err and not root.exists()
    for name, method, right in (("a", "p2o", (3, 5, 4)), ("b", "grpo", (1, 2, 3))):
        submit.add(make_run(tmp_path / name, method, right), root)
    [folder] = build.build(root)
    before = {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}
    assert harness(capsys, "leaderboard", "add", pilot, "--board", root, "--pilot")[0] == 0
    build.build(root)
    after = {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}
    for name in ("scores.csv", "scores.tex", "scores.svg"):
        assert before[name] == after[name], "ties, letters and intervals are those without the pilot"
    head, tail = after["README.md"].split("## Pilots")
    assert "gepa" not in head and re.search(r"gepa \| recomputed \| gepa-\S+ \| 0, 1 \|  \| 100\.0", tail)
    assert 'aria-label="Pilots"' in after["index.html"] and 'aria-label="Pilots"' not in before["index.html"]
    assert build.verify(root)


def test_a_board_of_pilots_alone(tmp_path):
    submit.add(make_run(tmp_path / "p", "grpo", (4,)), tmp_path / "boards", pilot=True)
    [folder] = build.build(tmp_path / "boards")
    assert "## Pilots" in (folder / "README.md").read_text() and build.verify(tmp_path / "boards")


def test_a_board_may_ask_for_more_seeds(tmp_path):
    root = tmp_path / "boards"
    submit.add(make_run(tmp_path / "a"), root)
    [folder] = build.build(root)
    (folder / "rules.json").write_text('{"schema": 1, "least_seeds": 4}')
    with pytest.raises(UsageError, match="has 3 of the 4 seeds"):
        submit.add(make_run(tmp_path / "b", "grpo"), root)
    build.build(root)
    assert "## Pilots" in (folder / "README.md").read_text() and build.verify(root)
    (folder / "rules.json").write_text('{"schema": 1, "seeds": 4}')
    with pytest.raises(HarnessError, match="rules.json cannot be read"):
        build.build(root)
