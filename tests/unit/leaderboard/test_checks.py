"""What is held against a run, check by check, in memory; test_forgeries.py has the same forgeries on disk."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import pytest
from msgspec import UNSET, structs

from harness.config import resolve_eval
from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.ledger import Ledger
from harness.core.text import visible
from harness.leaderboard import budget, checks, questions
from harness.leaderboard.budget import _contradictions, check_ledgers
from harness.leaderboard.checks import Content, check_run
from harness.leaderboard.declared import _of_evaluation, check_declared, method_of, problems_of
from harness.leaderboard.questions import prompts_of
from harness.runs.filed import Curve
from harness.runs.spec import typed_spec
from support.boards import PROBLEMS, SUITE
from support.forgeries import FORGERIES, field, ledgers, one, together, without_seed
from support.settings import resolve


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named(held_p2o, name):
    change, words = FORGERIES[name]
    with pytest.raises((HarnessError, UsageError)) as e:
        held_p2o.changed(change).check()
    assert re.search(words, str(e.value)), str(e.value)


def test_what_is_forged_nowhere_passes(held_p2o, held_gepa):
    assert held_p2o.check() == {"data": ("tb-long",)} == held_gepa.check()
    assert held_p2o.changed(lambda m, rows: rows).check() == {"data": ("tb-long",)}


def test_a_second_run_may_hold_any_seeds(held_p2o):
    part = held_p2o.changed(without_seed(0))
    part.curves = {name: [c for c in own if c.seed] for name, own in part.curves.items()}
    assert part.check(again=True) == {"data": ("tb-long",)}
    with pytest.raises(HarnessError, match=r"manifest.json: seeds is \[1, 2\], its settings give \[0, 1\]"):
        part.check()


MESSAGES = {
    "another temperature": "manifest.json: suites.tb-long.temperature is 0.1, its settings give 0.6",
    "another model": "manifest.json: model is 'qwen3-4b', its settings give 'testbed'",
    "negative tokens": "manifest.json: ledger of seed 0: generated_tokens is -1",
    "a stopped seed without the stamp": "manifest.json: not_a_result is None, but the training of seed 1 was stopped",
    "no training problems": (
        "manifest.json: not_a_result is None, but its training problems are not those of the set 'testbed'"
    ),
    "flagged problems invented": ("manifest.json: suites.tb-long.flagged is ['tb-long-00000'], the training problems give []"),
    "a problem that the suite does not have": (
        "samples/tb-long.jsonl.zst, problem tb-long-99999, seed 0, sample 0: the suite has no such problem"
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_whole_message(held_p2o, name):
    with pytest.raises(HarnessError) as e:
        held_p2o.changed(FORGERIES[name][0]).check()
    assert str(e.value) == f"{held_p2o.folder}/{MESSAGES[name]}"


def test_a_stamp_that_says_why_passes(held_p2o):
    stamp = "the training of seed 1 was stopped: NaN"
    held_p2o.changed(together(field("stopped", {"1": "NaN"}), field("not_a_result", stamp))).check()
    rehearsed = held_p2o.changed(together(field("spec.backend.rehearse", True), field("not_a_result", "something")))
    with pytest.raises(HarnessError, match="not_a_result is 'something', without: .*rehears"):
        rehearsed.check()


# ---------------------------------------------------------------------- ledgers

TRAINED = Ledger(
    rollouts=10272, prompt_tokens=195168, generated_tokens=52000, trained_tokens=52000, optimiser_steps=107, wall_seconds=10.0
)


def wrong(held, stopped=False, problems=None, spec=None, **own):
    tree = held.m["spec"] | (spec or {})
    return list(_contradictions(replace(TRAINED, **own), typed_spec(tree, held.folder), stopped, problems))


BATCH = 16 * 6
"""Rollouts of a batch of the run, one optimiser step."""


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({}, []),
        ({"search_rollouts": 10272, "optimiser_steps": 0}, []),
        (
            {"search_rollouts": 10273, "optimiser_steps": 0},
            ["rollouts is 10,272, less than its search_rollouts", "rollouts is 10,272, 0 optimiser steps imply 10,273 or more"],
        ),
        ({"discarded_rollouts": 10272}, []),
        ({"discarded_rollouts": 10273}, ["rollouts is 10,272, less than its discarded_rollouts"]),
        ({"discarded_rollouts": 4, "discarded_groups": 4}, []),
        ({"discarded_rollouts": 4, "discarded_groups": 5}, ["discarded_rollouts is 4, less than its discarded_groups"]),
        ({"prompt_tokens": 10272}, []),
        ({"prompt_tokens": 10271}, ["prompt_tokens is 10,271, less than one a rollout"]),
        ({"generated_tokens": 10272, "trained_tokens": 10272}, []),
        ({"generated_tokens": 10271, "trained_tokens": 10271}, ["generated_tokens is 10,271, less than one a rollout"]),
        ({"generated_tokens": 10272 * 24}, []),
        ({"generated_tokens": 10272 * 24 + 1}, ["rollouts is 10,272, less than its generated_tokens at full length"]),
        ({"trained_tokens": 107}, []),
        ({"trained_tokens": 106}, ["trained_tokens is 106, less than one a step"]),
        ({"trained_tokens": 52001}, ["generated_tokens is 52,000, less than its trained_tokens imply"]),
        ({"reflection_tokens": 3, "reflection_calls": 3}, []),
        ({"reflection_tokens": 3, "reflection_calls": 4}, ["reflection_tokens is 3, less than one a call"]),
        ({"optimiser_steps": 108}, ["rollouts is 10,272, 108 optimiser steps imply 10,368 or more"]),
        (
            {"search_rollouts": 1},
            ["rollouts is 10,272, 107 optimiser steps imply 10,273 or more"],
        ),
        ({"wall_seconds": 0.0}, ["wall_seconds is 0"]),
        ({"wall_seconds": float("inf")}, ["wall_seconds is inf"]),
        ({"wall_seconds": -1.0}, ["wall_seconds is -1.0"]),
    ],
)
def test_what_a_ledger_implies(held_p2o, own, found):
    assert wrong(held_p2o, **own) == found


def test_a_ledger_of_nothing_took_no_time(held_p2o):
    empty = {name: 0 for name in ("rollouts", "prompt_tokens", "generated_tokens", "trained_tokens", "optimiser_steps")}
    assert wrong(held_p2o, **empty, wall_seconds=0.0) == []
    assert wrong(held_p2o, **{**empty, "rollouts": 1, "prompt_tokens": 1, "generated_tokens": 1}, wall_seconds=0.0) == [
        "wall_seconds is 0"
    ]


def test_a_method_that_does_not_search(held_p2o):
    grpo = {"method": "grpo", "method_config": {}}
    assert wrong(held_p2o, spec=grpo) == []
    said = "search_rollouts is 1,000, and grpo does not search"
    assert said in wrong(held_p2o, spec=grpo, search_rollouts=1000, optimiser_steps=90)
    hard = {"train": {**held_p2o.m["spec"]["train"], "problems": "hard"}}
    assert wrong(held_p2o, spec={**grpo, **hard}, search_rollouts=1000, optimiser_steps=90) == []


def test_a_method_that_trains_nothing(held_gepa):
    none = {"optimiser_steps": 0, "trained_tokens": 0}
    assert wrong(held_gepa, **none, search_rollouts=10272) == []
    assert wrong(held_gepa, **{**none, "trained_tokens": 1}) == ["optimiser_steps is 0, and gepa trains nothing"]
    assert wrong(held_gepa, **{**none, "optimiser_steps": 1, "trained_tokens": 1}) == [
        "optimiser_steps is 1, and gepa trains nothing"
    ]
    empty = {**none, "rollouts": 0, "prompt_tokens": 0, "generated_tokens": 0}
    assert wrong(held_gepa, **empty) == ["rollouts is 0, and gepa searches"]
    assert wrong(held_gepa, stopped=True, **empty) == []


def test_a_training_goes_on_to_its_end_or_to_a_bound(held_p2o):
    """6 epochs of 16 whole batches of 96 rollouts are 9,216; the bound is 10,200."""
    grpo = {"method": "grpo", "method_config": {}}
    of = {"problems": 16 * 16 + 15, "spec": grpo}
    steps = {"prompt_tokens": 195168, "generated_tokens": 20000, "trained_tokens": 20000}
    assert wrong(held_p2o, **of, **steps, rollouts=96 * BATCH, optimiser_steps=96) == []
    assert wrong(held_p2o, **of, **steps, rollouts=95 * BATCH, optimiser_steps=95) == [
        "rollouts is 9,120, and its settings go on to 9,216, or to a bound that is not reached"
    ]
    assert wrong(held_p2o, stopped=True, **of, **steps, rollouts=95 * BATCH, optimiser_steps=95) == []
    assert wrong(held_p2o, spec=grpo, **steps, rollouts=95 * BATCH, optimiser_steps=95) == []
    bound = {**grpo, "train": {**held_p2o.m["spec"]["train"], "max_rollouts": 9120}}
    assert wrong(held_p2o, problems=256, spec=bound, **steps, rollouts=95 * BATCH, optimiser_steps=95) == []
    assert wrong(held_p2o, problems=256, spec=bound, **steps, rollouts=94 * BATCH, optimiser_steps=94) != []


def test_curves_stay_within_the_ledger(held_p2o):
    def curved(*curves):
        other = held_p2o.changed(lambda m, rows: rows)
        other.curves = {"reward": list(curves)}
        return other

    curved(Curve(0, "batch", [], []), Curve(1, "batch", [5.0, 10272.0], [0.0, 0.0])).check()
    curved(Curve(2, "batch", [10272.5, 5.0], [0.0, 0.0])).check()  # the mean of two rows, to six digits
    for curve, words in (
        (Curve(2, "batch", [10273.0, 5.0], [0.0, 0.0]), "reward of seed 2 goes on to 10273 rollouts"),
        (Curve(7, "batch", [1.0], [0.0]), "reward of seed 7 goes on to 1 rollouts"),
    ):
        with pytest.raises(HarnessError) as e:
            curved(curve).check()
        assert str(e.value) == f"{held_p2o.folder}/training.json: {words}, which its ledger does not have"


def test_an_evaluation_pays_nothing(held_p2o):
    spec = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    assert list(_contradictions(Ledger(), spec, False, None)) == []
    assert list(_contradictions(Ledger(rollouts=2, wall_seconds=0.5), spec, False, None)) == [
        "rollouts is 2 of an evaluation",
        "wall_seconds is 0.5 of an evaluation",
    ]


# ---------------------------------------------------------------------- questions


def test_a_template_is_what_the_last_search_of_the_seed_selected(held_gepa):
    spec = typed_spec(held_gepa.m["spec"], held_gepa.folder)
    problem = PROBLEMS[0]
    prompts = prompts_of(spec, held_gepa.templates, (0, 1, 2))
    assert prompts[1](problem) != problem.text and "a hint more" in prompts[1](problem)
    rows = [t.row for t in held_gepa.templates if t.row.seed == 1]
    at = next(t for t in held_gepa.templates if t.row.seed == 1 and t.row.selected)

    def asked(*own):
        return prompts_of(spec, [with_row(at, **x) for x in own], (1,))[1](problem)

    assert len(rows) == 4 and asked({"epoch": 0, "template": "first"}, {"epoch": 1, "template": "last"}) == asked(
        {"template": "last"}
    )
    assert "last" in asked({"template": "last"}) and asked({"template": "other", "seed": 0}) == asked()
    assert asked({"template": "a"}, {"template": "b"}) == asked(), "two of them say nothing"
    assert asked({"template": "a", "selected": False}) == asked()


def with_row(old, **own):
    """A template of which some entries of the row are others."""
    return structs.replace(old, row=structs.replace(old.row, **own))


def test_forged_templates_and_prompts_of_a_search_are_named(held_gepa):
    other = held_gepa.changed(lambda m, rows: rows)
    other.templates = [with_row(t, template="another") if t.row.selected else t for t in other.templates]
    with pytest.raises(HarnessError, match="its prompt is not what the suite and the run's settings give"):
        other.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one(at=5, prompt_sha256="0" * 63), "prompt_sha256 is '0{63}', its prompt gives '[0-9a-f]{64}'"),
        (one(at=5, gold="x"), "gold is 'x', the suite says"),
        (one(at=5, prompt_tokens=99), "prompt_tokens is [0-9]+, for the same prompt elsewhere [0-9]+"),
    ],
)
def test_a_row_is_named_with_its_place(held_p2o, change, words):
    changed = held_p2o.changed(change)
    with pytest.raises(HarnessError) as e:
        changed.check()
    row = changed.rows[5]
    place = f"samples/tb-long.jsonl.zst, problem {row['problem']}, seed {row['seed']}, sample [01]: "
    assert re.search(place + words + "$|" + place + words, str(e.value)), str(e.value)


def test_a_run_without_a_method_is_asked_the_bare_problem(held_p2o):
    spec = typed_spec(held_p2o.m["spec"], held_p2o.folder)
    found = prompts_of(spec, held_p2o.templates, (0, 4))
    assert sorted(found) == [0, 4] and found[4](PROBLEMS[3]) == PROBLEMS[3].text


# ---------------------------------------------------------------------- what it says of itself


def test_what_is_returned(held_p2o):
    spec, problems = check_declared(held_p2o.folder, held_p2o.manifest())
    assert spec == typed_spec(held_p2o.m["spec"], held_p2o.folder) and problems == 320
    assert problems_of(SUITE, None) is problems_of(SUITE, None) and len(problems_of(SUITE, None)) == 160
    assert method_of(spec, 3, 5).seed == 3 and len(method_of(spec, 3, 5).problems) == 5


def test_numbers_alone_have_no_questions(held_p2o):
    empty = Content(samples={}, curves={}, templates=[])
    assert check_run(held_p2o.folder, held_p2o.manifest(), empty) == {}


def test_ledgers_of_all_seeds_are_looked_at(held_p2o):
    def last(m, rows):
        m["ledgers"]["2"]["wall_seconds"] = -1.0

    with pytest.raises(HarnessError, match="ledger of seed 2: wall_seconds is -1.0"):
        held_p2o.changed(last).check()
    with pytest.raises(HarnessError, match="ledger of seed 0: wall_seconds is -1.0"):
        held_p2o.changed(ledgers(wall_seconds=-1.0)).check()


def test_what_an_evaluation_says_of_itself():
    spec = resolve_eval([], [], {"model": {"id": "maker/qwen"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    said = SimpleNamespace(method="m", recipe="r", teacher="t", identity={"engine": "vllm"})
    assert _of_evaluation(said, spec) == [
        ("identity.engine", "vllm", "transformers"),
        ("method", "m", "qwen"),
        ("recipe", "r", "evaluation"),
        ("teacher", "t", None),
    ]
    of_a_run = spec.model_copy(update={"run": "p2o-1"})
    said.identity = {}
    assert _of_evaluation(said, of_a_run)[0] == ("method", "m", "m"), "what trained it is not in its settings"


def test_greedy_answers_of_all_seeds_are_one_policys_where_a_model_is_evaluated(held_p2o, monkeypatch):
    spec = resolve_eval([], [], {"model": {"id": "testbed"}, "engine": {"name": "transformers"}}, {"seeds": [0]})
    asked = []
    for name in ("check_ledgers", "check_questions"):
        monkeypatch.setattr(checks, name, lambda *_: "data")
    monkeypatch.setattr(checks, "check_sampling", lambda *own: asked.append(own[3]))
    trained = typed_spec(held_p2o.m["spec"], held_p2o.folder)
    for own in (spec, spec.model_copy(update={"run": "p2o-1"}), trained):
        monkeypatch.setattr(checks, "check_declared", lambda *_, own=own: (own, None))
        held_p2o.check()
    assert asked == [True, False, False]


def test_questions_whose_data_are_not_at_hand_are_held_against_the_published_list(held_p2o, held_gepa, monkeypatch):
    where = held_p2o.folder / "rows"
    asked = [(f"svamp-{i}", sha256(f"q{i}".encode()).hexdigest(), str(i)) for i in range(3)]
    base = structs.replace(held_p2o.samples()["tb-long"][0], prompt=UNSET, seed=0, index=0)
    rows = [structs.replace(base, problem=p, prompt_sha256=h, gold=g) for p, h, g in asked]
    plain, searched = (typed_spec(x.m["spec"], x.folder) for x in (held_p2o, held_gepa))
    listed = {p: sha256(json.dumps([p, h, g]).encode()).hexdigest()[:16] for p, h, g in asked}

    def check(rows=rows, spec=plain, listed=listed, limit=None):
        spec = spec.model_copy(update={"eval": spec.eval.model_copy(update={"limit": limit})})
        monkeypatch.setattr(questions, "read_list", lambda suite: listed)
        return questions.check_questions("svamp", "0" * 64, rows, spec, {}, None, where)

    assert (check(), check(spec=searched), check(listed=None)) == ("list", "ids", "nothing")
    assert check(limit=3) == "list" == check(rows[:2], limit=2)
    told = "prompt and gold answer are not those of the suite's published list"
    unknown = "the suite has no such problem"
    other = [*rows[:2], structs.replace(rows[2], gold="9")]
    for own, problem, words in (
        ({"rows": other}, "svamp-2", told),
        ({"rows": [structs.replace(rows[0], prompt_sha256="0" * 64)]}, "svamp-0", told),
        ({"rows": [*rows, structs.replace(rows[0], problem="svamp-3")]}, "svamp-3", unknown),
        ({"limit": 2}, "svamp-2", unknown),
        ({"spec": searched, "limit": 1}, "svamp-1", unknown),
        ({"rows": [structs.replace(rows[1], prompt="q1")]}, "svamp-1", "prompts of this suite are not filed"),
    ):
        with pytest.raises(HarnessError) as e:
            check(**own)
        assert str(e.value) == f"{where}, problem {problem}, seed 0, sample 0: {words}"
    assert check(other, spec=searched) == "ids", "what a template asks is in no list"


def test_batches_of_several_steps_and_of_screened_problems(held_p2o):
    train = held_p2o.m["spec"]["train"]
    twice = {"method": "grpo", "method_config": {}, "train": {**train, "updates_per_batch": 2}}
    assert wrong(held_p2o, spec=twice, optimiser_steps=214) == []
    assert wrong(held_p2o, spec=twice, optimiser_steps=215) == ["rollouts is 10,272, 215 optimiser steps imply 10,368 or more"]
    hard = {"method": "grpo", "method_config": {}, "train": {**train, "problems": "hard"}}
    few = {"rollouts": 5 * BATCH, "optimiser_steps": 5, "generated_tokens": 5000, "trained_tokens": 5000}
    assert wrong(held_p2o, spec=hard, problems=256, **few) == [], "how many problems are hard is not known"


def test_every_check_is_given_what_it_needs(held_p2o, monkeypatch, tmp_path):
    """The data, whether it is a second run, and the file that an error is to name."""
    asked = {}

    def record(name):
        real = getattr(checks, name)

        def recorded(*own):
            asked[name] = own, (found := real(*own))
            return found

        monkeypatch.setattr(checks, name, recorded)

    for name in ("check_declared", "check_ledgers", "prompts_of", "check_complete", "check_questions", "check_sampling"):
        record(name)
    m, samples, folder = held_p2o.manifest(), held_p2o.samples(), held_p2o.folder
    content = Content(samples=samples, curves=held_p2o.curves, templates=held_p2o.templates)
    assert check_run(folder, m, content, tmp_path, True) == {"data": ("tb-long",)}
    spec = typed_spec(held_p2o.m["spec"], folder)
    rows, where = samples["tb-long"], folder / "samples" / "tb-long.jsonl.zst"
    prompts = asked["prompts_of"][1]
    assert {name: own for name, (own, _) in asked.items()} == {
        "check_declared": (folder, m, tmp_path, True),
        "check_ledgers": (folder, m, spec, held_p2o.curves, 320),
        "prompts_of": (spec, held_p2o.templates, m.seeds),
        "check_complete": (rows, 160, 2, m.seeds, where),
        "check_questions": ("tb-long", SUITE.sha256, rows, spec, prompts, tmp_path, where),
        "check_sampling": (samples, m.suites, m.seeds, False, folder),
    }


def test_suites_are_told_by_what_they_were_held_against(held_p2o, monkeypatch):
    m, rows = held_p2o.manifest(), held_p2o.samples()["tb-long"]
    several = structs.replace(m, suites={name: m.suites["tb-long"] for name in ("a", "b", "c")})
    for name in ("check_known", "check_ledgers", "check_sampling"):
        monkeypatch.setattr(checks, name, lambda *_: None)
    spec = typed_spec(held_p2o.m["spec"], held_p2o.folder)
    monkeypatch.setattr(checks, "check_declared", lambda *_: (spec, None))
    monkeypatch.setattr(checks, "check_questions", lambda name, *_: "list" if name == "b" else "data")
    content = Content(samples=dict.fromkeys("abc", rows), curves={}, templates=[])
    assert check_run(held_p2o.folder, several, content) == {"data": ("a", "c"), "list": ("b",)}


def test_suites_and_training_sets_from_outside_are_refused(held_p2o):
    m, nothing = held_p2o.manifest(), Content(samples={}, curves={}, templates=[])
    for changed, says in (
        (structs.replace(m, suites={"mine": m.suites["tb-long"]}), "suite 'mine' is not one of the harness's"),
        (structs.replace(m, training_set="own"), "training set 'own' is not one of the harness's"),
    ):
        with pytest.raises(HarnessError, match=f"{held_p2o.folder}: {says}, and a board has no cards of its own"):
            check_run(held_p2o.folder, changed, nothing)


def test_ledgers_are_held_seed_by_seed(held_p2o, monkeypatch):
    asked = []
    monkeypatch.setattr(budget, "_contradictions", lambda *own: asked.append(own) or ())
    m = SimpleNamespace(ledgers={0: "a", 4: "b"}, stopped={4: "NaN"})
    check_ledgers(held_p2o.folder, m, "spec", {}, 320)
    assert asked == [("a", "spec", False, 320), ("b", "spec", True, 320)]
    nothing = SimpleNamespace(ledgers={0: Ledger()}, stopped={})
    check_ledgers(held_p2o.folder, nothing, "spec", {"reward": [Curve(0, "batch", [], [])]}, None)  # no point, no rollout
    with pytest.raises(HarnessError) as e:
        check_ledgers(held_p2o.folder, nothing, "spec", {"a\x1b": [Curve(0, "batch", [1.0], [0.0])]}, None)
    words = f"{held_p2o.folder / 'training.json'}: a\x1b of seed 0 goes on to 1 rollouts, which its ledger does not have"
    assert str(e.value) == visible(words) != words
    monkeypatch.setattr(budget, "_contradictions", lambda *_: iter(["first", "second"]))
    with pytest.raises(HarnessError) as e:
        check_ledgers(held_p2o.folder, m, "spec", {}, 320)
    assert str(e.value) == f"{held_p2o.folder / 'manifest.json'}: ledger of seed 0: first"


def test_a_search_may_come_first_last_or_between(held_p2o):
    """What is searched counts on neither side of what the training goes on to."""

    def of(method, **own):
        """256 problems are 96 batches in 6 epochs, 9,216 rollouts."""
        tokens = {"prompt_tokens": 195168, "generated_tokens": 20000, "trained_tokens": 20000}
        spec = {"method": method, "method_config": resolve(method).model_dump(mode="json")["method_config"]}
        return wrong(held_p2o, spec=spec, problems=256, **{**tokens, **own})

    trained = {"rollouts": 9120, "optimiser_steps": 95}
    on = "and its settings go on to 9,216, or to a bound that is not reached"
    assert of("grpo", **trained) == [f"rollouts is 9,120, {on}"]
    assert of("prefix-curriculum", **trained) == [], "how many problems are hard is not known"
    assert of("gepa-grpo", **trained) == [], "its first search takes what it takes"
    assert of("grpo-gepa", rollouts=82 * BATCH, optimiser_steps=82) == [], "of 10,200, 2,400 are kept for the search"
    assert of("grpo-gepa", rollouts=80 * BATCH, optimiser_steps=80) == [f"rollouts is 7,680, {on}"]
    searched = {"search_rollouts": 2400}
    assert of("grpo-gepa", rollouts=82 * BATCH + 2400, optimiser_steps=82, **searched) == []
    assert of("grpo-gepa", rollouts=80 * BATCH + 2400, optimiser_steps=80, **searched) == [f"rollouts is 10,080, {on}"]
    assert of("p2o", rollouts=10200, optimiser_steps=95, search_rollouts=1080) == [], "its searches are paid from the bound"
    assert of("p2o", rollouts=10199, optimiser_steps=95, search_rollouts=1079) == [f"rollouts is 10,199, {on}"]
    released = {"method": "grpo-gepa", "method_config": {}}
    tokens = {"prompt_tokens": 195168, "generated_tokens": 20000, "trained_tokens": 20000}
    few = {**tokens, "rollouts": 50 * BATCH, "optimiser_steps": 50}
    assert wrong(held_p2o, spec=released, problems=256, **few) == [], "the released search grows with the problems"
    for method in ("gepa-grpo", "grpo-gepa", "p2o", "prefix-curriculum"):
        assert not any("does not search" in x for x in of(method, **trained, search_rollouts=1)), method
    assert of("sft-teacher", rollouts=0, prompt_tokens=0, generated_tokens=0, trained_tokens=5, optimiser_steps=5) == []


def row_said(held, at, **own):
    """What is said of the suite whose row `at` has these other entries, and that row's place."""
    other = held.changed(one(at=at, **own))
    with pytest.raises(HarnessError) as e:
        other.check()
    row = held.rows[at] | own
    file = held.folder / "samples" / "tb-long.jsonl.zst"
    at = f"{file}, problem {row['problem']}, seed {row['seed']}, sample {row['index']}: "
    assert str(e.value).startswith(at), str(e.value)
    return str(e.value).removeprefix(at)


def test_whole_messages_of_rows(held_p2o):
    row = held_p2o.rows[7]
    assert row_said(held_p2o, 7, gold="x") == f"gold is 'x', the suite says {row['gold']!r}"
    given = sha256(row["prompt"].encode()).hexdigest()
    assert row_said(held_p2o, 7, prompt_sha256="F" * 64) == f"prompt_sha256 is '{'F' * 64}', its prompt gives '{given}'"
    other = sha256(b"more").hexdigest()
    asked = row_said(held_p2o, 7, prompt="more", prompt_sha256=other)
    assert asked == "its prompt is not what the suite and the run's settings give"
    without = held_p2o.changed(lambda m, rows: [{k: v for k, v in r.items() if k != "prompt"} for r in rows])
    with pytest.raises(HarnessError) as e:
        without.check()
    first = held_p2o.rows[0]
    place = f"problem {first['problem']}, seed {first['seed']}, sample {first['index']}"
    assert str(e.value) == f"{held_p2o.folder / 'samples' / 'tb-long.jsonl.zst'}, {place}: its prompt is missing"


def test_the_form_of_a_row(held_p2o):
    """One prompt has one number of tokens; a hash is 64 lower-case digits. Nothing of it needs the problems."""
    base = structs.replace(held_p2o.samples()["tb-long"][0], prompt=UNSET, problem="p", seed=3, index=1, prompt_tokens=5)
    where = held_p2o.folder / "rows"
    svamp = questions.load_suite("svamp")

    def check(*rows):
        questions._check_form(svamp, [structs.replace(base, **own) for own in rows], where)

    a, b = "a" * 64, "b" * 64
    check({"prompt_sha256": a}, {"prompt_sha256": b, "prompt_tokens": 6}, {"prompt_sha256": a, "problem": "q"})
    for rows, words in (
        ([{"prompt_sha256": "A" * 64}], f"prompt_sha256 '{'A' * 64}' is none"),
        ([{"prompt_sha256": "a" * 63}], f"prompt_sha256 '{'a' * 63}' is none"),
        ([{"prompt_sha256": "a" * 65}], f"prompt_sha256 '{'a' * 65}' is none"),
        (
            [{"prompt_sha256": a}, {"prompt_sha256": a, "prompt_tokens": 6}],
            "prompt_tokens is 6, for the same prompt elsewhere 5",
        ),
        ([{"prompt_sha256": a, "prompt": "x"}], "prompts of this suite are not filed"),
    ):
        with pytest.raises(HarnessError) as e:
            check(*rows)
        assert str(e.value) == f"{where}, problem p, seed 3, sample 1: {words}"


def test_a_template_is_adopted_by_the_method_of_its_seed(held_gepa, monkeypatch):
    asked = []
    monkeypatch.setattr(questions, "method_of", lambda *own: asked.append(own) or method_of(*own))
    spec = typed_spec(held_gepa.m["spec"], held_gepa.folder)
    prompts_of(spec, held_gepa.templates, (2, 0))
    assert asked == [(spec, 2), (spec, 0)]


def test_data_are_at_hand_where_they_are_those_that_were_used(monkeypatch):
    asked = []

    def missing(data_dir):
        raise MissingError("not here")

    def found(said, data_sha256=lambda data_dir: asked.append(data_dir) or "a"):
        suite = SimpleNamespace(name="s", file="f", data_sha256=data_sha256, problems=lambda data_dir: ("problems", data_dir))
        return questions._at_hand(suite, said, "data")

    assert found("a") == ("problems", "data") and found("b") is None and found(None) is None
    assert found("a", missing) is None and asked == ["data"] * 3


def test_problems_of_the_data_are_those_within_the_limit(held_p2o, monkeypatch):
    asked, where = [], held_p2o.folder / "rows"
    monkeypatch.setattr(questions, "_check_form", lambda *own: asked.append(own))
    monkeypatch.setattr(questions, "_at_hand", lambda *own: asked.append(own) or PROBLEMS)
    monkeypatch.setattr(questions, "_check_data", lambda *own: asked.append(own))
    spec = typed_spec(held_p2o.m["spec"], held_p2o.folder)
    spec = spec.model_copy(update={"eval": spec.eval.model_copy(update={"limit": 3})})
    assert questions.check_questions("tb-long", "sha", ["row"], spec, {0: str}, "data", where) == "data"
    first = {p.id: p for p in PROBLEMS[:3]}
    assert asked == [(SUITE, ["row"], where), (SUITE, "sha", "data"), (first, ["row"], {0: str}, where)]
