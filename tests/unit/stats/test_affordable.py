"""What a budget decides, against simulated seeds that go through the rules of `harness compare`."""

import math
import statistics

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.runs.result import load_result, runs_below
from harness.stats import seeds
from harness.stats.affordable import PUBLISHED_SD, SeedSd, decide, spread_of
from harness.stats.claims import Claim
from harness.stats.verdicts import outcome
from support.paths import ROOT

HOURS = {"p2o": 60.0, "grpo": 25.0, "gepa": 15.0}
REPS = 40_000


def simulated(effect, sd, n, margin=1.0):
    """Shares of verdicts, through the code that decides."""
    rng = np.random.default_rng(7)
    a, b = (rng.normal(mean, sd, (REPS, n)) for mean in (effect, 0.0))
    found = np.asarray(outcome(seeds.difference(a, b), margin))
    return {name: float(np.mean(found == name)) for name in ("gain", "loss", "equivalent")}


@pytest.mark.parametrize(("budget", "sd", "n"), [(310, 2.0, 3), (560, 2.0, 5), (850, 1.0, 8)])
def test_the_printed_chances_are_those_of_simulated_experiments(budget, sd, n):
    d = decide(budget, HOURS, "grpo", SeedSd(sd, "given")).designs[0]
    assert d.seeds == n == math.floor(budget / 100)
    assert simulated(d.detectable, sd, n)["gain"] == pytest.approx(0.8, abs=0.015)
    claimed = simulated(4.7, sd, n)
    assert claimed["gain"] == pytest.approx(d.seen, abs=0.015)
    assert claimed["loss"] + claimed["equivalent"] == pytest.approx(d.wrong, abs=0.005)
    assert simulated(0.0, sd, n)["equivalent"] == pytest.approx(d.equal, abs=0.015)


def test_fewer_arms_get_more_seeds():
    found = decide(500, HOURS, "grpo", SeedSd(2.0, "given"))
    assert [d.arms for d in found.designs] == [("p2o", "grpo", "gepa"), ("p2o", "grpo"), ("gepa", "grpo")]
    assert [d.seeds for d in found.designs] == [5, 5, 12]
    assert found.designs[2].detectable < found.designs[0].detectable
    assert len(decide(500, {"p2o": 60.0, "grpo": 25.0}, "grpo", SeedSd(2.0, "given")).designs) == 1


def test_what_would_be_enough_is_enough_and_no_less():
    found = decide(310, HOURS, "grpo", SeedSd(2.0, "given"))
    assert found.hours_needed == found.seeds_needed * 100
    assert decide(found.hours_needed, HOURS, "grpo", found.spread).designs[0].seen >= 0.8
    assert decide(found.hours_needed - 1, HOURS, "grpo", found.spread).designs[0].seen < 0.8


def test_too_little_to_say_anything():
    found = decide(150, HOURS, "grpo", SeedSd(2.0, "given"))
    assert found.designs[0].seeds == 1 and found.designs[0].detectable is None
    assert decide(10, HOURS, "grpo", SeedSd(2.0, "given")).designs[0].seeds == 0


@pytest.mark.parametrize(
    ("hours", "more", "told"),
    [
        ({"grpo": 1.0}, {}, "two arms"),
        ({"p2o": 1.0, "gepa": 1.0}, {}, "the baseline among them"),
        (HOURS, {"effect": 1.0}, "must be above the margin"),
    ],
)
def test_what_is_no_design(hours, more, told):
    with pytest.raises(UsageError, match=told):
        decide(100, hours, "grpo", SeedSd(2.0, "given"), **more)


def test_the_default_is_what_claims_are_planned_with():
    assert spread_of(None).sd == PUBLISHED_SD == max(Claim.model_fields["seed_sd"].default)


def test_the_spread_of_a_board_is_pooled_over_its_runs():
    board = ROOT / "leaderboards" / "skills"
    runs = [load_result(p) for p in runs_below(board)]
    variances = [statistics.variance(100 * s.ood for s in r.macro.per_seed.values()) for r in runs]
    found = spread_of(str(board))
    assert found.sd == pytest.approx(math.sqrt(statistics.fmean(variances))), "all have eight seeds"
    assert f"{len(runs)} runs in skills" in found.source and found.sd == pytest.approx(1.44, abs=0.01)


@pytest.mark.parametrize(("word", "told"), [("0", "above 0"), ("-1", "above 0"), ("nan", "above 0"), ("inf", "above 0")])
def test_no_spread(word, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        spread_of(word)
    with pytest.raises(UsageError, match="neither"):
        spread_of("runs/none")
    with pytest.raises(UsageError, match="no run below"):
        spread_of(str(tmp_path))
