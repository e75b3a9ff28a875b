"""A result made of its seeds' results: roles, facts, figures by hand, what keeps scores from being quoted."""

import hashlib
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from harness.config import resolve_eval
from harness.core.errors import HarnessError, MissingError
from harness.core.ledger import Ledger
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.evaluation.evaluate import SuiteResult
from harness.evaluation.results import (
    Checklist,
    Told,
    combine,
    not_a_result_reason,
    reasons_by_settings,
    seed_result,
    what_was_told,
)
from support.results import sample
from support.settings import resolve

SCORES = {  # suite: its role for the training set `testbed`, and its score by seed
    "tb-id": ("id", {3: 1.0, 8: 0.0}),
    "tb-long": ("ood", {3: 0.0, 8: 0.5}),
    "tb-format": ("ood", {3: 1.0, 8: 1.0}),
    "rg-equations": ("other", {3: 0.5, 8: 0.0}),
}
TESTBED = load_training_set("testbed")


def suite_result(name, score, n=2, **own):
    """Two samples each of `n` problems, the first ones right until the mean is `score`."""
    right = round(score * 2 * n)
    rows = [
        sample(suite=name, problem=f"p{i // 2}", index=i % 2, score=float(i < right), tokens=i + 1, prompt_tokens=3)
        for i in range(2 * n)
    ]
    facts = {"temperature": 0.6, "max_new_tokens": 32, "limit": None, "seed": 5}
    return SuiteResult(suite=name, n=n, k=2, samples=rows, **{**facts, **own})


def combined(names=tuple(SCORES), flagged=None, identity=None, **own):
    """Of seeds 3 and 8, on these suites."""
    flagged = flagged or {}
    seeds = {
        seed: seed_result([suite_result(n, SCORES[n][1][seed], **own) for n in names], identity or {"engine": "a"}, flagged)
        for seed in (3, 8)
    }
    return combine(seeds, [load_suite(n) for n in names], TESTBED, flagged)


def test_a_suite_of_another_role_counts_in_neither_macro_average():
    found = combined()
    assert {name: s.role for name, s in found.suites.items()} == {name: role for name, (role, _) in SCORES.items()}
    assert (found.macro.id, found.macro.ood) == (0.5, (0.25 + 1.0) / 2)
    assert {seed: (m.id, m.ood) for seed, m in found.macro.per_seed.items()} == {3: (1.0, 0.5), 8: (0.0, 0.75)}
    assert found.identity["engine"] == "a" and set(found.identity) == {"engine", "graders"}
    alone = combined(["rg-equations"]).macro
    assert (alone.id, alone.ood) == (None, None)
    assert [(m.id, m.ood) for m in alone.per_seed.values()] == [(None, None)] * 2


def test_a_suite_says_what_it_is_and_how_it_was_sampled():
    flagged = {"tb-long": ["p1"], "rg-equations": ["p0", "p7"]}
    found = combined(flagged=flagged, n=3, temperature=0.9, max_new_tokens=77).suites
    for name, s in found.items():
        suite = load_suite(name)
        assert (s.title, s.data_sha256, s.flagged) == (suite.title, suite.data_sha256(None), flagged.get(name, []))
        assert (s.n, s.k, s.temperature, s.max_new_tokens) == (3, 2, 0.9, 77)
        assert s.per_seed == pytest.approx({seed: round(x * 6) / 6 for seed, x in SCORES[name][1].items()})
        assert s.prompt_tokens == 2 * 6 * 3 and s.generated_tokens == 2 * (1 + 2 + 3 + 4 + 5 + 6)
    assert found["tb-id"].avg_clean is None and found["tb-id"].per_seed_clean == {}
    assert found["rg-equations"].per_seed_clean == {3: 0.25, 8: 0.0}, "p0, of which both samples are right, is left out: 1 of 4"
    assert found["rg-equations"].avg_clean == 0.125


def test_the_data_are_those_of_the_folder_that_is_named(tmp_path):
    (tmp_path / "eval").mkdir()
    suite = replace(load_suite("aime24"), sha256=None)
    (tmp_path / suite.file).write_text('{"id": "1", "problem": "x", "answer": "1"}\n')
    seeds = {0: seed_result([suite_result("aime24", 1.0)], {}, {})}
    found = combine(seeds, [suite], TESTBED, {}, tmp_path).suites["aime24"]
    assert found.data_sha256 == hashlib.sha256((tmp_path / suite.file).read_bytes()).hexdigest()


def test_what_a_seed_reached():
    ledger = Ledger(rollouts=4)
    found = seed_result([suite_result("tb-id", 0.75)], {"engine": "a", "version": "2"}, {}, ledger, "entropy")
    packages = ("math-verify", "latex2sympy2-extended", "lm-eval")
    assert found.identity == {"engine": "a", "version": "2", "graders": {name: version(name) for name in packages}}
    assert (found.ledger, found.stopped) == (ledger, "entropy")
    own = found.suites["tb-id"]
    assert (own.avg, own.pass_at, own.n, own.k, own.temperature, own.max_new_tokens) == (0.75, {1: 0.75, 2: 1.0}, 2, 2, 0.6, 32)
    bare = seed_result([suite_result("tb-id", 0.75)], {}, {})
    assert (bare.ledger, bare.stopped) == (None, None)


def test_seeds_under_different_conditions_are_named_with_what_differs():
    seeds = {
        seed: seed_result([suite_result("tb-id", 1.0)], {"engine": engine, "version": v, "same": 0}, {})
        for seed, engine, v in ((2, "a", "1"), (5, "a", "1"), (9, "b", "2"))
    }
    with pytest.raises(HarnessError) as e:
        combine(seeds, [load_suite("tb-id")], TESTBED, {})
    assert str(e.value) == "seeds 2 and 9 were evaluated under different conditions: engine, version"


def test_why_scores_must_not_be_quoted():
    whole, limited = (resolve("grpo", flags={"eval": {"limit": n}}) for n in (None, 4))
    assert not_a_result_reason(whole) is None and not_a_result_reason(whole, None, "") is None
    only = "only the first 4 problems of each suite were evaluated (--limit)"
    assert not_a_result_reason(limited) == only and reasons_by_settings(limited) == [only]
    assert not_a_result_reason(limited, None, "the data are others", "a guard") == f"{only}; the data are others; a guard"
    assert not_a_result_reason(whole, "the data are others") == "the data are others"
    rehearsed = resolve("grpo", flags={"backend": {"rehearse": True}, "eval": {"limit": 4}})
    assert reasons_by_settings(rehearsed) == [only, "it is a rehearsal of the backend (--rehearse)"]
    evaluation = resolve_eval([], [], {"model": {"id": "testbed"}, "eval": {"limit": 4}}, {})
    assert reasons_by_settings(evaluation) == [only]


@pytest.mark.parametrize(
    ("reference", "solutions", "settings", "told"),
    [
        ("none", "human", {}, ("none", "none", None)),
        ("answer", "human", {}, ("answer", "none", None)),
        ("solution", "human", {}, ("solution", "human", None)),
        ("solution", None, {"teacher": {}}, ("solution", "none", "none")),
        ("solution", "human", {"teacher": {"kind": "reference"}}, ("solution", "human", "human")),
        ("none", None, {"teacher": {"kind": "replay", "model": "x"}}, ("none", "none", "a recording")),
        ("none", None, {"reflector": {"kind": "replay"}}, ("none", "none", "a recording")),
        ("none", None, {"reflector": {"kind": "openai", "model": "big"}}, ("none", "none", "big")),
        ("none", None, {"reflector": {"kind": "openai", "model": "own"}}, ("none", "none", None)),
        ("none", None, {"reflector": {"kind": "policy", "model": "big"}}, ("none", "none", None)),
    ],
)
def test_what_the_training_was_told(reference, solutions, settings, told):
    """By whom: the policy itself is nobody else, whoever serves it."""
    spec = SimpleNamespace(method_config=settings, model=SimpleNamespace(id="own"))
    method = SimpleNamespace(reference=reference)
    assert what_was_told(spec, replace(TESTBED, solutions=solutions), method) == Told(*told)


def test_all_that_is_missing_is_named_once():
    def missing(words):
        raise MissingError(words)

    check = Checklist([])
    check.settle()
    assert check.get(lambda: 3) == 3
    assert [check.get(lambda w=w: missing(w)) for w in ("no data", "no key", "no data")] == [None] * 3
    with pytest.raises(MissingError, match="^no data; no key$"):
        check.settle()
