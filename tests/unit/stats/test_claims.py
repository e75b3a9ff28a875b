"""The verdict rule, case by case; what makes a claim unassessable; the claims that are shipped."""

import dataclasses
import json
import math
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import norm, ttest_ind
from scipy.stats import t as student

from harness.config import resolve
from harness.core.errors import MissingError, UsageError
from harness.data.suites import load_suite
from harness.runs.result import load_result
from harness.stats import intervals
from harness.stats import judge as judging
from harness.stats.arms import check_identity
from harness.stats.assess import _differences, _gather, _ineligible, _with_correction, check
from harness.stats.chances import seeds_to_see
from harness.stats.claims import Claim, choose, claims_dir, load_claims
from harness.stats.comparable import CLAIMED, differing
from harness.stats.evidence import Evidence
from harness.stats.judge import _Gain, _modifiers
from harness.stats.looks import level_at
from harness.stats.questions import load_questions
from harness.study.file import as_sets, load_study
from support.command import harness
from support.runs import make_run

SUITE = "tb-long"
SIZE, K = load_suite(SUITE).size, load_suite(SUITE).k


def claim(effect=10.0, name="mine", grader="primary", settings=None, **more):
    tree = {
        "name": name,
        "text": "P2O beats GRPO.",
        "source": "here",
        "metric": "avg@k",
        "suites": [SUITE],
        "effect": effect,
        "training_set": "testbed",
        "recipe": "testbed",
        "settings": settings or {},
        "grader": grader,
        "kinds": False,
        "arms": {"arm": {"method": "p2o"}, "baseline": {"method": "grpo"}},
        **more,
    }
    return Claim.model_validate(tree)


STANDARD = claim()


def runs(path, gain=10.0, seeds=3, seed_sd=1.0, parity=None, c=None, seed=0, **more):
    """Two runs of the claim's arms, `gain` points apart by construction; `parity` is the gain under the other grader."""
    c = c or STANDARD
    out = []
    for side, method in (("arm", "p2o"), ("baseline", "grpo")):
        offsets = seed_sd / 100 * np.array([-1, 0, 1, 0.5, -0.5, 0.2, -0.2][:seeds]) if seed_sd else np.zeros(seeds)

        def cells(points, offsets=offsets, side=side):
            share = 0.3 + (points / 100 if side == "arm" else 0) + offsets
            right = np.zeros((seeds, SIZE * K), bool)
            for row, x in zip(right, share, strict=True):
                row[: round(x * SIZE * K)] = True
            return right.reshape(seeds, SIZE, K)

        spec = c.specs[side].model_dump(mode="json") | {"seeds": list(range(seeds))}
        extra = more if side == "arm" else {k: v for k, v in more.items() if k not in ("rollouts", "stamp")}
        out.append(
            make_run(
                path / f"{method}-{gain}-{parity}-{seed}",
                method,
                cells(gain),
                None if parity is None else cells(parity),
                name=SUITE,
                spec=spec,
                **extra,
            )
        )
    return out


@pytest.mark.parametrize(
    ("gain", "sd", "seeds", "expected"),
    [
        (10, 1, 3, "reproduced"),
        (16, 1, 3, "reproduced"),
        (4, 1, 3, "gain, below the claim"),
        (0, 1, 5, "no gain"),
        (-10, 1, 3, "contradicted"),
        (0, 1, 3, "undecided"),
        (8, 8, 3, "undecided"),
    ],
)
def test_verdicts_from_run_directories(tmp_path, gain, sd, seeds, expected):
    paths = runs(tmp_path, gain, seeds=seeds, seed_sd=sd)
    [a] = check([STANDARD], paths)
    assert (a.verdict, a.seeds, a.reasons) == (expected, {"arm": seeds, "baseline": seeds}, ())
    cells = [load_questions(load_result(p))[SUITE].scores_S_Q for p in paths]
    fixed = ttest_ind(*(y.mean(1) for y in cells), equal_var=False).confidence_interval()
    assert (a.fixed.low, a.fixed.high) == pytest.approx(tuple(100 * x for x in fixed))
    assert a.new.low <= a.fixed.low and a.new.high >= a.fixed.high
    assert ("generalises" in a.modifiers) == (expected in ("reproduced", "gain, below the claim") and a.new.low > 0)
    assert ("larger" in a.modifiers) == (gain == 16)
    assert a.difference == pytest.approx(gain, abs=0.1)
    if gain == 8:
        needed = seeds_to_see(10.0, 1.0, a.fixed.se / (2 / 3) ** 0.5)
        assert f"{needed} to see it and more than 200 to exclude 1 if there is none at a seed sd of 8.0" in a.needs[0]


def test_a_verdict_does_not_depend_on_the_claims_beside_it(tmp_path):
    second = claim(name="second", settings={"testbed.world": "open"})
    paths = [*runs(tmp_path, 10), *runs(tmp_path, 2.6, c=second, seed=4)]
    [alone] = check([second], paths)
    first, b, none = check([STANDARD, second, claim(name="third", settings={"testbed.world": "absent"})], paths)
    assert (b.verdict, b.fixed, b.level) == (alone.verdict, alone.fixed, alone.level) and none.level is None
    assert b.p_adjusted == b.p and first.p_adjusted == 2 * first.p, "Holm over the two that could be assessed"
    many = [claim(name=f"n{i}", settings={"testbed.world": "open"}) for i in range(3)]
    assert 0.05 / 3 < b.p < 0.05 and all("one-of-many" in a.modifiers for a in check(many, paths))


def test_more_looks_leave_less_to_each(tmp_path):
    paths = runs(tmp_path, 10)
    [once], [thrice] = check([STANDARD], paths), check([claim(looks=[3, 5, 8])], paths)
    assert (once.level, thrice.level) == (0.05, level_at(3, (3, 5, 8)))
    assert thrice.fixed.low < once.fixed.low and thrice.look.startswith("look 1 of 3") and not once.look


def test_between_the_looks_there_is_no_verdict(tmp_path):
    planned = claim(looks=[3, 5, 6])
    said = [check([planned], runs(tmp_path, 10, seeds=n, seed=n))[0] for n in (3, 4, 5, 6, 7)]
    assert [a.verdict for a in said] == ["reproduced", "not assessable", "reproduced", "reproduced", "not assessable"]
    assert "the next is at 5, what 3 said stands until then" in said[1].reasons[0]
    assert "the plan ends at 6, where all of the level is spent" in said[4].reasons[0]
    [added] = check([claim(looks=[3, 4, 5, 6])], runs(tmp_path, 10, seeds=4, seed=40))
    assert added.level == level_at(4, (3, 4, 5, 6)) and added.verdict == "reproduced"


def greedy_runs(path, sampled, greedy, c, seeds=3, parity=None, **more):
    """Two runs of k = 4 samples and a greedy answer a problem: the arm's gains in points under either."""
    out = []
    for side, method in (("arm", "p2o"), ("baseline", "grpo")):

        def right(points, K, side=side):
            cells = np.zeros((seeds, SIZE * K), bool)
            for s, row in enumerate(cells):
                row[: round((0.3 + 0.01 * s + (points / 100 if side == "arm" else 0)) * SIZE * K)] = True
            return cells.reshape(seeds, SIZE, K)

        spec = c.specs[side].model_dump(mode="json") | {"seeds": list(range(seeds))}
        other = None if parity is None else right(parity, 1)[:, :, 0]
        out.append(
            make_run(
                path / method,
                method,
                right(sampled, K),
                None if parity is None else right(parity, K),
                greedy=(right(greedy, 1)[:, :, 0], other),
                name=SUITE,
                spec=spec,
                **more,
            )
        )
    return out


def test_a_score_is_taken_as_the_claim_has_it(tmp_path, monkeypatch):
    """A gain of 10 points among samples, none among greedy answers, and the other way round."""
    with_greedy = dataclasses.replace(load_suite(SUITE), greedy=True)
    monkeypatch.setattr("harness.data.suites.load_suite", lambda name: with_greedy)
    sampled, greedy = claim(metric="avg@4", temperature=0.6), claim(metric={SUITE: "greedy"})
    paths = greedy_runs(tmp_path / "a", 10, 0, sampled)
    [a], [b] = check([sampled], paths), check([greedy], paths)
    assert (a.difference, b.difference) == (pytest.approx(10, abs=0.2), 0)
    assert a.verdict == "reproduced" and b.verdict == "undecided" and b.scores["baseline"] == pytest.approx(31, abs=0.4)
    paths = greedy_runs(tmp_path / "b", 0, 10, greedy, parity=4)
    assert check([greedy], paths)[0].difference == pytest.approx(10, abs=0.4)
    assert check([claim(metric="greedy", grader="parity")], paths)[0].difference == pytest.approx(4, abs=0.5)


def test_a_run_that_answered_otherwise_is_not_assessable(tmp_path, monkeypatch):
    paths = runs(tmp_path)
    with_greedy = dataclasses.replace(load_suite(SUITE), greedy=True)
    monkeypatch.setattr("harness.data.suites.load_suite", lambda name: with_greedy)
    for change, wanted in (({"metric": "greedy"}, "greedy"), ({"metric": "avg@8"}, "avg@8"), ({"temperature": 1.0}, "T=1")):
        [a] = check([claim(**change)], paths)
        assert a.verdict == "not assessable" and not a.missing
        assert any(f"has avg@4 at T=0.6 on {SUITE}, the claim is about" in r and wanted in r for r in a.reasons)
        assert any(line.startswith("harness run --method p2o") for line in a.needs)


def test_what_an_arm_is_published_to_spend_is_read_off_the_ledger(tmp_path):
    paths = runs(tmp_path, rollouts=1500)

    def with_spends(rollouts):
        arms = {"arm": {"method": "p2o", "spends": {"rollouts": rollouts}}, "baseline": {"method": "grpo"}}
        return claim(budget="any", arms=arms)

    assert check([with_spends(1500)], paths)[0].verdict == "reproduced"
    assert check([with_spends(1430)], paths)[0].verdict == "reproduced", "equal to 5%"
    [a] = check([with_spends(1400)], paths)
    assert a.verdict == "not assessable" and "has 1,500 rollouts per seed, the claim's arm 1,400" in a.reasons[0]


def test_where_seeds_solve_a_suite_or_do_not_their_shares_are_compared(tmp_path):
    paths = runs(tmp_path, 60, seeds=5)
    [a] = check([claim(effect=60.0, kinds=None)], paths)  # 30 against 90: a threshold of a half lies between
    assert a.rule == "shares" and "two-kinds-of-seeds" in a.modifiers and a.verdict == "reproduced"
    [b] = check([claim(effect=60.0)], paths)
    assert b.rule == "Welch" and b.fixed.high - b.fixed.low < a.fixed.high - a.fixed.low


def test_the_same_score_with_fewer_tokens(tmp_path):
    fewer = {"effect": 0, "tokens": 0.5, "budget": "any", "margin": 2.0}
    half, equal = (runs(tmp_path, 0, seeds=5, rollouts=n, seed=n) for n in (500, 1000))
    assert check([claim(**fewer)], half)[0].verdict == "reproduced"
    assert check([claim(**{**fewer, "tokens": 0.25})], half)[0].verdict == "gain, below the claim"
    assert check([claim(**fewer)], equal)[0].verdict == "no gain"
    assert check([claim(**fewer)], runs(tmp_path, -10, seeds=5, rollouts=500))[0].verdict == "contradicted"
    assert check([claim(**{**fewer, "margin": 0.2})], half)[0].verdict == "undecided", "equal scores are not shown yet"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seeds": 2}, "2 seeds; at least 3 are needed"),
        ({"rollouts": 1500}, "unequal budget: rollouts 1,500 against 1,000 per seed; unequal budget: sampled tokens"),
        ({"stamp": "only some"}, "is not a result: only some"),
    ],
)
def test_not_assessable(tmp_path, more, words):
    [a] = check([STANDARD], runs(tmp_path, **more))
    assert a.verdict == "not assessable" and words in "; ".join(a.reasons)
    assert any("seeds per arm" in line for line in a.needs) and a.difference is None and not a.missing


def test_budget_that_need_not_be_equal_is_a_modifier(tmp_path):
    paths = runs(tmp_path, rollouts=1500)
    [a] = check([claim(budget="any")], paths)
    assert a.verdict == "reproduced" and a.modifiers["budget-mismatch"].startswith("rollouts 1,500 against 1,000")
    [b] = check([claim(budget="rollouts")], paths)
    assert b.verdict == "not assessable"


def test_grader_of_the_claim_and_the_other_one(tmp_path):
    paths = runs(tmp_path, gain=10, parity=0, seeds=5)
    [a] = check([STANDARD], paths)
    assert (a.verdict, a.modifiers["grader-sensitive"]) == ("reproduced", "under the parity grader: no gain")
    [b] = check([claim(grader="parity")], paths)
    assert (b.verdict, b.modifiers["grader-sensitive"]) == ("no gain", "under the primary grader: reproduced")
    [c] = check([STANDARD], runs(tmp_path, gain=10, parity=9.5))
    assert "grader-sensitive" not in c.modifiers
    [d] = check([claim(grader="parity")], runs(tmp_path, seed=5))
    assert d.verdict == "not assessable" and "no grades by the claim's grader on tb-long" in d.reasons


def test_contaminated_problems_are_left_out_to_see(tmp_path):
    """All of the gain is in problems that the training set holds too."""
    first = {f"p{i:03d}" for i in range(round(0.29 * SIZE), round(0.42 * SIZE))}
    paths = runs(tmp_path, flagged=sorted(first), seeds=5)
    [a] = check([STANDARD], paths)
    assert a.verdict == "reproduced"
    assert a.modifiers["contaminated"] == f"{len(first)} problems match training problems; without them: no gain"


def test_contaminated_problems_go_with_their_families(tmp_path):
    """Two problems a family; the families of those that are left out are not asked for."""
    first = [f"p{i:03d}" for i in range(round(0.29 * SIZE), round(0.42 * SIZE))]
    clusters = {f"p{i:03d}": f"f{i // 2}" for i in range(SIZE)}
    [a] = check([STANDARD], runs(tmp_path, flagged=first, clusters=clusters, seeds=5))
    assert a.modifiers["contaminated"] == f"{len(first)} problems match training problems; without them: no gain"
    there = f"there are {SIZE // 2} of {SUITE}"
    assert a.modifiers["new-families"] == f"new questions are of new families: {there}"


def evidence(tmp_path, c=STANDARD, change=lambda results: results, **more):
    """What is known of a claim, with results that a function of both changes."""
    found = _gather(c, [load_result(p) for p in runs(tmp_path, c=c, **more)], False)
    return dataclasses.replace(found, results=tuple(change(found.results)))


def told(x, verdict, fixed=0.1, new=0.1, published=(0.0, 0.2), rule="Welch", baseline=30.0):
    """The modifiers of a gain that is known exactly; what a repetition would find lies between `published`."""
    from harness.stats.intervals import Estimate

    middle = sum(published) / 2
    half = Estimate(middle, (published[1] - published[0]) / 2 / norm.ppf(0.975), 1e9)
    gain = _Gain(Estimate(fixed, 0.0, 10, rule), Estimate(new, 0.0, 10), half)
    return _modifiers(x, gain, verdict, 0.05, baseline)


def test_modifiers_by_hand(tmp_path):
    """Of a claim of 10 points."""
    x = evidence(tmp_path)
    assert told(x, "reproduced", new=0.0) == {} == told(x, "no gain") == told(x, "undecided")
    general = {"generalises": "the interval for new questions lies above 0, too"}
    assert told(x, "reproduced", new=0.001) == told(x, "gain, below the claim", new=0.001) == general
    larger = {"larger": "the gain is larger than a repetition of the publication would find"}
    assert told(x, "reproduced", new=-1.0, published=(0.11, 0.2)) == larger
    assert told(x, "reproduced", new=-1.0, published=(0.09, 0.2)) == {} == told(x, "no gain", published=(0.11, 0.2))
    smaller = {"below-the-claim": "the gain is smaller than claimed; whether it matters is open"}
    assert told(x, "undecided", published=(0.0, 0.09)) == smaller and told(x, "no gain", published=(0.0, 0.09)) == {}
    kinds = "seeds solve the suites or do not, so the shares of solved seeds are compared"
    assert told(x, "no gain", rule="shares") == {"two-kinds-of-seeds": kinds}
    published = {"scores": {"arm": 45.0, "baseline": 35.0}, "tolerance": 2.0}
    near = evidence(tmp_path / "near", claim(**published))
    assert [set(told(near, "no gain", baseline=b)) for b in (33.0, 37.0, 32.9, 37.1)] == [
        set(),
        set(),
        {"baseline-differs"},
        {"baseline-differs"},
    ]
    said = "it scores 32.9, published: 35.0; 2 points are its sampling error"
    assert told(near, "no gain", baseline=32.9) == {"baseline-differs": said}
    selected = evidence(tmp_path / "selected", claim(checkpoint="selected"))
    chosen = "the published scores come from a selected checkpoint, these from the last"
    assert told(selected, "no gain") == {"checkpoint-selected": chosen}


def test_the_truth_of_planted_runs_is_said(tmp_path):
    def plant(results, scores=(0.4321, 0.3)):
        return [
            structs.replace(r, spec={**r.spec, "planted": {"scores": {SUITE: s}}}) for r, s in zip(results, scores, strict=True)
        ]

    x = evidence(tmp_path, change=plant)
    assert told(x, "no gain") == {"planted": "no result: its true difference of avg@k is +13.21 points"}
    half = dataclasses.replace(x, results=(x.results[0], evidence(tmp_path / "b").results[1]))
    assert told(half, "no gain") == {}, "both must be planted"


def test_tokens_that_a_claim_is_about_are_no_other_budget(tmp_path):
    """Of 1,500 rollouts of 20 tokens against 1,000; a claim about tokens says nothing of a gain that generalises either."""
    fewer = claim(effect=0, tokens=0.5, budget="any", margin=2.0)
    found = told(evidence(tmp_path, fewer, rollouts=1500), "reproduced", new=1.0)
    assert found == {"budget-mismatch": "rollouts 1,500 against 1,000 per seed"}
    both = told(evidence(tmp_path / "b", claim(budget="any"), rollouts=1500), "no gain")
    assert both == {"budget-mismatch": "rollouts 1,500 against 1,000 per seed; sampled tokens 30,000 against 20,000 per seed"}


def test_a_run_of_another_method_is_no_hint(tmp_path):
    paths = runs(tmp_path)
    [a] = check([STANDARD], paths[1:])
    assert a.reasons == ("no run matches its arm, p2o",) and a.missing and set(a.runs) == {"baseline"}
    [b] = check([claim(settings={"train.temperature": 1.0})], paths[:1])
    hint = f"; {load_result(paths[0]).run} differs in train.temperature (0.6, claimed 1.0)"
    assert b.reasons == (f"no run matches its arm, p2o{hint}", "no run matches its baseline, grpo") and b.runs == {}


def test_all_that_an_assessment_says(tmp_path):
    """From the runs' seeds, by scipy: 0.3 and 0.4, seeds a point apart."""
    paths = runs(tmp_path, 10)
    [a] = check([claim(expected="reproduced")], paths, alpha=0.1)
    scores = [load_questions(load_result(p))[SUITE].scores_S_Q.mean(1) for p in paths]
    welch = ttest_ind(*scores, equal_var=False)
    ends = welch.confidence_interval(0.9)
    assert (a.claim, a.text, a.effect, a.verdict, a.expected) == ("mine", "P2O beats GRPO.", 10.0, "reproduced", "reproduced")
    assert a.scores == {side: pytest.approx(100 * s.mean()) for side, s in zip(("arm", "baseline"), scores, strict=True)}
    assert (a.fixed.low, a.fixed.high) == pytest.approx((100 * ends.low, 100 * ends.high))
    assert a.p == pytest.approx(welch.pvalue) and a.fixed.df == pytest.approx(welch.df) and a.level == 0.1
    assert a.fixed.se == pytest.approx(100 * np.sqrt(sum(s.var(ddof=1) / 3 for s in scores)))
    variance = sum(s.var(ddof=1) for s in scores) / 2
    assert a.published.se == pytest.approx(100 * np.sqrt(2 * variance / 3 + 2 * variance)), "of one published seed an arm"
    assert a.runs == {"arm": str(load_result(paths[0]).run), "baseline": str(load_result(paths[1]).run)}
    assert a.spent["rollouts"] == (1000, 1000) and a.spent["sampled_tokens"] == (20_000, 20_000)
    assert (a.rule, a.look, a.tokens, a.needs, a.missing, a.reasons) == ("Welch", "", None, (), False, ())
    assert a.as_expected(True) is True and dataclasses.replace(a, verdict="no gain").as_expected(False) is False
    assert dataclasses.replace(a, expected=None).as_expected(True) is None
    gone = dataclasses.replace(a, missing=True, verdict="not assessable")
    assert gone.as_expected(False) is None and gone.as_expected(True) is False


def test_the_share_of_tokens_that_was_spent(tmp_path):
    """Seeds of the arm spend half of the baseline's tokens to the token, so that the interval is as wide as its floor, a
    thousandth of a seed's logarithm: sqrt(2 / 5) of it, times t of 8 degrees of freedom."""
    fewer = claim(effect=0, tokens=0.5, budget="any", margin=2.0)
    [a] = check([fewer], runs(tmp_path, 0, seeds=5, rollouts=500))
    half = student.ppf(0.975, 8) * 0.001 * math.sqrt(2 / 5)
    assert a.tokens == pytest.approx((0.5 * math.exp(-half), 0.5 * math.exp(half)))


def test_baseline_outside_its_tolerance_and_selected_checkpoints_are_said(tmp_path):
    published = {"scores": {"arm": 45.0, "baseline": 35.0}, "tolerance": 2.0, "checkpoint": "selected"}
    [a] = check([claim(**published)], runs(tmp_path))
    said = "it scores 30.0, published: 35.0; 2 points are its sampling error"
    assert a.modifiers["baseline-differs"] == said and "checkpoint-selected" in a.modifiers
    [b] = check([claim(**{**published, "tolerance": 6.0})], runs(tmp_path, seed=1))
    assert "baseline-differs" not in b.modifiers


def test_which_run_is_which_arm_is_read_off_the_settings(tmp_path):
    paths = runs(tmp_path)
    [a] = check([claim(settings={"train.temperature": 1.0})], paths)
    assert a.verdict == "not assessable" and a.missing and "differs in train.temperature (0.6, claimed 1.0)" in a.reasons[0]
    [b] = check([STANDARD], [*paths, runs(tmp_path, seed=3)[0]])
    assert b.reasons[0].startswith("2 runs match its arm; name one")
    spec = json.loads((paths[0] / "spec.json").read_text())
    spec["spec"] |= {"backend": {**spec["spec"]["backend"], "gpus_per_node": 1}, "recipe": "other"}
    (paths[0] / "spec.json").write_text(json.dumps(spec))
    assert check([STANDARD], paths)[0].verdict == "reproduced", "where it ran does not matter"


def test_a_tampered_sample_fails_the_integrity_check(tmp_path):
    paths = runs(tmp_path)
    path = paths[0] / "samples" / f"{SUITE}.jsonl"
    path.write_text(path.read_text().replace('"score": 0.0', '"score": 1.0', 1))
    [a] = check([STANDARD], paths)
    assert a.verdict == "not assessable" and "result.json says" in a.reasons[0]


SKILLS = {"placebo": 5, "generic-hint": 4.7, "gradient": 5}


def test_shipped_claims_are_those_of_the_papers():
    claims = load_claims()
    papers = {"p2o-deepscaler-5k": 4.7, "p2o-deepmath-5k": 9.4, "p2o-distillation": 9.6, "p2o-same-template": 1.0}
    assert {n: c.effect for n, c in claims.items()} == {
        **papers,
        **{f"{name}-strict": effect for name, effect in papers.items()},
        "testbed-absent-tokens": 0,
        "testbed-latent": 16,
        "testbed-absent": 16,
        "testbed-open": 16,
        **{f"skills-{what}-{policy}": effect for policy in (0, 1) for what, effect in SKILLS.items()},
    }
    for a in check(list(claims.values()), []):
        assert a.verdict == "not assessable" and a.missing and a.as_expected(named=False) is None
        commands = [line for line in a.needs if line.startswith("harness run")]
        assert len(commands) == 2 and sum("rollouts and" in line for line in a.needs) == 2
    for name in papers:
        matched, strict = claims[name], claims[f"{name}-strict"]
        assert matched.text == strict.text and (matched.budgets, strict.budgets) == ("equal rollouts", "as published")
        assert [str(p) for p in strict.passes.values()] == ["avg@16 at T=0.6"] * 3 + ["greedy"] * 3
        assert {spec.train.epochs for spec in strict.specs.values()} == {10} and matched.tolerance is None
    [a] = check([claims["p2o-deepscaler-5k"]], [])
    assert "3 to see it and 14 to exclude 1 if there is none at a seed sd of 1.0" in a.needs[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed_sd": [1e308]}, "seed_sd"),
        ({"effect": -1}, "effect"),
        ({"suites": ["amie24"]}, "did you mean 'aime24'"),
        ({"colour": "red"}, "colour"),
        ({"scores": {"arm": 50, "baseline": 41}}, "not the difference"),
        ({"metric": "avg@0"}, "metric"),
        ({"metric": {"tb-id": "greedy"}}, "metric names other suites"),
        ({"metric": "greedy"}, "metric: greedy on tb-long, where its settings draw avg@4 at T=0.6$"),
        ({"metric": "avg@16"}, "metric: avg@16 on tb-long"),
        ({"temperature": 1.0}, "metric: avg@k at T=1 on tb-long"),
        ({"looks": [5, 3]}, "looks are rising"),
        ({"looks": [2, 3]}, "looks are rising numbers of seeds, from 3"),
        ({"arms": {"arm": {"method": "p2o", "spends": {"hours": 1}}, "baseline": {"method": "grpo"}}}, "spends"),
        ({"tolerance": 1}, "bad.yaml: claim: tolerance needs scores$"),
        ({"effect": 0}, "either an effect above 0 or tokens"),
        ({"tokens": 0.5}, "either an effect above 0 or tokens"),
        ({"effect": 0, "tokens": 0.5}, "needs budget: any"),
        ({"margin": 10}, "must be below the effect"),
        ({"arms": {"arm": {"method": "p2o"}, "baseline": {"method": "grpo", "settings": {"train.set": "gsm8k"}}}}, "gsm8k"),
        ({"expected": "true"}, "expected"),
        ({"training_set": "math"}, "train on testbed, not on math"),
        ({"settings": {"train.lrr": 1}}, "did you mean 'train.lr'"),
        ({"recipe": "testbd"}, "testbd"),
        ({"settings": {"a=b": 1}}, "'a=b' is not the name of a setting"),
        ({"seed_sd": [0]}, "seed_sd.0"),
        ({"seed_sd": [1e308]}, "seed_sd.0"),
        ({"effect": 1e308}, "effect"),
        ({"settings": {"train.epochs": 10**18}}, "less than or equal"),
        ({"x\x1b\ny": 1}, r"'x\\x1b\\ny': Extra"),
    ],
)
def test_a_claim_that_is_none_is_refused(tmp_path, change, words):
    tree = {**claim().model_dump(mode="json"), **change}
    del tree["name"]
    (tmp_path / "bad.yaml").write_text(json.dumps(tree))
    with pytest.raises(UsageError, match=words):
        load_claims(tmp_path)
    with pytest.raises(MissingError, match="no folder"):
        load_claims(tmp_path / "gone")


def test_command_exit_codes_and_junit(capsys, tmp_path):
    paths = runs(tmp_path / "runs", gain=0, seeds=5)
    folder = tmp_path / "claims"
    folder.mkdir()
    tree = {k: v for k, v in claim().model_dump(mode="json").items() if k != "name"}
    (folder / "right.yaml").write_text(json.dumps({**tree, "expected": "no gain"}))
    (folder / "wrong.yaml").write_text(json.dumps({**tree, "expected": "reproduced", "text": "<b>\u202e\x1b[2J & so on"}))
    (folder / "free.yaml").write_text(json.dumps(tree))
    more = ["--claims", folder]
    code, out, err = harness(
        capsys, "claim", "check", *more, "--runs", paths[0], paths[1], "--json", "--junit", tmp_path / "j.xml"
    )
    assert code == 1 and "wrong is no gain, expected reproduced" in err
    rows = json.loads(out)["claims"]
    assert [(r["claim"], r["verdict"], r["as_expected"]) for r in rows] == [
        (name, "no gain", x) for name, x in (("free", None), ("right", True), ("wrong", False))
    ]
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
    assert suite.find("testcase[@name='wrong']/failure").get("message") == "no gain, expected reproduced"
    # no runs: nothing was asked of the others, but a claim that is named must be met
    assert harness(capsys, "claim", "check", *more)[0] == 0
    code, out, _ = harness(capsys, "claim", "check", "wrong", "--full", *more)
    assert code == 1 and "\x1b" not in out and "\u202e" not in out and "& so on" in " ".join(out.split())


def test_the_arms_of_a_claim_are_specs_of_all_its_suites():
    two = claim(suites=["tb-long", "tb-format"], settings={"train.epochs": 2})
    assert {side: (s.method, s.eval.bench, s.train.epochs) for side, s in two.specs.items()} == {
        "arm": ("p2o", "tb-long,tb-format", 2),
        "baseline": ("grpo", "tb-long,tb-format", 2),
    }


def test_words_are_claims_or_runs(tmp_path):
    known = {"right": STANDARD}
    assert choose(known, ["right", str(tmp_path)]) == (["right"], [tmp_path])
    with pytest.raises(UsageError, match="did you mean 'right'"):
        choose(known, ["rihgt"])
    with pytest.raises(MissingError, match="no run"):
        check([STANDARD], [tmp_path / "gone"])


def test_the_tolerance_is_the_sampling_error_of_the_published_score():
    """docs/claims.md: 1.96 sqrt((sd^2 + v) / seeds), v of a mean of suites of right or wrong answers, each at most 1/4."""
    found = 0
    for c in load_claims().values():
        if c.tolerance is None:
            continue
        suites = [load_suite(name) for name in c.suites]
        answers = [s.size * how.k for s, how in zip(suites, c.passes.values(), strict=True)]
        v = 100**2 * sum(1 / 4 / n for n in answers) / len(answers) ** 2
        assert c.tolerance == round(norm.isf(0.025) * math.sqrt((c.seed_sd[0] ** 2 + v) / c.published_seeds), 1)
        rng = np.random.default_rng(0)  # the same by drawing: seeds that move all suites, and answers of one half
        seeds = rng.normal(0, c.seed_sd[0], 40_000)
        drawn = np.mean([100 * rng.binomial(n, 0.5, seeds.size) / n for n in answers], 0) + seeds
        assert np.quantile(np.abs(drawn - 50), 0.95) == pytest.approx(c.tolerance, abs=0.05)
        found += 1
    assert found == 4


def test_shipped_claims_say_what_matters_and_from_how_many_seeds():
    for path in sorted(claims_dir().glob("*.yaml")):
        lines = path.read_text().splitlines()
        for field in ("margin", "published_seeds"):
            [line] = [line for line in lines if line.startswith(f"{field}:")]
            assert "#" in line, f"{path.name}: {field} comes without a reason"


def test_the_runs_of_the_shipped_studies_are_those_of_the_claims():
    specs = []
    for name in ("p2o-table1", "p2o-ablations"):
        study = load_study(name)
        sets = [[*as_sets(study.settings), *as_sets(arm.settings)] for arm in study.arms.values()]
        found = zip(study.arms.values(), sets, strict=True)
        specs += [resolve(arm.method, study.recipe, sets=own, flags={"eval": {"bench": study.bench}}) for arm, own in found]
    trees = [spec.model_dump(mode="json") for spec in specs]
    for name in ("p2o-deepscaler-5k", "p2o-distillation", "p2o-same-template"):
        for spec in load_claims()[name].specs.values():
            assert any(not differing(spec.model_dump(mode="json"), tree, CLAIMED) for tree in trees), name


def test_the_filed_runs_have_the_verdicts_that_are_expected(capsys):
    """End to end, the claim of fewer tokens among them."""
    names = ["testbed-absent", "testbed-absent-tokens", "testbed-open"]
    filed = claims_dir().parent / "testbed"
    code, out, _ = harness(capsys, "claim", "check", *names, "--runs", filed, "--json")
    absent, tokens, opened = json.loads(out)["claims"]
    assert code == 0 and [a["verdict"] for a in (absent, tokens, opened)] == ["no gain", "reproduced", "no gain"]
    share = tokens["spent"]["sampled_tokens"][0] / tokens["spent"]["sampled_tokens"][1]
    assert tokens["tokens"][0] < share < tokens["tokens"][1] < 0.6 and tokens["claimed"] == "60% of tokens"
    assert not tokens["modifiers"], "fewer tokens are what it claims, not a mismatch"
    code, out, _ = harness(capsys, "claim", "check", "testbed-absent-tokens", "--full", "--runs", filed)
    assert code == 0 and "of the baseline's tokens the arm spent" in " ".join(out.split())


def test_whether_seeds_are_of_two_kinds_follows_from_the_claims_world():
    found = {name: claim.solved_at for name, claim in load_claims().items() if name.startswith("testbed-")}
    assert found == {n: 0.5 if n == "testbed-latent" else None for n in found} and len(found) == 4
    assert claim(kinds=None).solved_at == 0.5 and claim(kinds=False).solved_at is None


def test_what_a_claim_says_is_shown(capsys):
    code, out, _ = harness(capsys, "claim", "show", "p2o-deepscaler-5k-strict")
    words = " ".join(out.split())
    assert code == 0 and "avg@16 at T=0.6: aime24, aime25, amc23; greedy: math500, minerva, olympiad" in words
    assert "the baseline spends 780 optimiser steps and 299,520 rollouts per seed" in words and "known to 2.7 points" in words
    code, out, _ = harness(capsys, "claim", "list")
    assert code == 0 and "60% of tokens" in out and "as published" in out
    code, _, err = harness(capsys, "claim", "show", "p2o-deepscaler-5")
    assert code == 2 and "did you mean 'p2o-deepscaler-5k'" in err


def stating(path, **more):
    """Write what training began with into the results of runs."""
    for run in path:
        tree = json.loads((run / "result.json").read_text())
        tree["first_rollouts"] = {str(s): {"batch": f"a{s}", "epoch": "e"} for s in tree["seeds"]} | more
        tree["problems_sha256"] = "0" * 64
        (run / "result.json").write_text(json.dumps(tree))
    return path


def test_a_claim_that_pairs_sees_what_pairs_show(tmp_path):
    """Seeds scatter by 4 points, in both arms alike; the gain is 5 points in every one of them."""
    given = stating(runs(tmp_path, gain=5, seed_sd=4.0, seeds=5))
    [apart] = check([claim(effect=5.0)], given)
    [pairs] = check([claim(effect=5.0, paired=True)], given)
    assert (apart.verdict, apart.rule) == ("undecided", "Welch")
    assert (pairs.verdict, pairs.rule) == ("reproduced", "paired") and "not-paired" not in pairs.modifiers
    assert pairs.published.high - pairs.published.low > apart.fixed.high - apart.fixed.low


def test_a_claim_whose_runs_show_no_pairs_goes_without_and_says_so(tmp_path):
    given = runs(tmp_path, gain=5, seed_sd=4.0, seeds=5)
    [apart] = check([claim(effect=5.0)], given)
    [asked] = check([claim(effect=5.0, paired=True)], given)
    assert (asked.verdict, asked.fixed, asked.rule) == (apart.verdict, apart.fixed, "Welch")
    assert "do not say what training began with" in asked.modifiers["not-paired"]


# ---------------------------------------------------------------------- step by step


def test_the_correction_is_said_where_it_changes_something(tmp_path):
    [a] = check([STANDARD], runs(tmp_path))
    a = dataclasses.replace(a, p=0.03, level=0.05, modifiers={"other": "x"})

    def said(adjusted, claims, **own):
        found = _with_correction(dataclasses.replace(a, **own), adjusted, claims)
        assert found.p_adjusted == adjusted and found.modifiers["other"] == "x"
        return found.modifiers.get("one-of-many")

    assert said(0.06, 2) == "p 0.030 is 0.060 after Holm's correction over 2 claims"
    assert said(0.05, 3) == "p 0.030 is 0.050 after Holm's correction over 3 claims", "at the level it is no gain any more"
    assert said(0.049, 2) is None and said(0.06, 1) is None and said(0.06, 2, p=0.05) is None
    assert said(0.06, 2, p=None) is None is said(0.06, 2, level=None)


def test_the_nearest_run_is_the_hint(tmp_path):
    """That which differs in the fewest settings, whatever their names, and of those the first."""
    wanted = claim(settings={"train.temperature": 1.0, "train.lr": 0.5})
    far = runs(tmp_path / "far", c=claim(settings={"train.epochs": 7}))
    near, same = (runs(tmp_path / x, c=claim(settings={"train.lr": 0.5}), seed=1) for x in ("near", "same"))
    [a] = check([wanted], [*far, *near, *same])
    hint = f"{load_result(near[0]).run} differs in train.temperature (0.6, claimed 1.0)"
    assert a.reasons[0] == f"no run matches its arm, p2o; {hint}"
    spec = wanted.specs["arm"]
    differ = _differences(spec, load_result(far[0]))
    assert len(differ) == 3 and differ[0] < _differences(spec, load_result(near[0]))[0], "the names alone would choose it"
    assert _differences(STANDARD.specs["arm"], load_result(runs(tmp_path)[0])) == []
    old = load_result(near[0])
    older = {**old.spec, "method_config": {**old.spec["method_config"], "magic": 1}}
    assert "method_config.magic (1, claimed unset)" in _differences(spec, structs.replace(old, spec=older))


def test_why_runs_do_not_count(tmp_path):
    c = claim(suites=[SUITE, "tb-id", "tb-format"])
    x = evidence(tmp_path)

    def result(old, **own):
        return SimpleNamespace(**{name: getattr(old, name) for name in (*old.__struct_fields__, "suites")} | own)

    few = result(x.results[0], seeds=(0, 1), not_a_result="a rehearsal", run="one")
    part = structs.replace(x.results[1].suites[SUITE], n=7)
    short = result(x.results[1], suites={SUITE: part}, run="two")
    assert _ineligible(c, {"arm": few, "baseline": short}, False)[:5] == [
        "one was not evaluated on tb-id, tb-format",
        "one is not a result: a rehearsal",
        "one has 2 seeds; at least 3 are needed",
        "two was not evaluated on tb-id, tb-format",
        f"two has 7 of the {SIZE} problems of {SUITE}",
    ]


def test_runs_that_cannot_be_compared_do_not_count(tmp_path):
    """Which is said in the words of whatever compares them, and only where they count by themselves."""
    x = evidence(tmp_path)
    other = [x.results[0], structs.replace(x.results[1], model="another")]
    with pytest.raises(UsageError, match="they differ in model") as e:
        check_identity(other)
    sides = dict(zip(("arm", "baseline"), other, strict=True))
    assert _ineligible(x.claim, sides, False) == [str(e.value)]
    stamped = structs.replace(other[0], not_a_result="a rehearsal")
    assert _ineligible(x.claim, sides | {"arm": stamped}, False) == [f"{stamped.run} is not a result: a rehearsal"]


def test_all_that_is_said_where_nothing_can_be(tmp_path):
    paths = runs(tmp_path)
    c = claim(effect=9.0, expected="no gain")
    [a] = check([c], paths[:1])
    assert (a.claim, a.text, a.effect, a.claimed, a.verdict) == ("mine", c.text, 9.0, c.claimed, "not assessable")
    assert (a.runs, a.seeds) == ({"arm": load_result(paths[0]).run}, {"arm": 3})
    assert (a.expected, a.missing, a.reasons) == ("no gain", True, ("no run matches its baseline, grpo",))
    assert len(a.needs) >= 1 and "a gain of 9 points" in a.needs[0]


def test_problems_that_are_left_out_leave_a_suite_or_nothing(tmp_path):
    x = evidence(tmp_path)
    all_of_them = {SUITE: set(x.questions[0][0].ids)}
    assert x.cells("primary", all_of_them) is None, "no problem is left"
    two = dataclasses.replace(x, claim=claim(suites=[SUITE, "tb-id"]), questions=tuple([q[0], q[0]] for q in x.questions))
    left = two.cells("primary", {**all_of_them, "tb-id": {x.questions[0][0].ids[0]}})
    assert [[y.shape for y in arm] for arm in left] == [[(3, SIZE - 1)]] * 2, "a suite without problems counts for nothing"
    whole = two.cells("primary")
    assert [[y.shape for y in arm] for arm in whole] == [[(3, SIZE)] * 2] * 2
    assert x.cells("parity") is None or x.cells("parity")[0][0].shape == (3, SIZE)


def test_families_are_left_out_with_their_problems(tmp_path, monkeypatch):
    asked, without = [], []
    real = intervals.question_difference
    monkeypatch.setattr(intervals, "question_difference", lambda *own, **more: asked.append(more) or real(*own, **more))
    monkeypatch.setattr(Evidence, "families", lambda self, gone=None: without.append(gone) or [None])
    x = evidence(tmp_path)
    gone = {SUITE: {"p000"}}
    gain = judging._gain(x, x.cells("primary", gone), gone)
    assert asked == [{"these": gain.fixed, "clusters": [None]}] and without == [gone]


def test_what_an_undecided_claim_needs_is_from_its_runs(tmp_path):
    [a] = check([STANDARD], runs(tmp_path, 8, seed_sd=8))
    assert a.verdict == "undecided" and len(a.needs) == 1 and a.needs[0].endswith(" (from the given runs)")
