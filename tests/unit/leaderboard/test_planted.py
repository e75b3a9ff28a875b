"""Runs whose true difference is known: what is planted is what is promised, and the referee finds it."""

import itertools
import json
import shutil
import sys

import msgspec
import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.leaderboard import submit
from harness.leaderboard.planted import _mixed, draw, mixture, plant, seed_weights
from harness.runs import formats
from harness.runs.filed import spec_sha256
from harness.runs.files import write_text
from harness.runs.result import FirstRollouts, Macro, ResultFile, RoleMeans, load_result, write_result
from harness.runs.samples import read_samples, samples_path
from harness.stats.chances import Noise, of_outcome
from harness.stats.comparison import compare_runs
from support.boards import tree
from support.command import harness
from support.paths import ROOT
from support.runs import make_run

sys.path.insert(0, str(ROOT / "tests" / "checks"))
import planted as rates  # noqa: E402  (the script that prints the table of docs/statistics.md)

BOARD = ROOT / "leaderboards" / "testbed" / "testbed"
CLAIM = """
text: The planted arm is 5 points ahead.
source: here
metric: avg@k
suites: [tb-long, tb-format, tb-family]
effect: 5
training_set: testbed
recipe: testbed
settings: {testbed.world: latent, train.temperature: 0.6, testbed.easy_share: 0.4}
arms:
  arm: {method: p2o}
  baseline: {method: self-hint-original}
budget: any
kinds: false
"""


CELLS = list(itertools.product((3, 5, 8), (1.0, 2.0)))
"""Seeds, and their standard deviation in points."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two policies on 60 questions, whose answers to each are right with chances that are 30 points apart, on a training set
    that says nothing of solved seeds; every answer's text says whose it is, and whether it is right."""
    root, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(7)
    hard_Q = rng.uniform(0.1, 0.6, 60)
    out = []
    for name, gain in (("p2o", 0.3), ("grpo", 0.0)):
        right = (rng.random((4, 60, 4)) < (hard_Q + gain)[:, None]).astype(float)
        run = make_run(root / name, name, right, greedy=(right[:, :, 0], None))
        path = samples_path(run, "tb-long")
        rows = [msgspec.structs.replace(r, completion=f"{name} {r.problem} {r.score:g}") for r in read_samples(path)]
        write_text(path, "".join(map(formats.json_line, rows)))
        found = msgspec.structs.replace(formats.read(run / "result.json", ResultFile), training_set="gsm8k")
        write_result(run, found)
        out.append(run)
    return out


def planted(sources, out, effect=5.0, seeds=4, seed_sd=1.0, random=0):
    return plant(*sources, effect, seeds, seed_sd, random, out)


def test_weights_give_the_effect_and_the_spread():
    found = mixture(-40.0, 5.0, 2.0)  # the second source is the better one
    assert np.isclose((found.weights[0] - found.weights[1]) * -40, 5) and np.isclose(sum(found.weights), 1)
    assert np.isclose(found.sd * 40, 2)
    weights = seed_weights(0.4, 0.05, 200_000, np.random.default_rng(0))
    assert abs(weights.mean() - 0.4) < 5e-4 and abs(weights.std() - 0.05) < 1e-3
    assert (np.abs(weights - 0.4) <= 0.15).all(), "no weight is beyond three standard deviations, and so none outside of 0 to 1"


@pytest.mark.parametrize("gap, effect, sd", [(4.0, 5.0, 0.0), (5.2, 5.0, 1.0), (0.0, 0.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_sources_that_leave_no_room_are_refused(gap, effect, sd):
    with pytest.raises(UsageError, match="the two runs"):
        mixture(gap, effect, sd)


def test_answers_come_from_the_first_pool_as_often_as_the_weight_says():
    weights_S = np.array([0.0, 0.3, 1.0])
    first, which = draw(weights_S, 500, 40, (3, 8), np.random.default_rng(0))
    assert np.allclose(first.mean((1, 2)), weights_S, atol=0.012)
    assert which[first].max() == 2 and which[~first].max() == 7
    assert np.allclose(np.bincount(which[~first]) / (~first).sum(), 1 / 8, atol=0.01)


def test_the_truth_is_that_of_the_pools(sources, tmp_path):
    """By brute force: the mean of what a draw gives, question by question, from the sources' rows."""
    made = planted(sources, tmp_path / "out", seeds=40)
    pools = [[r for r in read_samples(samples_path(run, "tb-long")) if not r.greedy] for run in sources]
    means = [np.mean([np.mean([r.score for r in pool if r.problem == p]) for p in {r.problem for r in pool}]) for pool in pools]
    weights = [load_result(run).spec["planted"]["weight"] for run in made.runs]
    true = [w * means[0] + (1 - w) * means[1] for w in weights]
    assert np.isclose(100 * (true[0] - true[1]), 5) and np.isclose(made.truth["macro:ood"], 5)
    assert made.truth.keys() == {"tb-long", "macro:ood"}
    for run, score in zip(made.runs, true, strict=True):
        found = load_result(run)
        assert np.isclose(found.spec["planted"]["scores"]["tb-long"], score)
        assert abs(found.macro.ood - score) < 4 * np.sqrt(0.01**2 + 0.25 / 240) / np.sqrt(40)


def test_every_answer_is_a_sources_to_the_same_question(sources, tmp_path):
    made = planted(sources, tmp_path / "out")
    known = {r.completion for run in sources for r in read_samples(samples_path(run, "tb-long"))}
    shares = []
    for run in made.runs:
        rows = read_samples(samples_path(run, "tb-long"))
        assert len(rows) == 4 * 60 * 5 and sum(r.greedy for r in rows) == 4 * 60
        assert all(r.completion in known and r.completion.split()[1:] == [r.problem, f"{r.score:g}"] for r in rows)
        shares.append(np.mean([r.completion.startswith("p2o") for r in rows]))
    weights = [load_result(run).spec["planted"]["weight"] for run in made.runs]
    assert np.allclose(shares, weights, atol=0.07)


def test_the_same_number_draws_the_same_runs(sources, tmp_path):
    first, again, other = (planted(sources, tmp_path / name, random=r) for name, r in (("a", 1), ("b", 1), ("c", 2)))
    assert tree(tmp_path / "a") == tree(tmp_path / "b") and first.truth == again.truth == other.truth
    assert tree(tmp_path / "a") != tree(tmp_path / "c")


def test_through_the_command_and_compare(sources, tmp_path, capsys):
    args = ("plant", *sources, "--effect", 5, "--seed-sd", 0.5, "--out", tmp_path / "out", "--json")
    code, out, err = harness(capsys, *args)
    assert code == 0, err
    found = json.loads(out)
    assert np.isclose(found["truth"]["macro:ood"], 5) and found["random"] == 0
    code, out, err = harness(capsys, "compare", *found["runs"], "--baseline", "grpo", "--json")
    assert code == 0, err
    compared = json.loads(out)
    assert len(compared["stamps"]) == 2 and all(
        "it is planted: its answers are drawn from those of" in s for s in compared["stamps"]
    )
    x = compared["arms"][0]["contrasts"]["macro:ood"]
    assert x["fixed"]["low"] < 0.05 < x["fixed"]["high"] and x["rule"] == "Welch"
    code, out, _ = harness(capsys, *args[:-2], tmp_path / "again")
    assert code == 0 and "true difference of macro:ood: +5.000 points" in out and "--random 0" in out


def test_a_claim_is_judged_on_planted_runs_if_that_is_asked_for(tmp_path, capsys):
    """From two filed runs; the verdict says the true difference beside, and is none without --planted."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "five.yaml").write_text(CLAIM)
    runs = [next(BOARD.glob("p2o-77ae*")), next(BOARD.glob("self-hint-original-*"))]
    made = planted(runs, tmp_path / "out", seeds=8)
    args = ("claim", "check", "five", "--claims", tmp_path / "claims", "--runs", tmp_path / "out", "--json")
    code, out, _ = harness(capsys, *args)
    [found] = json.loads(out)["claims"] if isinstance(json.loads(out), dict) else json.loads(out)
    assert found["verdict"] == "not assessable" and any("is not a result: it is planted" in r for r in found["reasons"])
    code, out, _ = harness(capsys, *args, "--planted")
    [found] = json.loads(out)["claims"] if isinstance(json.loads(out), dict) else json.loads(out)
    assert found["verdict"] == "reproduced" and "true difference of avg@k is +5.00 points" in found["modifiers"]["planted"]
    assert found["fixed"]["low"] < 5 < found["fixed"]["high"] and np.isclose(made.truth["macro:ood"], 5)


def test_what_is_planted_is_never_filed(sources, tmp_path, capsys):
    """Neither with the flag that files what is no result, nor with the stamp cut out of result.json."""
    made = planted(sources, tmp_path / "out")
    add = ("leaderboard", "add", made.runs[0], "--board", tmp_path / "boards")
    for flags in ((), ("--allow-not-a-result",)):
        code, _, err = harness(capsys, *add, *flags)
        assert code == 2 and "is planted, its answers are other runs'; it is never filed" in err
    path = made.runs[0] / "result.json"
    write_result(made.runs[0], msgspec.structs.replace(formats.read(path, ResultFile), not_a_result=None))
    assert harness(capsys, *add)[0] == 2
    with pytest.raises(UsageError, match="never filed"):
        submit.add(made.runs[0], tmp_path / "boards", allow_stamped=True)
    assert not (tmp_path / "boards").exists()


def test_what_cannot_be_planted_is_said_in_one_sentence(sources, tmp_path, capsys):
    made = planted(sources, tmp_path / "out")
    for runs, effect, out, code, words in (
        (sources, 50, "x", 2, "points apart, which leaves no room for 50 points with 1 between seeds"),
        (sources, 5, "out", 2, "out exists; name a new folder"),
        ((sources[0], sources[0]), 0, "x", 2, "the two runs score the same"),
        (made.runs, 1, "x", 2, "is planted itself"),
        ((sources[0], tmp_path / "none"), 5, "x", 3, "no run at"),
    ):
        found = harness(capsys, "plant", *runs, "--effect", effect, "--out", tmp_path / out)
        assert found[0] == code and words in found[2] and len(found[2].splitlines()) == 1, found


def with_result(run, path, change):
    """A copy of a run whose result is changed."""
    shutil.copytree(run, path)
    write_result(path, change(formats.read(path / "result.json", ResultFile)))
    return path


def in_distribution(found):
    """The same with its suite in distribution."""
    suites = {n: msgspec.structs.replace(s, role="id") for n, s in found.suites.items()}
    per_seed = {s: RoleMeans(id=m.ood, ood=None) for s, m in found.macro.per_seed.items()}
    macro = msgspec.structs.replace(found.macro, id=found.macro.ood, ood=None, per_seed=per_seed)
    return msgspec.structs.replace(found, suites=suites, macro=macro)


def of_neither(found):
    suites = {n: msgspec.structs.replace(s, role="other") for n, s in found.suites.items()}
    per_seed = {s: RoleMeans(id=None, ood=None) for s in found.macro.per_seed}
    return msgspec.structs.replace(found, suites=suites, macro=Macro(id=None, ood=None, per_seed=per_seed))


def test_without_a_suite_out_of_distribution_the_effect_is_on_the_one_in_it(sources, tmp_path):
    runs = [with_result(run, tmp_path / name, in_distribution) for run, name in zip(sources, "ab", strict=True)]
    made = planted(runs, tmp_path / "out")
    assert made.measure == "macro:id" and np.isclose(made.truth["macro:id"], 5) and made.names == ("a", "b")
    assert made.truth.keys() == {"tb-long", "macro:id"}
    neither = [with_result(run, tmp_path / name, of_neither) for run, name in zip(sources, "cd", strict=True)]
    for pair in (neither, [runs[0], sources[1]], [sources[0], runs[1]], [neither[0], runs[1]], [sources[0], neither[1]]):
        with pytest.raises(UsageError) as e:  # of two training sets' versions, say: each has an average, none has both
            planted(pair, tmp_path / "none")
        assert str(e.value) == "the runs have no suite in or out of distribution, and so no macro average"


def test_what_stands_in_the_files_of_a_planted_run(sources, tmp_path):
    made = planted(sources, tmp_path / "out", seeds=6, seed_sd=1.5, random=9)
    assert made.runs == (tmp_path / "out" / "arm", tmp_path / "out" / "baseline") and made.names == ("p2o", "grpo")
    own = [load_result(run) for run in sources]
    for run, source, side in zip(made.runs, own, ("arm", "baseline"), strict=True):
        found = load_result(run)
        said = found.spec["planted"]
        assert {k: v for k, v in said.items() if k not in ("weight", "scores")} == {
            "of": ["p2o", "grpo"],
            "effect": 5.0,
            "measure": "macro:ood",
            "seed_sd": 1.5,
            "random": 9,
        }
        assert {k: v for k, v in found.spec.items() if k not in ("planted", "seeds")} == {
            k: v for k, v in source.spec.items() if k != "seeds"
        }
        assert found.seeds == tuple(range(6)) and list(found.spec["seeds"]) == list(range(6))
        stored = json.loads((run / "spec.json").read_text())
        assert stored["spec"] == json.loads(json.dumps(found.spec)) and stored["hash"] == spec_sha256(found.spec)
        assert json.loads((run / "result.json").read_text())["run"] == side and found.spec_hash == stored["hash"]
        assert [found.ledgers[s] for s in range(6)] == [source.ledgers[s % 4] for s in range(6)]
        assert found.ledger == Ledger.total(found.ledgers.values())
        assert found.not_a_result == "it is planted: its answers are drawn from those of p2o and grpo"
        assert found.stopped == {} and found.method == source.method
        rows = read_samples(samples_path(run, "tb-long"))
        assert {(r.seed, r.eval_seed) for r in rows} == {(s, s) for s in range(6)} and {r.suite for r in rows} == {"tb-long"}
        plain = [r for r in rows if not r.greedy]
        assert {r.index for r in plain} == {0, 1, 2, 3} and {r.index for r in rows if r.greedy} == {0}
        assert found.suites["tb-long"].avg == pytest.approx(np.mean([r.score for r in plain]))
        assert found.macro.ood == found.suites["tb-long"].avg and set(found.macro.per_seed) == set(range(6))
    begun = {s: FirstRollouts(batch="a" * 64, epoch="b" * 64) for s in range(4)}
    stamped = [
        with_result(
            r,
            tmp_path / f"s{i}",
            lambda f: msgspec.structs.replace(f, not_a_result="four problems", stopped={1: "it fell"}, first_rollouts=begun),
        )
        for i, r in enumerate(sources)
    ]
    again = planted(stamped, tmp_path / "stamped")
    own = [load_result(run) for run in again.runs]
    assert [(x.stopped, x.first_rollouts) for x in own] == [({}, {})] * 2, "no seed of it was trained"
    assert load_result(again.runs[0]).not_a_result.startswith("four problems; it is planted: its answers are drawn from")


def test_runs_of_other_questions_cannot_be_planted(sources, tmp_path):
    """Nor those of which one has greedy answers to others."""
    pools = [{False: {"p": [1]}, True: {}}, {False: {"q": [1]}, True: {}}]
    with pytest.raises(UsageError) as e:
        _mixed("tb-long", tuple(pools), 2, np.array([0.5]), np.random.default_rng(0))
    assert str(e.value) == "the runs differ in the questions of tb-long"
    row = read_samples(samples_path(sources[0], "tb-long"))[0]
    pools = [{False: {"p": [row]}, True: {"p": [row]}}, {False: {"p": [row]}, True: {}}]
    with pytest.raises(UsageError) as e:
        _mixed("tb-long", tuple(pools), 2, np.array([0.5]), np.random.default_rng(0))
    assert str(e.value) == "the runs differ in the questions of tb-long that have a greedy pass"
    pools = [{False: {"p": [row]}, True: {}}] * 2
    found = _mixed("tb-long", tuple(pools), 3, np.array([0.5, 0.1]), np.random.default_rng(0))
    assert [(r.seed, r.index, r.greedy, r.problem) for r in found] == [
        (s, i, row.greedy, row.problem) for s in (0, 1) for i in (0, 1, 2)
    ]
    assert all(r.completion == row.completion and r.prompt == row.prompt for r in found)


def test_room_for_an_effect_to_the_digit():
    """Half the effect over the gap, and three standard deviations over it, must leave weights between 0 and 1."""
    assert mixture(10.0, 10.0, 0.0).weights == (1.0, 0.0) and mixture(-10.0, 10.0, 0.0).weights == (0.0, 1.0)
    assert mixture(12.0, 0.0, 2.0).sd == pytest.approx(1 / 6)
    with pytest.raises(UsageError) as e:
        mixture(-12.04, -1.25, 1.9)
    room = "the two runs are 12.0 points apart, which leaves no room for 1.25 points with 1.9 between seeds"
    assert str(e.value) == f"{room}: take runs further apart"
    with pytest.raises(UsageError) as e:
        mixture(0.0, 5.0, 1.0)
    assert str(e.value) == "the two runs score the same, so that no mixture of them makes a difference"


@pytest.fixture(scope="module")
def pools(sources):
    return rates.pools_of(sources)[1]


@pytest.mark.parametrize("n, sd", CELLS)
def test_false_verdicts_keep_their_level(pools, n, sd):
    """4,000 planted pairs without a difference, and as many with one of the margin, where every verdict is wrong most often:
    2.5% of gains, 5% of equivalents and of "no gain"."""
    error = 3 * np.sqrt(0.05 / 4000)
    for effect in (0.0, rates.MARGIN):
        found = rates.row(pools, effect, sd, n, 4000, np.random.default_rng(n))
        assert max(found["gain"], found["loss"], found["contradicted"]) <= 0.025 + error
        assert effect == 0 or max(found["equivalent"], found["no gain"]) <= 0.05 + error
        assert 0.94 - error <= found["interval"] <= 0.98
        assert np.isclose(found["reproduced"] + found["gain, below the claim"], found["gain"])


@pytest.mark.parametrize("n, sd", CELLS)
def test_a_planted_difference_lies_in_the_interval_and_is_seen(pools, n, sd):
    """2,000 pairs; how often 5 points are a gain is what the quadrature of `harness power` says of seeds with this noise."""
    for effect in (2.0, 5.0):
        arms = rates.experiments(pools, effect, sd, n, 2000, np.random.default_rng(n))
        found = rates.row(pools, effect, sd, n, 2000, np.random.default_rng(n))
        assert 0.935 <= found["interval"] <= 0.985 and found["loss"] <= 0.005
        assert found["equivalent"] <= 0.05 and found["no gain"] <= 0.05
        noise = 100 * np.sqrt(np.mean([arm.var(-1, ddof=1).mean() for arm in arms]))
        assert noise > sd, "decoding adds to the spread of seeds"
        assert abs(found["gain"] - of_outcome(effect, rates.MARGIN, Noise(noise), n)["gain"]) < 0.04


def test_the_files_say_what_the_statistics_say(sources, pools, tmp_path):
    """Twelve pairs written, read and compared: their mean difference is the truth, and most intervals hold it."""
    held, differences = 0, []
    for i in range(12):
        made = planted(sources, tmp_path / str(i), effect=2.0, seeds=5, random=i)
        x = compare_runs(made.runs, baseline=1).arms[0].contrasts["macro:ood"]
        differences.append(x.difference)
        held += x.fixed.low <= 0.02 <= x.fixed.high
    simulated = rates.experiments(pools, 2.0, 1.0, 5, 2000, np.random.default_rng(0))
    sd = (simulated[0].mean(-1) - simulated[1].mean(-1)).std()
    assert abs(np.mean(differences) - 0.02) < 4 * sd / np.sqrt(12) and held >= 9
    assert 0.5 < np.std(differences, ddof=1) / sd < 1.7
