"""Training on problems with reference solutions alone: which are drawn, who is refused, and what is said of it."""

import json
import random

import pytest

from harness.core.errors import UsageError
from harness.core.hints import Coverage
from harness.data.training_sets import load_training_set
from harness.run import prepare
from support.paths import DATA
from support.settings import resolve

SET = {"train": {"set": "deepscaler", "limit": 40, "prompts_per_batch": 8}, "eval": {"bench": "aime24"}}


@pytest.fixture
def data(tmp_path):
    """A quarter of 240 problems with a solution; every tenth of these leaves no usable prefix."""
    rng = random.Random(0)
    rows = []
    for i in range(240):
        text = "First one looks at both sides. Then one adds them up. And so on it goes. " * 2
        solution = ("\\boxed{7}" if i % 40 == 0 else text) if i % 4 == 0 else None
        rows.append({"id": f"q{i:03}", "problem": f"What about {rng.random()}?", "answer": "7000", "solution": solution})
    (tmp_path / "train").mkdir()
    (tmp_path / "eval").mkdir()
    (tmp_path / "train" / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def deepscaler(monkeypatch, data):
    """The training set with that file in place of its own, and no suite to be read."""
    from dataclasses import replace

    own = replace(load_training_set("deepscaler"), file="train/d.jsonl", sha256=None)
    monkeypatch.setattr("harness.run.load_training_set", lambda name: own)
    monkeypatch.setattr("harness.run.chosen", lambda bench, training_set: [])
    return own


def settings(method, **train):
    return resolve(method, "qwen3-4b-deepscaler-5k", flags={**SET, "train": {**SET["train"], **train}})


def test_only_problems_with_solutions_are_drawn_the_same_for_every_arm(deepscaler, data):
    whole = deepscaler.whole(None, data)
    arms = [
        prepare(settings(m, with_solutions=True), data, True).problems for m in ("grpo", "p2o", "prefix-ladder", "self-hint")
    ]
    assert all(problems == arms[0] for problems in arms) and len(arms[0]) == 40
    solved = [p for p in whole if p.solution]
    assert len(solved) == 60 and {p.id for p in arms[0]} < {p.id for p in solved}
    assert [p.id for p in arms[0]] == sorted(p.id for p in arms[0])
    everything = prepare(settings("grpo", with_solutions=True, limit=None), data, True).problems
    assert everything == solved
    with pytest.raises(UsageError, match="60 problems, fewer than one batch"):
        prepare(settings("grpo", with_solutions=True, limit=None, prompts_per_batch=64), data, True)


def test_methods_that_are_told_solutions_are_refused_without_them(deepscaler, data):
    for method in ("prefix-ladder", "prefix-curriculum", "self-hint", "self-hint-original"):
        with pytest.raises(UsageError, match=f"^{method} needs reference solutions for 90%.*train.with_solutions=true"):
            prepare(settings(method), data, True)
        found = prepare(settings(method, with_solutions=True), data, True).plan
        drawn = prepare(settings("grpo", with_solutions=True), data, True).problems
        blank = sum("boxed" in p.solution for p in drawn) if method.startswith("prefix") else 0
        assert found.hints == Coverage(40, 40, 40 - blank)
        assert f"hints                   {found.hints}" in found.lines()
    for method in ("grpo", "p2o", "self-hint-answer", "critique-refine"):
        plan = prepare(settings(method), data, True).plan
        assert plan.hints is None and not any(line.startswith("hints") for line in plan.lines())


def test_what_keeps_a_run_from_being_a_result_is_in_its_plan(deepscaler, data):
    plan = prepare(settings("grpo"), data, True).plan
    assert plan.not_a_result.startswith("training set 'deepscaler' pins no file")
    assert plan.lines()[-1] == f"not a result            {plan.not_a_result}"


def test_a_run_on_pinned_data_is_none_unless_its_settings_say_otherwise():
    assert prepare(resolve("grpo", "testbed"), None, True).plan.not_a_result is None
    limited = prepare(resolve("grpo", "testbed", flags={"eval": {"limit": 3}}), None, True).plan
    assert limited.not_a_result == "only the first 3 problems of each suite were evaluated (--limit)"


@pytest.mark.parametrize("recipe", ["testbed", "skills", "smollm2"])
def test_sets_with_solutions_keep_working_as_they_are(recipe):
    """And the setting changes nothing there: the same problems, for every method."""
    for method in ("prefix-ladder", "prefix-curriculum", "self-hint", "sft-teacher"):
        sets = ["self-hint.writer=offline"] if recipe != "smollm2" else []
        specs = [resolve(method, recipe, sets=[*sets, f"train.with_solutions={x}"]) for x in ("false", "true")]
        plain, alone = (prepare(spec, None, True) for spec in specs)
        assert plain.problems == alone.problems and plain.plan == alone.plan
        hints = plain.plan.hints
        assert hints is None or hints.usable >= 0.9 * hints.problems


@pytest.mark.skipif(not (DATA / "train").is_dir(), reason="needs the data folder")
def test_deepscaler_has_solutions_for_a_quarter_of_its_problems():
    spec = resolve("prefix-ladder", "qwen3-4b-deepscaler-5k")
    problems = load_training_set("deepscaler").problems(spec, DATA)
    assert len(problems) == 5000 and sum(bool(p.solution) for p in problems) == 1261
    with pytest.raises(UsageError, match=r"1,237 of 5,000 training problems \(24.7%\) have a usable solution, 1,261 have one"):
        prepare(spec, DATA, True)
    hints = prepare(
        resolve("prefix-ladder", "qwen3-4b-deepscaler-5k", sets=["train.with_solutions=true"]), DATA, True
    ).plan.hints
    assert hints.problems == hints.solutions == 5000 and hints.usable > 4900


def test_a_set_without_solutions_says_so():
    spec = resolve("grpo", "testbed", sets=["train.with_solutions=true"])
    own = load_training_set("testbed")
    from dataclasses import replace

    class Bare(type(own)):
        def whole(self, spec, data_dir):
            return [replace(p, solution=None) for p in own.whole(spec, data_dir)]

    bare = Bare(**{f: getattr(own, f) for f in own.__dataclass_fields__})
    with pytest.raises(UsageError, match="no problem of training set 'testbed' has a reference solution"):
        bare.problems(spec, None)
