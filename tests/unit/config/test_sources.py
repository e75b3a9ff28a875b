"""Recipes from files, what they extend, and where each value comes from."""

from __future__ import annotations

import json

import pytest
import yaml

from harness.config.sources import layers, origins
from harness.core.errors import MissingError, UsageError
from harness.core.trees import flatten
from support.command import harness
from support.settings import resolve


def write(path, **tree):
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def test_a_file_extends_a_recipe_and_another_file(tmp_path):
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "base.yaml", extends="smollm2", train={"lr": 1e-4, "epochs": 3})
    top = write(tmp_path / "mine.yaml", extends="below/base.yaml", train={"epochs": 4}, p2o={"min_hard": 5})
    spec, shipped = resolve("p2o", top), resolve("p2o", "smollm2")
    assert (spec.train.lr, spec.train.epochs, spec.method_config["min_hard"], spec.recipe) == (1e-4, 4, 5, "mine.yaml")
    same = {"train": {"lr", "epochs"}, "method_config": {"min_hard"}, "recipe": True}
    assert spec.model_dump(exclude=same) == shipped.model_dump(exclude=same)
    assert resolve("grpo", write(tmp_path / "alone.yml", train={"lr": 0.5})).train.lr == 0.5


def test_a_recipe_that_extends_and_adds_nothing_is_the_same_but_for_its_name(tmp_path):
    again = write(tmp_path / "again.yaml", extends="testbed")
    assert resolve("grpo", again).changed(resolve("grpo", "testbed").model_dump(mode="json")) == ["recipe"]


def test_every_value_has_the_origin_that_is_the_strongest(tmp_path):
    mine = write(tmp_path / "mine.yaml", extends="smollm2", train={"lr": 1e-4})
    more = tmp_path / "more.yaml"
    write(more, train={"epochs": 2, "lr": 1e-3})
    given = ("grpo-2x", mine, [more], ["train.epochs=7"], {"seeds": (5,)})
    found = origins(layers(*given))
    expected = {
        "train.lr": f"--config {more}",
        "train.epochs": "--set train.epochs=7",
        "train.rollouts_per_prompt": "preset grpo-2x",
        "train.limit": "recipe smollm2",
        "seeds": "command line",
    }
    assert {name: found[name] for name in expected} == expected and "train.loss.clip_low" not in found
    values = flatten(resolve(given[0], given[1], configs=given[2], sets=given[3], flags=given[4]).model_dump(mode="json"))
    assert values["train.lr"] == 1e-3 and values["train.epochs"] == 7 and values["train.rollouts_per_prompt"] == 16


@pytest.mark.parametrize(
    ("tree", "error", "words"),
    [
        ({"extends": "smolm2"}, UsageError, "unknown recipe 'smolm2'; did you mean 'smollm2'?"),
        ({"extends": "none.yaml"}, MissingError, "no recipe file .*none.yaml"),
        ({"extends": "mine.yaml"}, UsageError, "in a circle: .*mine.yaml"),
        ({"extends": ["a"]}, UsageError, "mine.yaml: extends must name a recipe or a file, not"),
        ({"train": {"lrr": 1}}, UsageError, "unknown setting 'train.lrr'; did you mean 'train.lr'?"),
        ({"method": "p2o"}, UsageError, "'method' cannot be set in a recipe"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, tree, error, words):
    with pytest.raises(error, match=words):
        resolve("grpo", write(tmp_path / "mine.yaml", **tree))


def test_a_file_that_is_named_like_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", train={"lr": 0.5})
    with pytest.raises(UsageError, match="unknown recipe 'mine'; for the file of this name, say ./mine"):
        resolve("grpo", "mine")
    assert resolve("grpo", "./mine").train.lr == 0.5


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("lr=1", "unknown setting 'lr'; did you mean 'train.lr'?"),
        ("epoch=1", "unknown setting 'epoch'; did you mean 'train.epochs'?"),
        ("p2o.dev_size=3", "unknown setting 'p2o.dev_size'; did you mean 'p2o.evolve.dev_size'?"),
        ("train.epoch=1", "unknown setting 'train.epoch'; did you mean 'train.epochs'?"),
        ("limit=1", "did you mean 'eval.limit' or 'train.limit'?"),
        ("zzz=1", "unknown setting 'zzz'; known: backend, "),
    ],
)
def test_a_setting_is_looked_for_in_the_whole_tree(capsys, item, words):
    code, _, err = harness(capsys, "run", "--method", "p2o", "--set", item, "--dry-run")
    assert code == 2 and words in err


def test_config_show(capsys, tmp_path):
    mine = write(tmp_path / "mine.yaml", extends="testbed", train={"lr": 0.25})
    sets = ("--set", "p2o.min_hard=9")
    code, out, _ = harness(capsys, "config", "show", "--method", "p2o", "--recipe", mine, *sets, "--json")
    rows = {r["setting"]: r for r in json.loads(out)}
    assert code == 0 and rows["train.lr"] == {"setting": "train.lr", "value": 0.25, "origin": f"recipe {mine}"}
    assert rows["p2o.min_hard"]["origin"] == "--set p2o.min_hard=9" and "train.loss.clip_low" not in rows
    code, out, _ = harness(capsys, "config", "show", "--method", "p2o", "--recipe", mine, *sets, "--all", "--json")
    everything = {r["setting"]: r for r in json.loads(out)}
    assert code == 0 and everything["train.loss.clip_low"]["origin"] == "default" and {**everything, **rows} == everything
    code, out, _ = harness(capsys, "config", "show", "--method", "grpo")
    assert code == 0 and "recipe skills" in out and "more are at their defaults; --all shows them" in out
