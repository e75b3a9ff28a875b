"""Parts of a run as one: the same, file by file, as the run that had all seeds in one command; what is no part is refused."""

import json
import os
import shutil
from functools import partial

import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.runs.environment import Code, read_environment, write_environment
from harness.runs.files import write_text
from harness.runs.formats import read, write
from harness.runs.result import load_result
from harness.runs.spec import StoredSpec
from harness.runs.sums import check_sums
from harness.stats.comparison import compare_runs
from harness.study.merge import merge
from support.command import harness
from support.trained import train


@pytest.fixture
def parts(tmp_path):
    return [train(tmp_path / "a", [3, 1]), train(tmp_path / "b", [0, 2])]


def contents(folder):
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_it_is_the_run_that_had_all_seeds_in_one_command(tmp_path, parts):
    before = [contents(part) for part in parts]
    whole, out = train(tmp_path / "whole", range(4)), tmp_path / "deep" / "out"
    out.parent.mkdir()
    found = merge(parts, out, "harness merge")
    assert found.seeds == (0, 1, 2, 3) and [contents(part) for part in parts] == before
    assert list(out.parent.iterdir()) == [out], "nothing else is left"
    mine, theirs = contents(out), contents(whole)
    assert {name for name in mine if not name.startswith("envs/")} == theirs.keys()
    assert {n for n in theirs if mine[n] != theirs[n]} == {"result.json", "env.json", "report.md", "report.html"}
    said, wanted = (json.loads(x["result.json"]) for x in (mine, theirs))
    assert said.pop("run") == str(out) and wanted.pop("run") == str(whole) and said == wanted
    pages = [x["report.md"].decode().split("## How it was made")[0] for x in (mine, theirs)]
    assert pages[0].replace("run out", "run whole") == pages[1]
    env = read_environment(out)
    assert env.commands == ["harness run 0 2", "harness run 3 1", "harness merge"] and env.remarks == []
    for seed, part in enumerate([parts[1], parts[0], parts[1], parts[0]]):
        assert mine[f"envs/s{seed}.json"] == (part / "env.json").read_bytes()
        check_sums(out / "ckpt" / f"s{seed}" / "final")
    table = compare_runs([out, whole]).arms
    assert table[0].scores == table[1].scores and table[0].budget == table[1].budget


def test_weights_take_no_room_twice_and_are_copied_where_no_link_can_be(tmp_path, parts, monkeypatch):
    final = "ckpt/s1/final/model.safetensors"
    merge(parts, tmp_path / "linked", "x")
    assert os.path.samefile(tmp_path / "linked" / final, parts[0] / final)

    def refuse(*paths):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    merge(parts, tmp_path / "copied", "x")
    assert contents(tmp_path / "copied").keys() == contents(tmp_path / "linked").keys()
    assert not os.path.samefile(tmp_path / "copied" / final, parts[0] / final)


def test_a_merged_run_is_a_part_again(tmp_path, parts):
    first = merge(parts, tmp_path / "first", "harness merge first")
    last = train(tmp_path / "c", [4])
    merge([last, tmp_path / "first"], tmp_path / "out", "harness merge last")
    whole = train(tmp_path / "whole", range(5))
    assert contents(tmp_path / "out")["samples/tb-id.jsonl"] == contents(whole)["samples/tb-id.jsonl"]
    assert load_result(tmp_path / "out").macro == load_result(whole).macro and first.seeds == (0, 1, 2, 3)
    commands = read_environment(tmp_path / "out").commands
    assert commands[-2:] == ["harness run 4", "harness merge last"] and "harness merge first" in commands
    assert len(list((tmp_path / "out" / "envs").iterdir())) == 5


def test_a_stopped_seed_keeps_its_stamp(tmp_path):
    parts = [train(tmp_path / "a", [0], stopped=[0]), train(tmp_path / "b", [1]), train(tmp_path / "c", [2], stopped=[2])]
    whole = train(tmp_path / "whole", range(3), stopped=[0, 2])
    found, wanted = merge(parts, tmp_path / "out", "x"), load_result(whole)
    assert found.not_a_result == wanted.not_a_result and found.stopped == wanted.stopped == {0: "NaN", 2: "NaN"}


def changed(path, **own):
    write_environment(path, replace(read_environment(path), **own))


def test_other_machines_are_shown(tmp_path, parts):
    packages = {**read_environment(parts[0]).packages, "openai": "0.1", "vllm": "9"}
    changed(parts[0], cpus=7, gpus="2 x NVIDIA H100", platform="Linux aarch64", started="2020-01-01", packages=packages)
    changed(parts[1], cpus=8, gpus=None, platform="Linux x86_64", remarks=["a server"])
    merge(parts, tmp_path / "out", "x")
    env = read_environment(tmp_path / "out")
    assert (env.cpus, env.gpus, env.platform) == (None, "2 x NVIDIA H100", "Linux x86_64 and Linux aarch64")
    assert env.started == "2020-01-01" and env.remarks[0] == "a server"
    one, other = env.remarks[1:]
    assert one.startswith("seeds 0, 2: platform Linux x86_64, cpus 8, gpus none,") and "vllm none" in one
    assert other.startswith("seeds 1, 3: platform Linux aarch64, cpus 7, gpus 2 x NVIDIA H100,") and "vllm 9" in other


@pytest.mark.parametrize(
    "own, said",
    [
        ({"packages": {"torch": "1.0"}}, "torch: 1.0 and .*"),
        ({"code": Code(commit="b" * 40, dirty=False)}, "code: bbbbbbbbbbbb and aaaaaaaaaaaa"),
        ({"code": Code(commit="a" * 40, dirty=True)}, "code: aaaaaaaaaaaa with changes and aaaaaaaaaaaa"),
        ({"model_revision": "c0ffee"}, "model_revision: c0ffee and none"),
        ({"rendering_sha256": "e" * 64}, "rendering_sha256: e+ and none"),
    ],
)
def test_other_versions_of_what_computes_are_refused_by_name_or_allowed(tmp_path, parts, own, said):
    packages = read_environment(parts[0]).packages
    for part in parts:
        changed(part, code=Code(commit="a" * 40, dirty=False))
    changed(parts[1], **{**own, **({"packages": {**packages, **own["packages"]}} if "packages" in own else {})})
    name = said.split(":")[0]
    with pytest.raises(UsageError, match=f"they differ in {said}; --allow-different NAME"):
        merge([parts[0], parts[1]], tmp_path / "out", "x")
    with pytest.raises(UsageError, match="'numpy' cannot be allowed"):
        merge(parts, tmp_path / "out", "x", ["numpy"])
    assert not (tmp_path / "out").exists()
    merge(parts, tmp_path / "out", "x", [name])
    env = read_environment(tmp_path / "out")
    assert any(name in line for line in env.remarks) and (env.code is None) == (name == "code")


def test_what_is_no_part_is_refused_and_nothing_written(tmp_path, parts, capsys):
    lr = train(tmp_path / "lr", [7], ["train.lr=1e-3"])
    twice = train(tmp_path / "twice", [5, 1])
    unfinished = shutil.copytree(parts[1], tmp_path / "unfinished")
    (unfinished / "result.json").unlink()
    there = set(tmp_path.iterdir())
    out = tmp_path / "out"
    a, b = parts
    for words, code, said in [
        ([], 2, "nothing to merge: name at least two runs"),
        ([a], 2, "nothing to merge: name at least two runs"),
        ([a, twice], 2, f"{a} and {twice} both hold seed 1"),
        ([a, a], 2, "both hold seed 1, 3"),
        ([a, lr], 2, f"{a} and {lr} are no parts of one run, they differ in train.lr"),
        ([a, unfinished], 1, f"the run at {unfinished} is unfinished; finish it with --resume"),
        ([a, tmp_path / "gone"], 3, "no run at"),
        ([a, b, "--out", a], 2, "already holds files; name another --out"),
    ]:
        found = harness(capsys, "merge", *words, *([] if "--out" in words else ["--out", out]))
        assert found[0] == code and said in found[2] and found[2].count("\n") == 1, found
    assert set(tmp_path.iterdir()) == there


def _rows(part):
    path = part / "samples" / "tb-id.jsonl"
    write_text(path, "".join(path.read_text().splitlines(keepends=True)[1:]))


def _data(part, **more):
    stored = read(part / "spec.json", StoredSpec)
    write(part / "spec.json", StoredSpec(hash=stored.hash, spec=stored.spec, data={**stored.data, **more}))


def _result(part, key, value):
    tree = json.loads((part / "result.json").read_text())
    tree[key] = value
    write_text(part / "result.json", json.dumps(tree))


@pytest.mark.parametrize(
    "spoil, error, said",
    [
        (_rows, HarnessError, "tb-id.jsonl holds 11 samples of seed 0, the run drew 12"),
        (lambda p: (p / "samples" / "tb-long.jsonl").unlink(), MissingError, "tb-long.jsonl is missing"),
        (lambda p: (p / "results" / "s2.json").unlink(), MissingError, "s2.json is missing"),
        (lambda p: (p / "results" / "s2.sha256").write_text("0"), HarnessError, "s2.json is damaged"),
        (lambda p: (p / "env.json").unlink(), MissingError, "env.json is missing"),
        (partial(_data, **{"suite 'tb-id'": "0"}), UsageError, "they differ in suite 'tb-id'"),
        (lambda p: _result(p, "problems_sha256", "0" * 64), UsageError, "they differ in problems_sha256"),
        (lambda p: _result(p, "not_a_result", "it is not"), UsageError, "they differ in why they are no results"),
    ],
)
def test_a_damaged_part_is_refused(tmp_path, parts, spoil, error, said):
    spoil(parts[1])
    with pytest.raises(error, match=said):
        merge(parts, tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


def test_a_merge_that_was_killed_leaves_nothing_that_counts(tmp_path, parts, monkeypatch):
    (tmp_path / ".merging-out" / "out" / "samples").mkdir(parents=True)
    write_text(tmp_path / ".merging-out" / "out" / "samples" / "tb-id.jsonl", "half")
    merge(parts, tmp_path / "out", "x")
    assert not (tmp_path / ".merging-out").exists() and len(load_result(tmp_path / "out").seeds) == 4
