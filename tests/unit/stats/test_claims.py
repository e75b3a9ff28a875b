"""The verdict rule, case by case; what makes a claim unassessable; the claims that are shipped."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import ttest_ind

from harness.core.errors import MissingError, UsageError
from harness.data.suites import load_suite
from harness.runs.result import load_result
from harness.stats.assess import check
from harness.stats.claims import Claim, choose, load_claims
from harness.stats.looks import level_at
from harness.stats.questions import load_questions
from harness.stats.verdicts import seeds_to_see
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
    assert thrice.fixed.low < once.fixed.low


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


def test_baseline_outside_its_tolerance_and_selected_checkpoints_are_said(tmp_path):
    published = {"scores": {"arm": 45.0, "baseline": 35.0}, "tolerance": 2.0, "checkpoint": "selected"}
    [a] = check([claim(**published)], runs(tmp_path))
    assert a.modifiers["baseline-differs"] == "it scores 30.0, published: 35.0" and "checkpoint-selected" in a.modifiers
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


def test_shipped_claims_are_those_of_the_papers():
    claims = load_claims()
    assert {n: c.effect for n, c in claims.items()} == {
        "p2o-deepscaler-5k": 4.7,
        "p2o-deepmath-5k": 9.4,
        "p2o-distillation": 9.6,
        "p2o-same-template": 1.0,
        "testbed-latent": 16,
        "testbed-absent": 16,
        "testbed-open": 16,
    }
    for a in check(list(claims.values()), []):
        assert a.verdict == "not assessable" and a.missing and a.as_expected(named=False) is None
        commands = [line for line in a.needs if line.startswith("harness run")]
        assert len(commands) == 2 and sum("rollouts and" in line for line in a.needs) == 2
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
        ({"tolerance": 1}, "bad.yaml: claim: tolerance needs scores$"),
        ({"effect": 0}, "either an effect above 0 or tokens"),
        ({"tokens": 0.5}, "either an effect above 0 or tokens"),
        ({"effect": 0, "tokens": 0.5}, "needs budget: any"),
        ({"margin": 10}, "must be below the effect"),
        ({"arms": {"arm": {"method": "p2o"}, "baseline": {"method": "grpo", "settings": {"train.set": "gsm8k"}}}}, "gsm8k"),
        ({"expected": "true"}, "expected"),
        ({"training_set": "math"}, "train on testbed, not on math"),
        ({"settings": {"train.lrr": 1}}, "did you mean 'lr'"),
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
    code, out, _ = harness(capsys, "claim", "check", "wrong", *more)
    assert code == 1 and "\x1b" not in out and "\u202e" not in out and "& so on" in out


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
