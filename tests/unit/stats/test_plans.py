"""Plans of claims: chances by the claim's own rule against simulation, what they rest on, what decoding costs against seeds."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from msgspec import structs

from harness.core.errors import MissingError, UsageError
from harness.data.suites import load_suite
from harness.runs.result import load_result
from harness.stats import chances, scenarios, seeds
from harness.stats.chances import Kinds, Noise
from harness.stats.claims import Claim, claims_dir, find_claim
from harness.stats.looks import levels
from harness.stats.noise import Known, _size, of_question, sources
from harness.stats.plans import AT, Chance, _many, _need, _parts, plan, right_verdicts, sides_of
from harness.stats.power import ceiling, questions_needed
from harness.stats.seeds import Spread, resolution
from harness.stats.verdicts import on_claim, prediction
from support.command import harness
from support.runs import make_run

SUITE = load_suite("tb-long")
R = 20_000


def claim(**more):
    tree = {
        "name": "mine",
        "text": "P2O beats GRPO.",
        "source": "here",
        "metric": "avg@k",
        "suites": ["tb-long"],
        "effect": 8.0,
        "training_set": "testbed",
        "recipe": "testbed",
        "kinds": False,
        "seed_sd": [3.0],
        "arms": {"arm": {"method": "p2o"}, "baseline": {"method": "grpo"}},
        **more,
    }
    return Claim.model_validate(tree)


def judged(c, a, b, spread, level=0.05):
    """The rates of the claim's verdicts on scores of both arms, shares."""
    e = seeds.difference(a, b, spread)
    n = a.shape[-1]
    found = on_claim(e, c.effect / 100, c.margin / 100, prediction(e, (n, n), c.published_seeds), level)
    return {str(name): float(np.mean(found == name)) for name in np.unique(found)}


def test_the_chance_of_every_verdict_where_seeds_scatter():
    c = claim(published_seeds=2, margin=2.0)
    found = plan(c, seeds=(3, 5, 8))
    assert [(x.truth, x.seeds) for x in found.chances] == [(t, n) for t in (8.0, 4.0, 0.0) for n in (3, 5, 8)]
    rng, floor = np.random.default_rng(1), resolution([(SUITE.size, SUITE.k)])
    for x in found.chances:
        arms = (rng.normal(0.5 + shift / 100, 0.03, (R, x.seeds)) for shift in (x.truth, 0.0))
        simulated = judged(c, *arms, Spread(floor=floor))
        assert x.level == 0.05 and x.scenario == "seed sd 3.00"
        assert {k: v for k, v in x.verdicts.items() if v > 0.02} == pytest.approx(
            {k: v for k, v in simulated.items() if x.verdicts[k] > 0.02}, abs=0.02
        )
    see, half, none = found.needs
    assert (see.right, half.right, none.right) == ("a gain", "a gain", "no gain")
    gains = lambda n: 1 - chances.of_claim(8.0, 8.0, 2.0, Noise(3.0, floor=100 * floor), n, 2)["undecided"]  # noqa: E731
    assert gains(see.seeds) >= 0.8 > gains(see.seeds - 1)
    assert see.seeds < none.seeds < half.seeds


def test_the_chance_of_every_verdict_where_seeds_are_of_two_kinds():
    c = claim(kinds=None, effect=34.0, margin=5.0, kind_scores=[12, 80], scores={"arm": 63, "baseline": 29})
    found = plan(c, seeds=(3, 8, 24))
    rng = np.random.default_rng(2)
    for x in found.chances:
        solving = 0.25 + x.truth / 68, 0.25
        arms = [
            np.where(rng.random((R, x.seeds)) < p, rng.normal(0.8, 0.02, (R, x.seeds)), rng.normal(0.12, 0.02, (R, x.seeds)))
            for p in solving
        ]
        simulated = judged(c, *arms, seeds.spread_of(arms, resolution([(SUITE.size, SUITE.k)]), 0.5))
        names = simulated.keys() | x.verdicts.keys()
        assert {n: x.verdicts.get(n, 0) for n in names} == pytest.approx({n: simulated.get(n, 0) for n in names}, abs=0.02)
    known = {k.what: (k.value, k.source) for k in found.known}
    assert known["seeds"] == ("of two kinds, scoring 12.0 or 80.0, each with an sd of 2.0", "the claim's kind_scores")
    assert known["baseline seeds that solve the suites"] == ("25%", "the published score")
    assert {p.seeds for p in found.parts} == {None} and found.needs[0].seeds < found.needs[1].seeds


def test_planned_looks_have_their_levels_and_end_with_a_verdict():
    c = claim(looks=[3, 5, 8])
    found = plan(c, seeds=(4,))
    own = [x for x in found.chances if x.truth == 8.0]
    assert [x.seeds for x in own] == [3, 5, 8] and [x.level for x in own] == list(levels((3, 5), 8)) + [
        levels((3, 5, 8), 8)[-1]
    ]
    undecided = [x.verdicts["undecided"] for x in own]
    assert undecided == sorted(undecided, reverse=True)
    once = chances.of_claim(8.0, 8.0, 1.0, Noise(3.0), 3, 1, own[0].level)
    assert own[0].verdicts["reproduced"] == pytest.approx(once["reproduced"], abs=0.02)
    assert found.needs[0].seeds == next(x.seeds for x in own if x.verdicts["undecided"] <= 0.2)


def test_fewer_tokens():
    c = claim(effect=0.0, tokens=0.6, budget="any", margin=2.0)
    found = plan(c, seeds=(8, 16))
    assert [x.truth for x in found.chances] == [0.6, 0.6, 0.8, 0.8, 1.0, 1.0]
    kept = chances.gain_seen(2.0, 0.0, Noise(3.0), 16)
    assert found.chances[1].verdicts["reproduced"] == pytest.approx(kept, abs=0.03), "without runs tokens do not vary"
    assert found.chances[5].verdicts["no gain"] > 0.97 and found.needs[2].right == "no gain"
    assert any("no runs" in k.source and "most there can be" in k.value for k in found.known)
    assert right_verdicts(c, 0.93) == ("", ()), "a saving that is none is nobody's"


def test_what_there_is_none_of():
    at_the_margin = plan(claim(), truths=[1.0], seeds=(3,))
    assert (at_the_margin.needs[0].right, at_the_margin.needs[0].seeds) == ("", None)
    with pytest.raises(UsageError, match="^a claim needs at least 3 seeds an arm$"):
        plan(claim(), seeds=(2, 3))
    beyond = plan(claim(kinds=True, effect=40.0, scores={"arm": 80, "baseline": 40}, kind_scores=[0, 70]), seeds=(3,))
    assert beyond.notes[0] == "The claimed gain is out of reach: with every seed solving, the arm would gain 30.0 points."


def test_decoding_is_what_a_model_of_questions_says_or_the_samples(tmp_path):
    c = claim()
    modelled = sources(c, [], [], {"tb-long": 0.3}, 0.8)
    difference, both = of_question(0.3, 0.3, 0.8)
    assert modelled.decoding() == pytest.approx(100 * math.sqrt(both / 2 / SUITE.size / SUITE.k))
    assert modelled.decoding(1) == pytest.approx(math.sqrt(SUITE.k) * modelled.decoding())
    assert modelled.question_se == pytest.approx(100 * math.sqrt(difference / SUITE.size))
    assert modelled.floor(1) == pytest.approx(100 / SUITE.size) and modelled.samples(16) == 16 * SUITE.size
    rng = np.random.default_rng(3)
    hard = rng.beta(0.5, 0.5, (1, SUITE.size, 1))
    runs = []
    for m in ("p2o", "grpo"):
        right = rng.random((5, SUITE.size, SUITE.k)) < hard
        runs.append(load_result(make_run(tmp_path / m, m, right, name="tb-long", spec=c.specs["arm"].model_dump(mode="json"))))
    seen = sources(c, runs[:1], runs[1:], {}, 0.8)
    exact = 100 * math.sqrt((hard * (1 - hard)).mean() / SUITE.size / SUITE.k)
    assert seen.decoding() == pytest.approx(exact, rel=0.08), "the questions as they were drawn"
    assert seen.question_se < 1.0, "both arms find the same questions hard"
    assert [k.source for k in seen.known] == ["the given runs", "the samples of the given runs", "the given runs"]


def test_parts_add_up_and_say_what_more_samples_bring():
    found = plan(claim(seed_sd=[2.0], margin=2.0), accuracies={"tb-long": 0.5})
    own, one, *_, many = found.parts
    assert math.hypot(own.training, own.decoding) == pytest.approx(2.0) and own.k is None and (one.k, many.k) == (1, 64)
    assert one.decoding == pytest.approx(8 * many.decoding) and one.training == own.training
    assert all(sum(p.shares) == pytest.approx(1.0) for p in found.parts)
    variance = 2 / AT * (own.training**2 + own.decoding**2)
    q = 100 * math.sqrt(of_question(0.5, 0.5, 0.8)[0] / SUITE.size)
    assert own.shares[2] == pytest.approx(q**2 / (q**2 + variance))
    assert one.seeds > own.seeds >= many.seeds
    assert any("raise k" in n for n in found.notes), "decoding alone makes 1.3 of the 2 points"
    quiet = plan(claim(seed_sd=[0.2], margin=2.0))
    assert any("raised to what decoding alone makes it" in k.source for k in quiet.known)
    loud = plan(claim(seed_sd=[9.0], margin=2.0))
    assert any("add seeds" in n for n in loud.notes) and any("generalises" in n for n in loud.notes)


def runs_of(c, path, scores):
    """A run of each arm whose seeds score as given, in percent."""
    out = []
    for (side, arm), per_seed in zip(c.sides.items(), scores, strict=True):
        right = np.zeros((len(per_seed), SUITE.size * SUITE.k), bool)
        for row, percent in zip(right, per_seed, strict=True):
            row[: round(percent / 100 * row.size)] = True
        spec = c.specs[side].model_dump(mode="json") | {"seeds": list(range(len(per_seed)))}
        out.append(make_run(path / side, arm.method, right.reshape(-1, SUITE.size, SUITE.k), name="tb-long", spec=spec))
    return out


def test_runs_of_the_arms_say_what_to_assume(tmp_path):
    c = claim()
    paths = runs_of(c, tmp_path / "flat", ([40, 44, 48], [30, 33, 36]))
    found = plan(c, [load_result(p) for p in paths], seeds=(3,))
    sd = math.sqrt((16 + 9) / 2)
    own = found.parts[0]
    assert math.hypot(own.training, own.decoding) == pytest.approx(sd, rel=0.02)
    assert found.known[0].source == "the given runs, 4 degrees of freedom"
    two = claim(kinds=None)
    paths = runs_of(two, tmp_path / "two", ([80, 80, 10, 10], [80, 10, 10, 10]))
    found = plan(two, [load_result(p) for p in paths], seeds=(3,))
    known = {k.what: (k.value, k.source) for k in found.known}
    assert known["seeds"] == ("of two kinds, scoring 10.0 or 80.0, each with an sd of 0.0", "the given runs")
    assert known["baseline seeds that solve the suites"] == ("33%", "1 of 4 in the given runs, and one of each kind")


def test_runs_of_an_arm_are_those_of_its_settings_or_else_of_its_method(tmp_path):
    c = claim()
    own = [load_result(p) for p in runs_of(c, tmp_path / "own", ([40, 44, 48], [30, 33, 36]))]
    other = claim(settings={"train.lr": 0.5})
    others = [load_result(p) for p in runs_of(other, tmp_path / "other", ([40, 44, 48], [30, 33, 36]))]
    assert sides_of(c, [*own, *others]) == ({"arm": own[:1], "baseline": own[1:]}, True)
    assert sides_of(c, [own[0], *others]) == ({"arm": own[:1], "baseline": []}, True), "one arm's is enough"
    assert sides_of(c, others) == ({"arm": others[:1], "baseline": others[1:]}, False)
    assert plan(c, others, seeds=(3,)).known[0].source == "the given runs, 4 degrees of freedom"


def test_one_seed_of_each_kind_shows_no_spread_within_it(tmp_path):
    two = claim(kinds=None)
    results = [load_result(p) for p in runs_of(two, tmp_path / "two", ([80, 10], [80, 10]))]
    found = scenarios.Basis()
    scenarios.scenarios_of(two, results, results[1:], sources(two, [], [], {}, 0.8), found)
    assert found.known == [
        Known("seeds", "of two kinds, scoring 10.0 or 80.0, each with an sd of 2.0", "the given runs"),
        Known("baseline seeds that solve the suites", "50%", "1 of 2 in the given runs, and one of each kind"),
    ]


def test_what_seeds_vary_by_within_their_kinds_is_pooled_over_kinds_and_runs(tmp_path):
    two = claim(kinds=None)
    scores = ([80, 86, 10, 12], [84, 10, 10.5, 11])
    results = [load_result(p) for p in runs_of(two, tmp_path / "two", scores)]
    own = [list(r.suites["tb-long"].per_seed.values()) for r in results]
    sides = [[x for x in run if (x >= 0.5) == solved] for run in own for solved in (True, False)]
    squares = sum(sum((x - np.mean(side)) ** 2 for x in side) for side in sides)
    within = math.sqrt(squares / sum(len(side) - 1 for side in sides))
    found = scenarios.Basis()
    [made] = scenarios.scenarios_of(two, results, results[1:], sources(two, [], [], {}, 0.8), found)
    low, high = (np.mean([x for run in own for x in run if (x >= 0.5) == solved]) for solved in (False, True))
    what = f"of two kinds, scoring {100 * low:.1f} or {100 * high:.1f}, each with an sd of {100 * within:.1f}"
    assert found.known[0] == Known("seeds", what, "the given runs") and within > 0.01
    assert made.name == scenarios.KINDS


def test_a_seed_at_the_threshold_solves(tmp_path):
    two = claim(kinds=None)
    results = [load_result(p) for p in runs_of(two, tmp_path / "two", ([50, 50, 10], [10, 10, 10]))]
    assert list(results[0].suites["tb-long"].per_seed.values())[:2] == [0.5, 0.5]
    found = scenarios.Basis()
    scenarios.scenarios_of(two, results, results[1:], sources(two, [], [], {}, 0.8), found)
    assert found.known[0] == Known("seeds", "of two kinds, scoring 10.0 or 50.0, each with an sd of 0.0", "the given runs")
    assert found.known[1] == Known(
        "baseline seeds that solve the suites", "20%", "0 of 3 in the given runs, and one of each kind"
    )


def test_what_does_not_vary_has_no_parts():
    """Seeds that all solve, by answers that are all right."""
    made = scenarios.Scenario(scenarios.KINDS, 0.0, lambda *_: {}, lambda *_: [])
    still = dataclasses.replace(sources(claim(), [], [], {}, 0.8), single=(0.0,), questions=0.0)
    parts = _parts(claim(), made, still, 0.05, 0.8)
    assert {(x.shares, x.training, x.decoding, x.seeds) for x in parts} == {((0.0, 0.0, 0.0), 0.0, 0.0, None)}
    assert [x.k for x in parts] == [None, 1, 4, 16, 64] and {x.scenario for x in parts} == {scenarios.KINDS}


def test_two_kinds_without_a_published_score():
    c = claim(kinds=True, effect=34.0, kind_scores=[12, 80])
    found = plan(c, seeds=(3,))
    assert found.known[0] == Known(
        "seeds", "of two kinds, scoring 12.0 or 80.0, each with an sd of 2.0", "the claim's kind_scores"
    )
    origin = "assumed, both arms about one half: the most seeds"
    assert found.known[1] == Known("baseline seeds that solve the suites", "25%", origin)


def test_a_seeds_score_of_two_kinds_scatters_as_a_coin_does(monkeypatch):
    """Half way between the arms; every chance goes by the level and the looks that were asked for."""
    asked = []
    monkeypatch.setattr(chances, "of_shares", lambda *own: asked.append(own))
    monkeypatch.setattr(chances, "at_looks", lambda *own, **more: asked.append((*own, more)))
    c, kinds = claim(effect=34.0), Kinds(0.12, 0.8)
    found = scenarios._of_kinds(c, kinds, 0.25)
    middle = (0.25 + 0.75) / 2
    assert found.name == scenarios.KINDS and found.sd == pytest.approx(68 * math.sqrt(middle * (1 - middle)))
    found.at(34.0, 5, 0.01)
    found.by_looks(17.0, (3, 5), (0.01, 0.04))
    (solving, of, n, _, level), (_, looks, levels, _, more) = asked
    assert solving == pytest.approx((0.75, 0.25)) and (of, n, level) == (kinds, 5, 0.01)
    assert (looks, levels, more) == ((3, 5), (0.01, 0.04), {"kinds": kinds})
    draws = scenarios._of_kinds(c, kinds, 0.9)
    draws.at(34.0, 5, 0.01)
    draws.at(-90.0, 5, 0.01)
    assert [x[0] for x in asked[2:]] == [(1.0, 0.9), (0.0, 0.9)], "no more than all of them, no less than none"


def test_scattering_scores_have_the_floor_of_their_resolution(monkeypatch):
    asked = []
    monkeypatch.setattr(chances, "at_looks", lambda *own: asked.append(own))
    monkeypatch.setattr(chances, "of_claim", lambda *own: asked.append(own))
    c = claim(margin=2.0, published_seeds=4)
    noise = sources(c, [], [], {}, 0.8)
    found = scenarios._scattering(c, 3.0, noise)
    found.at(8.0, 5, 0.01)
    found.by_looks(4.0, (3, 5), (0.01, 0.04))
    (of_claim, (draw, *looks, _, floor)) = asked
    assert of_claim == (8.0, 8.0, 2.0, Noise(3.0, floor=noise.floor()), 5, 4, 0.01)
    assert (looks, floor) == ([(3, 5), (0.01, 0.04)], noise.floor()) and floor > 0
    a, b = draw(np.random.default_rng(0), 20_000, 2)
    assert (a.mean() - b.mean(), a.std(), b.std()) == pytest.approx((4.0, 3.0, 3.0), abs=0.1)


def test_the_rule_of_a_plan_is_that_of_a_claims_verdict():
    """With the interval of the published score, in points or in shares."""
    c = claim(published_seeds=3, margin=2.0)
    rng = np.random.default_rng(5)
    for unit in (1.0, 0.01):
        a, b = (rng.normal(m, 3 * unit, (R, 4)) for m in (6 * unit, 0.0))
        e = seeds.difference(a, b, Spread())
        found = scenarios._rule(c, unit)(e, 4, 0.05)
        assert (found == on_claim(e, 8 * unit, 2 * unit, prediction(e, (4, 4), 3), 0.05)).all()
        assert len(np.unique(found)) >= 4


def test_how_tokens_vary_is_said(tmp_path):
    c = claim(effect=0.0, tokens=0.6, budget="any")
    none = plan(c, seeds=(3,))
    words = "taken not to vary over seeds: the chances are the most there can be"
    assert Known("tokens", words, "no runs") in none.known
    paths = runs_of(c, tmp_path, ([40, 44, 48], [30, 33, 36]))
    results = [load_result(p) for p in paths]
    logs = [[math.log(x.sampled_tokens) for x in r.ledgers.values()] for r in results]
    spread = math.sqrt(np.mean([np.var(x, ddof=1) for x in logs]))
    assert Known("tokens", f"vary by {100 * spread:.1f}% over seeds", "the given runs") in plan(c, results, seeds=(3,)).known


def test_seeds_of_a_part_are_the_fewest_at_its_level():
    c = claim(seed_sd=[3.0], margin=2.0)
    for alpha in (0.05, 0.2):
        found = plan(c, seeds=(3,), alpha=alpha)
        floor = sources(c, [], [], {}, 0.8).floor
        for part in found.parts:
            own = Noise(math.hypot(part.training, part.decoding), floor=floor(part.k))
            seen = [n for n in range(3, 60) if chances.gain_seen(8.0, 2.0, own, n, alpha) >= 0.8]
            assert part.seeds == seen[0]
    part = found.parts[0]
    own = Noise(math.hypot(part.training, part.decoding), floor=floor(None))
    exactly = chances.gain_seen(8.0, 2.0, own, 7, 0.05)
    assert plan(c, seeds=(3,), wanted=exactly).parts[0].seeds == 7, "what is wanted is enough"


def test_the_advice_in_words():
    c = claim(seed_sd=[2.0], margin=1.0)
    wanted = 0.9
    found = plan(c, accuracies={"tb-long": 0.5}, seeds=(3,), wanted=wanted)
    own, *others = found.parts
    many = others[-1]
    share = 100 * (own.decoding**2 - many.decoding**2) / 2.0**2
    assert share > 100 / 3 and many.seeds < own.seeds
    more = f"64 samples per question would take away {share:.0f}% of a seed's variance"
    known = sources(c, [], [], {"tb-long": 0.5}, 0.8)
    new = Noise(2.0, known.question_se, known.floor())
    chance = chances.gain_seen(8.0, 0.0, new, own.seeds, 0.05)
    most = ceiling(8.0, known.question_se, 0.05)
    wider = f"{100 * chance:.0f}% at {own.seeds} seeds that it generalises to new questions, {100 * most:.0f}% at most"
    factor = questions_needed(8.0, new, own.seeds, 0.05, wanted)
    assert chance < wanted < most < 1 and factor > 1
    assert found.notes == [
        f"seed sd 2.00: raise k, {more}, and {many.seeds} seeds do what takes {own.seeds} now.",
        f"seed sd 2.00: {wider}; suites {factor:.2g} times as large would make it 90%.",
    ]
    loud = plan(claim(seed_sd=[9.0], margin=2.0), accuracies={"tb-long": 0.5}, seeds=(3,))
    own, *_, many = loud.parts
    share = 100 * (own.decoding**2 - many.decoding**2) / 9.0**2
    more = f"64 samples per question would take away {share:.0f}% of a seed's variance"
    assert loud.notes[0] == f"seed sd 9.00: add seeds, {more} only."
    assert (_many(7), _many(None)) == ("7", "more than 200")


def test_greedy_answers_have_no_more_samples(monkeypatch):
    strict = find_claim("p2o-deepscaler-5k-strict")
    card = SUITE
    sampled, greedy = (type("Pass", (), {"greedy": x, "k": 7}) for x in (False, True))
    assert _size(card, sampled) == (SUITE.size, 7, True) and _size(card, greedy) == (SUITE.size, 1, False)
    sampled.k = None
    assert _size(card, sampled) == (SUITE.size, SUITE.k, True)
    cold = dataclasses.replace(card, temperature=0.0)
    assert _size(cold, sampled) == (SUITE.size, 1, False)
    real = sources(strict, [], [], {}, 0.8)
    none = dataclasses.replace(real, sizes=tuple((n, 1, False) for n, _, _ in real.sizes))
    monkeypatch.setattr("harness.stats.plans.sources", lambda *_: none)
    found = plan(strict, seeds=(3,))
    assert {part.k for part in found.parts} == {None}
    names = dict.fromkeys(part.scenario for part in found.parts)
    said = [f"{name}: add seeds, there are no more samples to be had." for name in names]
    assert [n for n in found.notes if "add seeds" in n] == said


def test_what_is_known_is_said_in_words():
    c = claim()
    found = sources(c, [], [], {"tb-long": 0.3}, 0.8)
    model = "a model of suites that hard, agreement 0.8"
    decoding, questions = (f"{x:.2f}" for x in (found.decoding(), found.question_se))
    assert found.known == (
        Known("accuracy", "tb-long 30", "--scores"),
        Known("decoding", f"{decoding} points of a seed's score", model),
        Known("questions", f"{questions} points of a difference", model),
    )
    assert sources(c, [], [], {}, 0.8).known[0] == Known("accuracy", "tb-long 50", "assumed, half right")
    published = claim(effect=34.0, scores={"arm": 63, "baseline": 29})
    assert sources(published, [], [], {}, 0.8).known[0] == Known("accuracy", "tb-long 46", "as published")


def test_claims_by_name_and_by_file(tmp_path):
    assert find_claim("testbed-latent").name == "testbed-latent"
    path = tmp_path / "mine.yaml"
    path.write_text((claims_dir() / "testbed-latent.yaml").read_text())
    assert find_claim(str(path)).name == "mine"
    with pytest.raises(UsageError, match="^unknown claim 'testbed-laten'.*testbed-latent"):
        find_claim("testbed-laten")
    with pytest.raises(MissingError, match=r"^no claim at .*none\.yaml$"):
        find_claim(str(tmp_path / "none.yaml"))


def test_command(capsys, tmp_path):
    code, out, _ = harness(capsys, "power", "--claim", "p2o-deepscaler-5k", "--seeds", "3,8", "--json")
    tree = json.loads(out.splitlines()[-1])
    assert code == 0 and tree["claim"] == "p2o-deepscaler-5k" and len(tree["chances"]) == 2 * 3 * 2
    code, out, _ = harness(capsys, "power", "--claim", "testbed-latent", "--effect", 30)
    assert code == 0 and "+30.00" in out and "two kinds of seeds" in out and "of two kinds, scoring" in out
    code, out, _ = harness(capsys, "power", "--solved", "1/8,7/8", "--seeds", 8)
    assert code == 0 and "87.4" in out
    wrong = [
        [],
        ["--claim", "testbed-latent", "--solved", "1/8,3/8"],
        ["--effect", 2, "--solved", "1/8,3/8"],
        ["--claim", "testbed-latent", "--margin", 2],
        ["--claim", "testbed-latent", "--seed-sd", 2],
        ["--claim", "testbed-latent", "--scores", "aime24=50"],
        ["--solved", "1/8,3/8", "--seed-sd", 2],
    ]
    for words in wrong:
        assert harness(capsys, "power", *words)[0] == 2
    assert harness(capsys, "power", "--claim", tmp_path / "none.yaml")[0] == 3
    other = make_run(tmp_path / "other", "grpo", np.ones((3, 5, 2), bool), name="tb-format")
    code, _, err = harness(capsys, "power", "--claim", "testbed-latent", "--pilot", other)
    assert code == 2 and "none of the given runs was evaluated on tb-long, tb-format, tb-family" in err


def test_a_need_is_the_fewest_seeds_from_which_on_the_right_verdict_is_likely_enough():
    """Where seeds are of two kinds a chance may dip: 6 are enough, 7 are not, 8 and all above are. Both gains are right."""
    c, asked = claim(), []

    def at(truth, n, level):
        asked.append((truth, level))
        low = 0.25 if n == 6 or n >= 8 else 0.125
        return {"reproduced": 0.5, "gain, below the claim": low, "no gain": 0.2}

    made = scenarios.Scenario(scenarios.KINDS, 1.0, at, lambda *_: [])
    found = _need(c, made, 8.0, [], 0.2, 0.75)
    assert (found.scenario, found.truth, found.right, found.seeds) == (scenarios.KINDS, 8.0, "a gain", 8)
    assert set(asked) == {(8.0, 0.2)}
    assert _need(c, made, 8.0, [], 0.2, 0.76).seeds is None
    assert _need(c, made, 0.0, [], 0.2, 0.2) == dataclasses.replace(found, truth=0.0, right="no gain", seeds=3)
    at_margin = _need(c, made, 1.0, [], 0.2, 0.2)
    assert at_margin == dataclasses.replace(found, truth=1.0, right="", seeds=None)


def test_the_need_of_a_plan_with_looks_is_the_first_look_that_is_likely_enough():
    c = claim(looks=[3, 5, 8])
    made = scenarios.Scenario("seed sd 3.00", 3.0, lambda *_: pytest.fail("several looks are not one"), lambda *_: [])
    chance = {3: 0.5, 5: 0.75, 8: 0.875}
    rows = [Chance(made.name, 8.0, n, 0.05, {"reproduced": share}) for n, share in chance.items()]
    assert [_need(c, made, 8.0, rows, 0.05, wanted).seeds for wanted in (0.5, 0.75, 0.76, 0.9)] == [3, 5, 8, None]


def test_right_verdicts():
    gains, none = ("reproduced", "gain, below the claim"), ("no gain", "contradicted")
    c = claim(margin=2.0)
    found = [right_verdicts(c, truth) for truth in (8.0, 2.1, 2.0, 1.9, 0.0, -5.0)]
    assert found == [("a gain", gains)] * 2 + [("", ())] + [("no gain", none)] * 3
    saving = claim(effect=0.0, tokens=0.6, budget="any")
    found = [right_verdicts(saving, share) for share in (0.6, 0.89, 0.9, 0.99, 1.0, 1.2)]
    assert found == [("a saving", gains)] * 2 + [("", ())] * 2 + [("no gain", ("no gain",))] * 2


def test_a_plan_of_fewer_tokens_says_that_looks_do_not_add_up():
    """Each by itself, at its own level; one remark for each standard deviation of seeds."""
    plain = {"effect": 0.0, "tokens": 0.6, "budget": "any", "margin": 2.0, "seed_sd": [3.0]}
    c = claim(**plain, looks=[3, 5, 8])
    found = plan(c)
    words = "Each look by itself: what several together add up to is not planned for claims about tokens."
    assert found.notes.count(words) == 1 and words not in plan(claim(**plain), seeds=(3,)).notes
    assert {x.scenario for x in found.chances} == {"seed sd 3.00"}
    [made] = scenarios.scenarios_of(c, [], [], sources(c, [], [], {}, 0.8), scenarios.Basis())
    assert made.sd == 3.0
    at = levels((3, 5), 8) + levels((3, 5, 8), 8)[-1:]
    own = [x for x in found.chances if x.truth == 0.6]
    assert [x.verdicts for x in own] == [made.at(0.6, n, level) for n, level in zip((3, 5, 8), at, strict=True)]


def test_chances_of_a_claim_of_fewer_tokens_have_the_noise_of_scores_and_of_tokens(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(chances, "of_tokens", lambda *own: asked.append(own) or {})
    c = claim(effect=0.0, tokens=0.6, budget="any", margin=2.0)
    noise, basis = sources(c, [], [], {}, 0.8), scenarios.Basis()
    results = []
    for path in runs_of(c, tmp_path, ([40, 44, 48], [30, 33, 36])):
        r = load_result(path)
        paid = {
            seed: dataclasses.replace(x, reflection_tokens=0, generated_tokens=1000 + 200 * seed)
            for seed, x in r.ledgers.items()
        }
        results.append(structs.replace(r, ledgers=paid))
    for runs in ([], results):
        scenarios._tokens(c, 3.0, runs, noise, basis).at(0.7, 5, 0.01)
    logs = [[math.log(x.sampled_tokens) for x in r.ledgers.values()] for r in results]
    spread = math.sqrt(np.mean([np.var(x, ddof=1) for x in logs]))
    scores = Noise(3.0, floor=noise.floor())
    none, some = asked
    assert none == (0.7, 0.6, 0.0, 2.0, scores, Noise(1e-6, floor=0.001), 5, 0.01)
    assert some[:5] == none[:5] and some[6:] == none[6:]
    assert some[5].seed_sd == pytest.approx(spread) and spread > 0.1 and some[5].floor == 0.001


def test_seed_sds_are_the_runs_or_the_claims_and_no_less_than_decoding(tmp_path):
    """In rising order, each once."""
    c = claim(seed_sd=[4.0, 2.5])
    noise, basis = sources(c, [], [], {}, 0.8), scenarios.Basis()
    assert scenarios._seed_sds(c, [], noise, basis) == [2.5, 4.0]
    results = [load_result(p) for p in runs_of(c, tmp_path / "some", ([40, 44, 48], [30, 33, 36]))]
    [sd] = scenarios._seed_sds(c, results, noise, basis)
    assert sd == pytest.approx(math.sqrt((16 + 9) / 2), rel=0.02)
    same = [load_result(p) for p in runs_of(c, tmp_path / "same", ([40, 40, 40], [30, 30, 30]))]
    assert scenarios._seed_sds(c, same, noise, basis) == [2.5, 4.0], "no spread is none that could be planned with"
    low = noise.decoding()
    assert scenarios._seed_sds(claim(seed_sd=[low / 2, low / 3, 4.0]), [], noise, basis) == [low, 4.0]
    assert basis.known == [
        Known("seed sd", "2.50, 4.00", "the claim's seed_sd"),
        Known("seed sd", f"{sd:.2f}", "the given runs, 4 degrees of freedom"),
        Known("seed sd", "2.50, 4.00", "the claim's seed_sd"),
        Known("seed sd", f"{low:.2f}, 4.00", "the claim's seed_sd, raised to what decoding alone makes it"),
    ]


def test_how_far_a_gain_generalises_is_at_the_level_of_the_plan():
    """The chance with the seeds that see it, the most that any number of seeds gives, and how much larger suites would be."""
    c = claim(seed_sd=[3.0], margin=1.0)
    known = sources(c, [], [], {"tb-long": 0.5}, 0.8)
    new = Noise(3.0, known.question_se, known.floor())
    for alpha in (0.05, 0.3):
        found = plan(c, accuracies={"tb-long": 0.5}, seeds=(3,), alpha=alpha, wanted=0.95)
        seen = found.parts[0].seeds
        chance, most = chances.gain_seen(8.0, 0.0, new, seen, alpha), ceiling(8.0, known.question_se, alpha)
        words = (
            f"seed sd 3.00: {100 * chance:.0f}% at {seen} seeds that it generalises to new questions, {100 * most:.0f}% at most"
        )
        factor = questions_needed(8.0, new, seen, alpha, 0.95)
        if chance < 0.95 and factor is not None:
            words += f"; suites {factor:.2g} times as large would make it 95%"
        assert f"{words}." in found.notes
    assert f"{100 * ceiling(8.0, known.question_se, 0.05):.0f}" != f"{100 * most:.0f}"


def test_more_samples_that_save_no_seeds_are_said_to_save_none():
    found = plan(claim(seed_sd=[1.4], margin=1.0), accuracies={"tb-long": 0.5}, seeds=(3,))
    own, *_, many = found.parts
    share = 100 * (own.decoding**2 - many.decoding**2) / 1.4**2
    assert own.seeds == many.seeds and share > 100 / 3
    assert (
        found.notes[0] == f"seed sd 1.40: raise k, 64 samples per question would take away {share:.0f}% of a seed's variance."
    )
