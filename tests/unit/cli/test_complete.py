"""What a shell is offered while a command is typed, by click's own protocol."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from harness.cli.main import cli
from harness.registry import methods, presets, recipes, studies
from harness.stats.claims import load_claims


def offered(*words):
    """The completions of the last word."""
    *before, typed = words
    found = ShellComplete(cli, {}, "harness", "_HARNESS_COMPLETE").get_completions(before, typed)
    return [item.value for item in found], {item.type for item in found}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--method", ""), {*methods(), *presets()}),
        (("run", "--recipe", ""), set(recipes())),
        (("config", "show", "--recipe", "qwen3"), {name for name in recipes() if name.startswith("qwen3")}),
        (("study", "run", ""), set(studies())),
        (("claim", "check", ""), set(load_claims())),
        (("claim", "show", "p2o-deepmath"), {"p2o-deepmath-5k", "p2o-deepmath-5k-strict"}),
        (("run", "--bench", "o"), {"ood", "olympiad"}),
        (("run", "--bench", "id,dr-i"), {"id,dr-id", "id,dr-items"}),
        (("eval", "smol"), {"smollm2-135m-instruct"}),
        (("run", "--set", "train.lr"), {"train.lr="}),
        (("run", "--method", "p2o", "--set", "p2o.min"), {"p2o.min_hard=", "p2o.mining="}),
        (("run", "--method", "p2o-book", "--set", "p2o.min_"), {"p2o.min_hard="}),
        (("run", "--method", "nonsense", "--set", "train."), set()),
    ],
)
def test_names_are_offered(words, expected):
    found, kinds = offered(*words)
    assert set(found) == expected and len(found) == len(expected) and kinds <= {"plain"}


def test_a_path_is_left_to_the_shell():
    assert offered("run", "--recipe", "./mine") == (["./mine"], {"file"})


def test_runs_are_those_below_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert offered("compare", "") == ([], set())
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "spec.json").write_text("{}")
    assert offered("compare", "runs") == (["runs/a"], {"plain"})
