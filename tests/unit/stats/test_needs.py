"""What an assessment would take: seeds from the spread of runs, and the two commands as a shell reads them."""

import math
import shlex
import statistics

import pytest
from msgspec.structs import replace

from harness.data.suites import load_suite
from harness.runs.result import Macro, RoleMeans
from harness.stats.chances import MAX_SEEDS, Noise, gain_seen
from harness.stats.claims import MIN_SEEDS, Claim
from harness.stats.needs import needs, seeds_line
from support.results import result, suite_scores


def claim(suites=("tb-long",), settings=None, **more):
    tree = {
        "name": "mine",
        "text": "P2O beats GRPO.",
        "source": "here",
        "metric": "avg@k",
        "suites": list(suites),
        "effect": 10.0,
        "training_set": "testbed",
        "recipe": "testbed",
        "settings": settings or {},
        "arms": {"arm": {"method": "p2o"}, "baseline": {"method": "grpo"}},
        **more,
    }
    return Claim.model_validate(tree)


def fewest(distance, sd, level):
    """The fewest seeds with which an interval's end passes a bound that far from the truth in 80% of cases, one by one."""
    return next(n for n in range(3, 1000) if gain_seen(distance, 0.0, Noise(sd), n, 2 * level) >= 0.8)


def pilot(scores):
    """A run with these scores by suite and seed."""
    suites = {name: suite_scores(per_seed, role="ood") for name, per_seed in scores.items()}
    seeds = next(iter(scores.values()))
    per = {s: RoleMeans(id=None, ood=statistics.fmean(x[s] for x in scores.values())) for s in seeds}
    macro = Macro(id=None, ood=statistics.fmean(s.avg for s in suites.values()), per_seed=per)
    return replace(result(scores=dict.fromkeys(seeds, 0.0)), suites=suites, macro=macro)


def test_seeds_come_from_the_spread_of_the_claims_own_average():
    both = claim(["tb-long", "tb-format"])
    pilots = [
        pilot({"tb-long": {0: 0.1, 1: 0.3, 2: 0.2}, "tb-format": {0: 0.2, 1: 0.2, 2: 0.5}}),
        pilot({"tb-long": {5: 0.7, 6: 0.4}, "tb-format": {5: 0.7, 6: 0.6}}),
        pilot({"tb-long": {0: 0.0, 1: 1.0}}),  # without one of the suites it says nothing
    ]
    means = [[15, 25, 35], [70, 50]]
    sd = math.sqrt(sum(statistics.variance(x) * (len(x) - 1) for x in means) / 3)
    line = needs(both, pilots)[0]
    assert line == seeds_line(both, [sd], "the given runs") and line.endswith("(from the given runs)")
    assert f"{fewest(9.0, sd, 0.025)} to see it and more than {MAX_SEEDS} to exclude 1 " in line
    assert f" at a seed sd of {sd:.1f} " in line


def test_a_small_spread_is_a_spread():
    mine = claim(effect=1.0, margin=0.5)
    found = needs(mine, [pilot({"tb-long": {0: 0.400, 1: 0.403, 2: 0.406}})])[0]  # an sd of 0.3 points
    assert found == seeds_line(mine, [0.3], "the given runs") and "at a seed sd of 0.3 (from the given runs)" in found


@pytest.mark.parametrize("scores", [None, {0: 0.4}, {0: 0.4, 1: 0.4}])
def test_without_a_spread_the_claim_says_which_to_assume(scores):
    mine = claim(seed_sd=(1.0, 3.0))
    line = needs(mine, [] if scores is None else [pilot({"tb-long": scores})])[0]
    see, exclude = ([f(sd) for sd in (1.0, 3.0)] for f in (lambda sd: fewest(9.0, sd, 0.025), lambda sd: fewest(1.0, sd, 0.05)))
    assert line == (
        "seeds per arm for an 80% chance of a verdict on a gain of 10 points: "
        f"{see[0]} to see it and {exclude[0]} to exclude 1 if there is none at a seed sd of 1.0, "
        f"{see[1]} to see it and {exclude[1]} to exclude 1 if there is none at a seed sd of 3.0"
    )


def test_seeds_in_words():
    assert seeds_line(claim(effect=1.5), [0.01, 90.0], "") == (
        "seeds per arm for an 80% chance of a verdict on a gain of 1.5 points: "
        f"{MIN_SEEDS} to see it and {MIN_SEEDS} to exclude 1 if there is none at a seed sd of 0.0, "
        f"more than {MAX_SEEDS} to see it and more than {MAX_SEEDS} to exclude 1 if there is none at a seed sd of 90.0"
    )


def test_the_commands_are_what_a_shell_needs():
    odd = {"train.lr": 0.001, "model.chat_template": True, "testbed.world": "open", "local.threads": 2}
    mine = claim(["tb-long", "tb-format"], settings=odd)
    _, first, cost, second, _ = needs(mine)
    for line, method in ((first, "p2o"), (second, "grpo")):
        words = ["harness", "run", "--method", method, "--recipe", "testbed", "--bench", "tb-long,tb-format"]
        sets = ["train.lr=0.001", "model.chat_template=true", "testbed.world=open", "local.threads=2"]
        words += [w for s in sets for w in ("--set", s)]
        assert shlex.split(line) == [*words, "--seeds", "0,1,2"]
    [cap] = [w for w in shlex.split(needs(claim(settings={"model.revision": "Branch-B"}))[1]) if w.startswith("model.revision")]
    assert cap == "model.revision=Branch-B", "only a truth value loses its capital"
    samples = sum(load_suite(name).size * load_suite(name).k for name in ("tb-long", "tb-format"))
    assert cost.startswith("  per seed: at most ") and f"{samples:,} evaluation samples" in cost
    assert " rollouts and " in cost and " tokens, " in cost and " optimiser steps, " in cost


def test_a_set_from_a_file_needs_its_folder_and_a_limit_to_be_planned():
    tree = {"training_set": "gsm8k", "recipe": "qwen2.5-0.5b-gsm8k"}
    lines = needs(claim(["gsm8k"], **tree))
    assert all(line.endswith(" --data-dir DATA --seeds 0,1,2") for line in lines[1::2])
    assert lines[2] == "  its cost depends on the data: see --dry-run" == lines[4]
    limited = needs(claim(["gsm8k"], settings={"train.limit": 128}, **tree))
    assert all(line.startswith("  per seed: at most ") for line in limited[2::2])
