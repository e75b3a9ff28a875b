"""Samples of a filed run that contradict graders, suite or each other: `verify` refuses them although every hash fits."""

import copy
import json
import shutil

import pytest

from harness.core.errors import HarnessError
from harness.leaderboard import build, submit
from harness.leaderboard.verify import verify_run
from support.boards import PROBLEMS, SUITE, make_run, reseal, sample_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    folder, _ = submit.add(make_run(root / "a"), root / "boards")
    build.build(root / "boards")
    return folder.relative_to(root), root


@pytest.fixture
def filed(made, tmp_path):
    shutil.copytree(made[1] / "boards", tmp_path / "boards")
    return tmp_path / made[0]


def each(**changes):
    """Every sample with these fields, in turn: as many forgeries as samples, of which each is refused."""

    def forge(rows, i):
        rows[i] |= changes
        return rows

    return forge


def repeated(rows, i):
    """A problem in another's place: every sample of one problem is the sample of its neighbour once more."""
    own, other = rows[i], rows[i - 2 if i % 320 >= 2 else i + 2]
    seed, index = own["seed"], own["index"]
    rows[i] = {**other, "seed": seed, "index": index}
    pair = i + 1 if i % 2 == 0 else i - 1
    rows[pair] = {**other, "seed": seed, "index": rows[pair]["index"]}
    return sorted(rows, key=lambda r: (r["seed"], r["problem"], r["index"]))


def unknown(name):
    """A problem that the suite does not have, for all seeds, with a gold answer of the forger's own."""

    def forge(rows, i):
        taken = rows[i]["problem"]
        for row in rows:
            if row["problem"] == taken:
                row |= {"problem": name, "gold": "7", "answer": "7", "completion": "ans 7", "score": 1.0, "status": "ok"}
        return sorted(rows, key=lambda r: (r["seed"], r["problem"], r["index"]))

    return forge


FORGERIES = {
    "another status than the graders give": each(status="unparsed"),
    "an answer that nobody can find, with the status of one that was read": each(
        completion="no answer here", answer=None, score=0.0, status="ok"
    ),
    "a status of no grader": each(status="splendid"),
    "a timeout that is right": each(status="timeout", score=1.0),
    "an error that is right": each(status="error", score=1.0),
    "a problem twice": repeated,
    "a problem that nobody knows": unknown("tb-long-99999"),
    "a problem of another suite": unknown("tb-id-00000"),
    "a problem beyond the suite's": unknown(f"tb-long-{SUITE.size:05d}"),
    "half a point": each(score=0.5),
    "more than a point": each(score=2.0),
    "another gold answer": each(gold="no"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_samples_are_refused(filed, name):
    """The forgery at a sample of every seed, of either index, its all sealed; without it, all is accepted."""
    folder, original = filed, sample_rows(filed)
    assert len(original) == 3 * 2 * len(PROBLEMS)
    for i in range(0, len(original), 137):
        rows = FORGERIES[name](copy.deepcopy(original), i)
        rewrite_metrics(folder, rows)
        folder = reseal(folder, rows)
        with pytest.raises(HarnessError):
            verify_run(folder)
    rewrite_metrics(folder, original)
    assert verify_run(reseal(folder, original)).samples == len(original)


@pytest.mark.parametrize("status", ["timeout", "error"])
def test_a_graders_failure_counts_as_wrong_and_is_counted(filed, status):
    """A grader may give up on one machine and not on another: the sample is accepted as wrong, never as right."""
    rows = sample_rows(filed)
    wrong, right = ([i for i, r in enumerate(rows) if r["score"] == score] for score in (0.0, 1.0))
    for i in wrong[:2] + right[:1]:
        rows[i] |= {"status": status, "score": 0.0}
    rewrite_metrics(filed, rows)
    assert verify_run(reseal(filed, rows)).faults == 3


def rewrite_metrics(folder, rows):
    """metrics.json as these samples give it: a careful forger's figures follow from his samples."""
    by = {}
    for row in rows:
        by.setdefault(row["seed"], []).append(row["score"])
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    own = metrics["suites"]["tb-long"]
    per_seed = {str(seed): sum(scores) / len(scores) for seed, scores in by.items()}
    pairs = [any(s >= 1 for s in scores[i : i + 2]) for scores in by.values() for i in range(0, len(scores), 2)]
    own |= {
        "avg": sum(per_seed.values()) / len(per_seed),
        "per_seed": per_seed,
        "pass_at": {"1": sum(r["score"] >= 1 for r in rows) / len(rows), "2": sum(pairs) / len(pairs)},
        "unparsed": sum(r["status"] == "unparsed" for r in rows) / len(rows),
        "grader_faults": sum(r["status"] in ("timeout", "error") for r in rows),
    }
    macro = metrics["macro"] | {"ood": own["avg"], "per_seed": {s: {"id": None, "ood": v} for s, v in per_seed.items()}}
    path.write_text(json.dumps({**metrics, "macro": macro}))
