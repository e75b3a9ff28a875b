"""Every file that a run, an evaluation and a board write fits its JSON Schema."""

import json
from fnmatch import fnmatch

import jsonschema

from harness.runs.filed import read_manifest, read_packed
from harness.runs.schema import FORMATS
from support.command import harness

RUN = {
    "result.json": "result",
    "spec.json": "spec",
    "env.json": "environment",
    "ledger.json": "ledger",
    "regrade.json": "regraded",
    "results/s*.json": "seed",
    "samples/*.jsonl": "sample",
    "metrics.jsonl": "metric",
    "templates/s*.jsonl": "template",
}
FILED = {
    "manifest.json": "manifest",
    "metrics.json": "metrics",
    "training.json": "curves",
    "templates.jsonl": "template",
    "samples/*.zst": "filed-sample",
}
OTHERS = (".lock", "rollouts/*", "ckpt/*", "results/*.sha256", "report.*")
"""Of a run: what is for a resume, for other programs, and for people."""


def fits(path, name, text=None):
    """How many values of a file were held against its schema."""
    text = path.read_text() if text is None else text
    values = [json.loads(line) for line in text.splitlines()] if FORMATS[name].lines else [json.loads(text)]
    validator = jsonschema.Draft202012Validator(FORMATS[name].schema())
    for value in values:
        validator.validate(value)
    return len(values)


def held(folder, known, others=()):
    """Names of the schemas that files of a folder were held against; fails for a file that no schema describes."""
    seen = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        at = str(path.relative_to(folder))
        if any(fnmatch(at, pattern) for pattern in others):
            continue
        [name] = [name for pattern, name in known.items() if fnmatch(at, pattern)]
        text = None
        if path.suffix == ".zst":
            text = read_packed(folder, read_manifest(folder), path.name.removesuffix(".jsonl.zst")).decode()
        if fits(path, name, text):
            seen.add(name)
    return seen


def test_files_of_a_run_fit_their_schemas(tmp_path, capsys):
    run = tmp_path / "run"
    small = ["--set", "testbed.problems=32", "--set", "train.epochs=2", "--set", "train.max_rollouts=null"]
    small += ["--set", "p2o.min_hard=2", "--set", "p2o.evolve.metric_calls=40", "--set", "p2o.evolve.dev_size=8"]
    code, _, err = harness(capsys, "run", "--method", "p2o", "--bench", "tb-id,tb-long", "--limit", 3, "--out", run, *small)
    assert code == 0, err
    assert harness(capsys, "regrade", run)[0] == 0
    assert held(run, RUN, OTHERS) == set(RUN.values())
    code, _, err = harness(capsys, "eval", run, "--bench", "tb-id", "--limit", 3, "--out", tmp_path / "eval")
    assert code == 0, err
    assert held(tmp_path / "eval", RUN, OTHERS) == {"result", "spec", "environment", "seed", "sample"}
    code, out, err = harness(capsys, "leaderboard", "add", run, "--board", tmp_path / "b", "--allow-not-a-result", "--json")
    assert code == 0, err
    assert held(tmp_path / "b" / json.loads(out.splitlines()[-1])["folder"], FILED) == set(FILED.values())
    assert harness(capsys, "leaderboard", "build", tmp_path / "b")[0] == 0
    [index] = (tmp_path / "b").glob("*/*/index.json")
    assert fits(index, "index") == 1
