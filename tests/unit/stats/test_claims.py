"""The verdict rule, case by case; what makes a claim unassessable; the claims that are shipped."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from harness.core.errors import MissingError, UsageError
from harness.data.suites import load_suite
from harness.runs.result import load_result
from harness.stats import intervals
from harness.stats.assess import check, verdict
from harness.stats.claims import VERDICTS, Claim, choose, load_claims
from harness.stats.power import seeds_needed
from harness.stats.questions import load_questions
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
    ("low", "high", "expected"),
    [
        (1.0, 8.0, "reproduced"),
        (4.7, 6.0, "reproduced"),
        (0.1, 4.7, "reproduced"),
        (0.1, 4.6, "reproduced, smaller"),
        (4.8, 6.0, "reproduced, larger"),
        (0.0, 4.6, "not reproduced"),
        (-2.0, 0.0, "not reproduced"),
        (-3.0, -0.1, "contradicted"),
        (0.0, 4.7, "underpowered"),
        (-9.0, 9.0, "underpowered"),
    ],
)
def test_rule(low, high, expected):
    assert verdict(low, high, 4.7) == expected


def test_rule_covers_every_interval_with_one_verdict():
    ends = np.linspace(-10, 10, 41)
    found = {verdict(low, high, 4.7) for low in ends for high in ends if low < high}
    assert found == set(VERDICTS) - {"not assessable"}


@pytest.mark.parametrize(
    ("gain", "sd", "expected"),
    [
        (10, 1, "reproduced"),
        (4, 1, "reproduced, smaller"),
        (16, 1, "reproduced, larger"),
        (0, 1, "not reproduced"),
        (-10, 1, "contradicted"),
        (8, 8, "underpowered"),
    ],
)
def test_verdicts_from_run_directories(tmp_path, gain, sd, expected):
    paths = runs(tmp_path, gain, seed_sd=sd)
    [a] = check([STANDARD], paths)
    assert (a.verdict, a.seeds, a.reasons) == (expected, {"arm": 3, "baseline": 3}, ())
    cells = [load_questions(load_result(p))[SUITE].scores_S_Q for p in paths]
    fixed = intervals.seed_difference(*(y.mean(1) for y in cells)).interval()
    assert (a.fixed.low, a.fixed.high) == pytest.approx(tuple(100 * x for x in fixed))
    new = intervals.question_difference(*([y] for y in cells)).interval()
    assert (a.new.low, a.new.high) == pytest.approx(tuple(100 * x for x in new))
    assert ("generalises" in a.modifiers) == (a.new.low > 0 or a.new.high < 0)
    assert a.difference == pytest.approx(gain, abs=0.1)
    if expected == "underpowered":
        assert f"{seeds_needed(10.0, a.fixed.se / (2 / 3) ** 0.5)} at a seed sd of 8.0" in a.needs[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seeds": 2}, "2 seeds; at least 3 are needed"),
        ({"seed_sd": 0}, "do not vary"),
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
    paths = runs(tmp_path, gain=10, parity=0)
    [a] = check([STANDARD], paths)
    assert (a.verdict, a.modifiers["grader-sensitive"]) == ("reproduced", "under the parity grader: not reproduced")
    [b] = check([claim(grader="parity")], paths)
    assert (b.verdict, b.modifiers["grader-sensitive"]) == ("not reproduced", "under the primary grader: reproduced")
    [c] = check([STANDARD], runs(tmp_path, gain=10, parity=9.5))
    assert "grader-sensitive" not in c.modifiers
    [d] = check([claim(grader="parity")], runs(tmp_path, seed=5))
    assert d.verdict == "not assessable" and "no grades by the claim's grader on tb-long" in d.reasons


def test_contaminated_problems_are_left_out_to_see(tmp_path):
    """All of the gain is in problems that the training set holds too."""
    first = {f"p{i:03d}" for i in range(round(0.29 * SIZE), round(0.42 * SIZE))}
    paths = runs(tmp_path, flagged=sorted(first))
    [a] = check([STANDARD], paths)
    assert a.verdict == "reproduced"
    assert a.modifiers["contaminated"] == f"{len(first)} problems match training problems; without them: not reproduced"


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


def test_several_claims_share_the_error(tmp_path):
    """Holm: the interval of the larger p is at the level at which it is tested, and nothing is shared with the unassessed."""
    c = claim(name="second", settings={"testbed.world": "open"})
    paths = [*runs(tmp_path, 10), *runs(tmp_path, 3, seed_sd=2, c=c, seed=4)]
    a, b, none = check([STANDARD, c, claim(name="third", settings={"testbed.world": "absent"})], paths)
    assert (a.level, b.level, none.level) == (0.025, 0.05, None)
    assert check([STANDARD], paths)[0].level == 0.05 and check([STANDARD], paths, alpha=0.0294)[0].level == 0.0294


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
    assert "3 at a seed sd of 1.0, 5 at a seed sd of 2.0" in a.needs[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed_sd": [1e308]}, "seed_sd"),
        ({"effect": -1}, "effect"),
        ({"suites": ["amie24"]}, "did you mean 'aime24'"),
        ({"colour": "red"}, "colour"),
        ({"scores": {"arm": 50, "baseline": 41}}, "not the difference"),
        ({"tolerance": 1}, "bad.yaml: claim: tolerance needs scores$"),
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
    paths = runs(tmp_path / "runs", gain=0)
    folder = tmp_path / "claims"
    folder.mkdir()
    tree = {k: v for k, v in claim().model_dump(mode="json").items() if k != "name"}
    (folder / "right.yaml").write_text(json.dumps({**tree, "expected": "not reproduced"}))
    (folder / "wrong.yaml").write_text(json.dumps({**tree, "expected": "reproduced", "text": "<b>\u202e\x1b[2J & so on"}))
    (folder / "free.yaml").write_text(json.dumps(tree))
    more = ["--claims", folder]
    code, out, err = harness(
        capsys, "claim", "check", *more, "--runs", paths[0], paths[1], "--json", "--junit", tmp_path / "j.xml"
    )
    assert code == 1 and "wrong is not reproduced, expected reproduced" in err
    rows = json.loads(out)["claims"]
    assert [(r["claim"], r["verdict"], r["as_expected"]) for r in rows] == [
        (name, "not reproduced", x) for name, x in (("free", None), ("right", True), ("wrong", False))
    ]
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
    assert suite.find("testcase[@name='wrong']/failure").get("message") == "not reproduced, expected reproduced"
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
