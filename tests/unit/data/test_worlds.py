"""A second world, and a user's own training set, use all that the testbed uses without a line in the core."""

import json
from typing import Literal

import pytest
from pydantic import Field

from harness import registry
from harness.config import EvalSpec, RunSpec, resolve_eval
from harness.core.errors import MissingError, UsageError
from harness.core.hints import with_hint
from harness.core.types import Problem
from harness.core.world import World, WorldConfig
from harness.data import suites, training_sets
from harness.data.problems import content_sha256
from harness.data.suites import Suite
from harness.data.training_sets import load_training_set, solved_at
from harness.grading.golds import check_golds
from harness.grading.graders import Grade, grade_many
from harness.models import locate
from harness.run import execute, prepare
from harness.runs.rundir import RunDir
from harness.stats.comparison import compare_runs
from support.settings import resolve

WORDS = "p m sw ad run back".split()
"""Of the testbed's vocabulary, so that its policy can be trained here."""


class EchoConfig(WorldConfig):
    size: int = Field(8, ge=1)
    voice: Literal["loud", "low"] = "loud"


class Echo(World):
    """Say one word of a line once more."""

    section = "echo"
    Config = EchoConfig

    def problems(self):
        return [
            Problem(f"e{i}", f"{WORDS[i % 6]} : {i % 10}", WORDS[i % 6], f"{__name__}:grade") for i in range(self.config.size)
        ]

    def phrases(self):
        return ["please", "be brief"]

    def observe(self, rows):
        return {
            f"echo_rows_{self.config.voice}": float(len(rows)),
            "echo_before": float(rows[0].problem.hint_position == "before"),
        }

    def probe(self, policy, temperature):
        [[logp]] = policy.score([self.problems()[0].text], [WORDS[0]], temperature)
        return {"echo_logp": logp}


def questions(suite, first):
    return [Problem(f"q{i}", f"run : {i}", "run", suite.answer_type) for i in range(first, first + suite.size)]


def grade(pairs, workers, timeout_s):
    return [Grade(float(text.split()[-1:] == [gold]), "ok", text) for text, gold in pairs]


@pytest.fixture
def echo(monkeypatch):
    """The training set `echoes` of the world `echo`, and its suite `echo-id`."""
    here = __name__
    fields = {
        "title": "Echoes",
        "source": "a test",
        "file": None,
        "sha256": None,
        "licence": "none",
        "answer_type": f"{here}:grade",
        "prompt": "bare",
        "world": f"{here}:Echo",
        "solved_at": 0.25,
        "hint_position": "before",
        "answer_form": "= {answer}",
        "overlap": "exact",
        "phrases": ["now"],
        "id": ["echo-id"],
        "ood": [],
    }
    generator = {"function": f"{here}:questions", "first": 3}
    suite = Suite(
        "echo-id", "t", "s", None, "1", None, "none", 4, f"{here}:grade", "bare", 2, 1.0, 4, (), True, generator=generator
    )
    sha256 = content_sha256(questions(suite, 3))
    suite = Suite(**{**vars(suite), "sha256": sha256, "answer_form": "= {answer}", "overlap": "exact"})
    monkeypatch.setitem(registry.training_set_fields(), "echoes", fields)
    monkeypatch.setattr(training_sets, "_training_sets", training_sets._training_sets.__wrapped__)
    monkeypatch.setitem(suites._suites(), "echo-id", suite)
    return suite


def settings(*sets):
    return resolve("grpo", sets=["train.set=echoes", "model.id=elsewhere", "eval.bench=id", "seeds=[0]", *sets])


def test_its_settings_are_a_section_like_a_method_s(echo):
    spec = settings("echo.size=5")
    assert spec.model_dump(mode="json")["echo"] == {"size": 5, "voice": "loud"}
    assert RunSpec(**spec.model_dump(mode="json")) == spec and spec.hash() != settings().hash()
    assert spec.changed(settings().model_dump(mode="json")) == ["echo.size"]
    for wrong, words in [
        ("echo.siez=5", "'echo.siez'; did you mean 'echo.size'"),
        ("echo.size=0", "echo.size: Input"),
        ("eco.size=1", "'eco'"),
    ]:
        with pytest.raises(UsageError, match=words):
            settings(wrong)
    evaluation = resolve_eval([], ["echo.voice=low"], {"model": {"id": "elsewhere"}, "train_set": "echoes"}, {})
    assert evaluation.model_dump(mode="json")["echo"] == {"size": 8, "voice": "low"}


def test_a_spec_holds_its_own_world_and_the_testbed_s_only(echo):
    """The testbed's is in the specs of all runs made so far, whose hashes must not change."""
    other = resolve("grpo", sets=["echo.size=5"])
    assert set(other.model_dump()) - set(RunSpec.model_fields) == {"testbed"}
    assert set(settings().model_dump()) - set(RunSpec.model_fields) == {"testbed", "echo"}
    assert set(EvalSpec().model_dump()) - set(EvalSpec.model_fields) == {"testbed"}
    with pytest.raises(UsageError, match="greater than or equal to 1"):
        resolve("grpo", sets=["echo.size=0"])


def test_its_description_reaches_methods_tables_and_graders(echo):
    testbed = load_training_set("testbed")
    found = load_training_set("echoes")
    problems = found.problems(settings("echo.size=5"), None)
    assert [p.id for p in problems] == [f"e{i}" for i in range(5)]
    assert with_hint(problems[0], "think", "hint") == "think\n\np : 0" and problems[0].stated("x") == "= x"
    assert found.pieces() == ["please", "be brief", "now"]
    assert solved_at(["echoes", "echoes"]) == 0.25 and solved_at(["testbed"]) == testbed.solved_at == 0.5
    assert solved_at(["echoes", "testbed"]) is solved_at(["gsm8k"]) is solved_at(["nobody's"]) is None
    worlds = [{"testbed": {"world": name}} for name in ("latent", "open")]
    assert solved_at(["testbed"], worlds[:1]) == 0.5 and solved_at(["testbed"], worlds) is None
    assert solved_at(["testbed"], [{}]) == 0.5, "an evaluation does not say in which world its policy was trained"
    [right, wrong] = grade_many([("a = run", "run", echo.answer_type), ("run back", "run", echo.answer_type)])
    assert (right.score, wrong.score) == (1.0, 0.0)
    assert check_golds(echo, None) == {"n": 4, "accepted": 4, "rejected": [], "words": 0, "doubtful": []}


def test_what_a_reference_does_not_find_is_named(echo, monkeypatch):
    with pytest.raises(MissingError, match="grader of answer type 'nowhere:f' cannot be loaded"):
        grade_many([("a", "b", "nowhere:f")])
    broken = Suite(**{**vars(echo), "generator": {"function": "harness.core.types:nothing"}})
    with pytest.raises(MissingError, match="generator of suite 'echo-id' cannot be loaded"):
        broken.problems(None)
    with pytest.raises(UsageError, match="not those that are pinned"):
        Suite(**{**vars(echo), "size": 5}).problems(None)
    monkeypatch.setitem(registry.training_set_fields()["echoes"], "hint_position", "befor")
    with pytest.raises(UsageError, match="training_sets.yaml: echoes.hint_position: .*'before' or 'after'.*befor"):
        load_training_set("testbed")
    monkeypatch.setitem(registry.training_set_fields()["echoes"], "world", "nowhere:World")
    with pytest.raises(MissingError, match="world of training set 'echoes' cannot be loaded from nowhere:World"):
        settings()


def test_a_policy_that_knows_one_world_is_trained_on_nothing_else(echo):
    with pytest.raises(UsageError, match="the testbed policy knows only the testbed's words.*'echoes'"):
        settings("model.id=testbed")


def test_a_run_on_it_is_observed_and_told_from_a_solved_one(echo, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.training_set_fields()["echoes"], "id", ["tb-id"])  # lm-eval finds suites in benchmarks/ alone
    folder = locate(resolve("grpo"), offline=True)
    small = [
        "eval.limit=2",
        "train.epochs=1",
        "train.prompts_per_batch=4",
        "train.max_new_tokens=4",
        "train.rollouts_per_prompt=2",
    ]
    spec = settings(f"model.id={folder}", "echo.voice=low", *small)
    run = RunDir.new(spec, tmp_path / "run")
    result = execute(prepare(spec, None, True), run, [])
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [r["echo_rows_low"] for r in rows if r["kind"] == "batch"] == [8.0, 8.0]
    assert [r["echo_before"] for r in rows if r["kind"] == "batch"] == [1.0, 1.0]
    assert [r["echo_logp"] < 0 for r in rows if r["kind"] != "batch"] == [True]
    assert not any(key.startswith("branch") for row in rows for key in row)
    assert result.training_set == "echoes" and result.suites["tb-id"].role == "id"
    [arm] = compare_runs([run.path]).arms
    assert arm.scores["tb-id"].solved.share == float(arm.scores["tb-id"].mean >= 0.25)
