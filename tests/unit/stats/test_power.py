"""Power against simulation with the tests themselves, against closed forms, and against the tables it was designed by."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import chi2, norm, t, ttest_ind

from harness.core.errors import UsageError
from harness.runs.result import Macro, RoleMeans
from harness.stats import intervals
from harness.stats import power as planner
from harness.stats.chances import MAX_SEEDS, Noise, gain_seen
from harness.stats.noise import parse_scores, question_se
from harness.stats.power import Design, answer, ceiling, designs
from support.results import result, sample, suite_scores
from support.runs import make_run, write_run


def power(effect, sd, seeds, q=0.0, alpha=0.05, question_df=math.inf):
    """The chance to see a gain above nothing."""
    return gain_seen(effect, 0.0, Noise(sd, q, question_df=question_df), seeds, alpha)


def seeds_needed(effect, sd, q=0.0, alpha=0.05, wanted=0.8, question_df=math.inf):
    return planner.seeds_needed(effect, Noise(sd, q, question_df=question_df), alpha, wanted)


def questions_needed(effect, sd, q, seeds, alpha=0.05, wanted=0.8):
    return planner.questions_needed(effect, Noise(sd, q), seeds, alpha, wanted)


def detectable(sd, seeds, q=0.0, alpha=0.05, wanted=0.8):
    return planner.detectable(Noise(sd, q), seeds, alpha, wanted)


@pytest.mark.parametrize(("seeds", "effect", "q"), [(2, 4.0, 0.0), (3, 2.5, 0.0), (5, 1.5, 0.0), (3, 3.0, 1.2)])
def test_power_is_the_rate_at_which_the_test_rejects(seeds, effect, q):
    rng, n = np.random.default_rng(0), 20000
    question = q * rng.standard_normal((n, 1))
    a, b = effect + question + rng.standard_normal((n, seeds)), rng.standard_normal((n, seeds))
    if q:
        va, vb = a.var(1, ddof=1) / seeds, b.var(1, ddof=1) / seeds
        v = va + vb + q**2
        df = v**2 / ((va**2 + vb**2) / (seeds - 1))
        these = t.ppf(0.975, (va + vb) ** 2 / ((va**2 + vb**2) / (seeds - 1))) * np.sqrt(va + vb)
        rejected = a.mean(1) - b.mean(1) > np.maximum(t.ppf(0.975, df) * np.sqrt(v), these)
    else:
        rejected = ttest_ind(a, b, axis=1, equal_var=False, alternative="greater").pvalue < 0.025
    assert power(effect, 1.0, seeds, q) == pytest.approx(rejected.mean(), abs=4 * math.sqrt(0.25 / n))


def test_many_seeds_are_a_z_test():
    for effect in (0.0, 0.3, 0.5):
        z = effect / math.sqrt(2 / 200)
        normal = norm.sf(1.96 - z)
        assert power(effect, 1.0, 200) == pytest.approx(normal, abs=0.01)
    assert power(2.8016, 1e-6, 50, 1.0) == pytest.approx(0.8, abs=1e-3) == ceiling(2.8016, 1.0)


DECODE = 0.43
EFFECTS = [(4.7, 0.05), (4.7, 0.01), (3.0, 0.05), (3.0, 0.01), (2.0, 0.05), (2.0, 0.01), (1.2, 0.05), (1.2, 0.01)]


@pytest.mark.parametrize(
    ("sd", "designed"),
    [
        (0.5, [3, 3, 3, 4, 4, 5, 7, 10]),
        (1.0, [3, 4, 4, 6, 6, 9, 15, 22]),
        (1.5, [4, 5, 6, 9, 11, 16, 28, 42]),
        (2.0, [5, 7, 9, 13, 18, 27, 48]),
        (2.5, [6, 9, 13, 19, 27, 40]),
        (3.0, [8, 12, 18, 26, 38, 56]),
    ],
)
def test_seeds_on_these_questions_as_designed(sd, designed):
    """The design's table was simulated; where ours differs, its number has 80% power within that simulation's error."""
    for (effect, alpha), wanted in zip(EFFECTS, designed, strict=False):
        found = seeds_needed(effect, math.hypot(sd, DECODE), 0.0, alpha)
        if found != wanted:
            assert abs(found - wanted) == 1
            assert power(effect, math.hypot(sd, DECODE), min(found, wanted), 0.0, alpha) == pytest.approx(0.8, abs=0.015)


@pytest.mark.parametrize(
    ("q", "designed", "limit"),
    [
        (1.1, [3, 3, 4, 6], 0.99),
        (1.4, [3, 4, 7, 11], 0.92),
        (1.7, [None] * 4, 0.79),
    ],
)
def test_seeds_on_new_questions_as_designed(q, designed, limit):
    assert [seeds_needed(4.7, math.hypot(sd, DECODE), q) for sd in (0.5, 1.0, 1.5, 2.0)] == designed
    assert round(ceiling(4.7, q), 2) == limit


def test_inverses():
    x = detectable(1.5, 5, 0.8)
    assert power(x, 1.5, 5, 0.8) == pytest.approx(0.8, abs=1e-3)
    factor = questions_needed(4.7, 2.0, 1.5, 5)
    assert factor > 1 and power(4.7, 2.0, 5, 1.5 / math.sqrt(factor)) == pytest.approx(0.8, abs=2e-3)
    assert questions_needed(4.7, 2.0, 1.5, 3) is None, "three seeds are too few whatever the questions"
    assert questions_needed(4.7, 0.5, 0.5, 5) == 1.0
    assert seeds_needed(0.01, 5.0) is None


def test_command(capsys, tmp_path):
    from support.command import harness

    for margin, needed in (([], [3, 6]), (["--margin", 0], [3, 5])):
        code, out, _ = harness(capsys, "power", "--effect", 4.7, "--seed-sd", 1, "--seed-sd", 2, *margin, "--json")
        assert code == 0 and [r["seeds_these_questions"] for r in json.loads(out)["rows"]] == needed
    code, out, _ = harness(capsys, "power", "--effect", 4.7, "--seed-sd", 2, "--question-se", 1.7)
    assert code == 0 and "never" in out
    rng = np.random.default_rng(0)
    runs = [make_run(tmp_path / m, m, rng.random((3, 40, 4)) < p) for m, p in (("grpo", 0.4), ("p2o", 0.6))]
    code, out, _ = harness(capsys, "power", "--effect", 10, "--pilot", runs[0], "--pilot", runs[1], "--json")
    [macro, suite] = json.loads(out)["rows"]
    assert code == 0 and macro["seed_df"] == 4 and suite["question_se"] >= 0
    both = ["--seed-sd", 1, "--scores", "aime24=50", "--question-se", 1]
    for wrong in ([], ["--seed-sd", 1, "--pilot", runs[0]], ["--seed-sd", -1], both):
        assert harness(capsys, "power", "--effect", 4.7, *wrong)[0] == 2
    assert harness(capsys, "power", "--effect", 0, "--seed-sd", 1)[0] == 2


# ------------------------------------------------------------------ against integrals, scans and hand calculations


def by_integration(effect, sd, seeds, question_se=0.0, alpha=0.05, question_df=math.inf, n=400):
    """The same probability as a mean over both arms' sample variances, each at `n` quantiles of its own chi-square."""
    nu, at = seeds - 1, (np.arange(n) + 0.5) / n
    one = sd**2 * chi2.ppf(at, nu) / nu / seeds
    a, b = one[:, None], one[None, :]
    v = a + b + question_se**2
    df = v**2 / ((a**2 + b**2) / nu + question_se**4 / question_df)
    these = t.ppf(1 - alpha / 2, nu * (a + b) ** 2 / (a**2 + b**2)) * np.sqrt(a + b)  # new questions are never surer
    reach = np.maximum(t.ppf(1 - alpha / 2, df) * np.sqrt(v), these)
    return float(norm.sf((reach - effect) / math.sqrt(2 * sd**2 / seeds + question_se**2)).mean())


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("effect", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("q", "question_df"), [(0.0, math.inf), (0.7, math.inf), (0.7, 5.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_power_is_the_integral_over_both_variances(seeds, effect, q, question_df, alpha):
    found = power(effect, 1.5, seeds, q, alpha, question_df)
    assert found == pytest.approx(by_integration(effect, 1.5, seeds, q, alpha, question_df), abs=7e-4)
    assert found == pytest.approx(power(2 * effect, 3.0, seeds, 2 * q, alpha, question_df)), "whatever the unit"
    beyond = gain_seen(effect + 1.0, 1.0, Noise(1.5, q, question_df=question_df), seeds, alpha)
    assert found == pytest.approx(beyond), "a margin is a shift"


def test_the_ceiling_is_a_z_test():
    for effect, q, alpha in ((0.0, 1.0, 0.05), (1.3, 0.6, 0.05), (0.4, 2.0, 0.3)):
        reach = norm.isf(alpha / 2)
        assert ceiling(effect, q, alpha) == pytest.approx(norm(effect / q).sf(reach))
        assert ceiling(effect + 2.0, q, alpha, 2.0) == pytest.approx(ceiling(effect, q, alpha))
    assert ceiling(5.0, 0.0) == 1.0 and ceiling(1.0, 0.0, margin=1.0) == 0.0 and ceiling(1.3, 0.6) == ceiling(1.3, 0.6, 0.05)


@pytest.mark.parametrize(("alpha", "wanted"), [(0.05, 0.8), (0.01, 0.95), (0.2, 0.5)])
@pytest.mark.parametrize("ratio", [8.0, 3.0, 1.0])
@pytest.mark.parametrize(("q", "question_df"), [(0.0, math.inf), (0.25, math.inf), (0.25, 6.0)])
def test_seeds_needed_is_the_first_number_with_the_power(alpha, wanted, ratio, q, question_df):
    counts = [n for n in range(2, 40) if power(ratio, 1.0, n, q, alpha, question_df) >= wanted]
    found = seeds_needed(ratio, 1.0, q, alpha, wanted, question_df)
    assert found == (counts[0] if counts else None) or (not counts and found >= 40)


def test_the_search_for_seeds_ends_at_its_bound():
    assert MAX_SEEDS == 200
    just = detectable(1.0, 200) * 1.0005
    assert seeds_needed(just, 1.0) in (199, 200) and seeds_needed(just * 0.99, 1.0) is None
    assert seeds_needed(100.0, 1.0) == 2, "never one"


@pytest.mark.parametrize(("alpha", "wanted"), [(0.05, 0.8), (0.01, 0.5), (0.3, 0.9)])
@pytest.mark.parametrize(("sd", "seeds", "q"), [(1.0, 2, 0.0), (1.0, 5, 0.6), (2.5, 3, 0.1)])
def test_the_detectable_effect_has_the_power(alpha, wanted, sd, seeds, q):
    x = detectable(sd, seeds, q, alpha, wanted)
    assert x > 0 and power(x, sd, seeds, q, alpha) == pytest.approx(wanted, abs=1e-3)
    assert detectable(sd, seeds, q) == detectable(sd, seeds, q, 0.05, 0.8) and detectable(0.0, seeds) == 0.0
    for unit in (1e-6, 1e6):
        assert detectable(unit * sd, seeds, unit * q, alpha, wanted) == pytest.approx(unit * x, rel=1e-4), "whatever the unit"


@pytest.mark.parametrize(("alpha", "wanted"), [(0.05, 0.8), (0.1, 0.6)])
@pytest.mark.parametrize(
    ("effect", "sd", "q", "seeds"), [(4.7, 1.0, 3.0, 5), (4.7, 2.0, 1.5, 5), (3.0, 0.5, 4.0, 3), (2.0, 0.5, 20.0, 4)]
)
def test_questions_needed_is_the_least_factor_with_the_power(alpha, wanted, effect, sd, q, seeds):
    factor = questions_needed(effect, sd, q, seeds, alpha, wanted)
    reached = lambda f: power(effect, sd, seeds, q / math.sqrt(f), alpha)  # noqa: E731
    if reached(1.0) >= wanted:
        assert factor == 1.0
    else:
        assert factor > 1 and reached(factor) >= wanted > reached(factor / 1.006)
    assert questions_needed(effect, sd, 0.01, seeds, alpha, wanted) == 1.0
    assert questions_needed(effect, 100.0, q, seeds, alpha, wanted) is None
    assert questions_needed(effect, sd, q, seeds) == questions_needed(effect, sd, q, seeds, 0.05, 0.8)


def test_no_number_of_questions_is_enough_where_the_seeds_are_not():
    for alpha in (0.05, 0.2):
        most = power(2.0, 1.0, 4, 0.0, alpha)
        assert questions_needed(2.0, 1.0, 1.0, 4, alpha, most + 1e-3) is None
        assert questions_needed(2.0, 1.0, 1.0, 4, alpha, most - 1e-3) > 5


def test_given_designs():
    assert designs([], [1.0, 2.5], None, None, 0.7) == [
        Design("seed sd 1", 1.0, None, 0.0),
        Design("seed sd 2.5", 2.5, None, 0.0),
    ]
    assert designs([], [1.0], 0.0, None, 0.7) == [Design("seed sd 1", 1.0, None, 0.0)]
    assert designs([], [1.0], 1.25, None, 0.7) == [Design("seed sd 1", 1.0, None, 1.25)]
    [of_scores] = designs([], [2.0], None, "aime24=50,math500=90", 0.7)
    assert of_scores.question_se == pytest.approx(100 * question_se(parse_scores("aime24=50,math500=90"), 0.7)[0])
    assert of_scores.question_se != pytest.approx(100 * question_se(parse_scores("aime24=50,math500=90"), 0.2)[0], rel=0.01)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ([], [], None, None, 0.7),
            r"give the spread between seeds by either --pilot RUN \(at least two seeds\) or --seed-sd POINTS",
        ),
        (([Path("x")], [1.0], None, None, 0.7), "give the spread between seeds by either"),
        (
            ([], [1.0], 0.0, "aime24=50", 0.7),
            "--scores and --question-se exclude each other: the scores are a model of the question SE",
        ),
        (([], [1.0, 0.0], None, None, 0.7), "--seed-sd must be above 0 and --question-se at least 0"),
        (([], [1.0], -0.1, None, 0.7), "--seed-sd must be above 0 and --question-se at least 0"),
    ],
)
def test_designs_that_are_none(given, words):
    with pytest.raises(UsageError, match=f"^{words}"):
        designs(*given)


def test_pilots_of_several_suites_and_of_runs_without_samples(tmp_path):
    """The macro average's questions are those of all suites of its role; a pair of runs counts where both have samples."""
    rng = np.random.default_rng(6)
    roles = {"s": "ood", "t": "ood", "u": "id"}
    cells = {m: {s: rng.random((2, 12, 2)) < rng.random((1, 12, 1)).round() * 0.9 for s in roles} for m in ("grpo", "p2o")}
    for m, of in cells.items():
        rows = [
            sample(suite=s, problem=f"p{q:02d}", index=k, seed=seed, score=float(y[seed, q, k]))
            for s, y in of.items()
            for seed, q, k in np.ndindex(y.shape)
        ]
        per = {s: dict(enumerate(y.mean((1, 2)).tolist())) for s, y in of.items()}
        suites = {s: suite_scores(per[s], role=role, n=12, k=2, title=s) for s, role in roles.items()}
        means = [RoleMeans(id=per["u"][i], ood=(per["s"][i] + per["t"][i]) / 2) for i in (0, 1)]
        macro = Macro(id=suites["u"].avg, ood=(suites["s"].avg + suites["t"].avg) / 2, per_seed=dict(enumerate(means)))
        write_run(tmp_path / m, structs.replace(result(m, {0: 0.0, 1: 0.0}), suites=suites, macro=macro), rows)
    paths = [tmp_path / m for m in cells]
    found = {d.name: d.question_se for d in designs(paths, [], None, None, 0.7)}
    mean = {m: {s: y.mean(-1) for s, y in of.items()} for m, of in cells.items()}
    expected = {}
    for name, suites in (("ID macro average", "u"), ("u", "u"), ("OOD macro average", "st"), ("s", "s"), ("t", "t")):
        arms = [[mean[m][s] for s in suites] for m in ("p2o", "grpo")]
        expected[name] = 100 * math.sqrt(intervals.question_variance(*arms))
    assert found == pytest.approx(expected) and len({round(x, 9) for x in expected.values()}) >= 4
    shutil.rmtree(tmp_path / "p2o" / "samples")
    assert {d.question_se for d in designs(paths, [], None, None, 0.7)} == {0.0}


def test_pilots_that_were_asked_other_questions_are_no_pair(tmp_path):
    right = np.random.default_rng(0).random((2, 5, 2)) < 0.5
    runs = [make_run(tmp_path / m, m, right) for m in ("grpo", "p2o")]
    path = runs[1] / "samples" / "tb-long.jsonl"
    path.write_text(path.read_text().replace("p004", "p009"))
    with pytest.raises(UsageError, match="differ in the questions of tb-long"):
        designs(runs, [], None, None, 0.7)


def test_pilots_give_the_spread_of_seeds_and_of_questions(tmp_path):
    rng = np.random.default_rng(2)
    outcomes = {m: rng.random((3, 30, 4)) < p for m, p in (("grpo", 0.3), ("p2o", 0.6), ("gepa", 0.45))}
    runs = {m: make_run(tmp_path / m, m, right) for m, right in outcomes.items()}
    per_seed = {m: right.mean((1, 2)) for m, right in outcomes.items()}
    sd = 100 * math.sqrt(sum(x.var(ddof=1) for x in per_seed.values()) / 3)
    pairs = [intervals.question_variance([outcomes[m].mean(-1)], [outcomes["grpo"].mean(-1)]) for m in ("p2o", "gepa")]
    se = 100 * math.sqrt(sum(pairs) / 2)
    found = designs(list(runs.values()), [], None, None, 0.7)
    assert [d.name for d in found] == ["OOD macro average", "Longer chains"]
    for d in found:
        assert (d.seed_sd, d.seed_df, d.question_se) == (pytest.approx(sd), 6, pytest.approx(se)) and se > 0
    [one, _] = designs([runs["p2o"]], [], None, None, 0.7)
    assert (one.seed_sd, one.seed_df, one.question_se) == (pytest.approx(100 * per_seed["p2o"].std(ddof=1)), 2, 0.0)
    [given, _] = designs(list(runs.values()), [], 1.5, None, 0.7)
    assert given == Design("OOD macro average", pytest.approx(sd), 6, 1.5)
    single = make_run(tmp_path / "single", "grpo", outcomes["grpo"][:1])
    with pytest.raises(UsageError, match="^a pilot needs two seeds in at least one run$"):
        designs([single], [], None, None, 0.7)
    flat = make_run(tmp_path / "flat", "grpo", np.ones((2, 5, 1), bool))
    assert designs([flat], [], None, None, 0.7) == [], "seeds that do not vary plan nothing"


def test_every_figure_of_the_answer():
    found = [Design("these", 2.0, None, 0.0), Design("new", 1.0, 4, 1.5)]
    rows = answer(found, [1.0, 4.0], [2, 5], 0.1, 0.7, 0.5)
    assert [(r["name"], r["effect"]) for r in rows] == [("these", 1.0), ("these", 4.0), ("new", 1.0), ("new", 4.0)]
    for r in rows:
        d, effect = next(x for x in found if x.name == r["name"]), r["effect"]
        noise = Noise(d.seed_sd, d.question_se)
        assert (r["seed_sd"], r["seed_df"], r["question_se"], r["margin"]) == (d.seed_sd, d.seed_df, d.question_se, 0.5)
        assert r["seeds_these_questions"] == planner.seeds_needed(effect, Noise(d.seed_sd), 0.1, 0.7, 0.5)
        on_new = planner.seeds_needed(effect, noise, 0.1, 0.7, 0.5) if d.question_se else None
        assert r["seeds_new_questions"] == on_new and r["ceiling"] == ceiling(effect, d.question_se, 0.1, 0.5)
        assert r["power"] == {s: gain_seen(effect, 0.5, noise, s, 0.1) for s in (2, 5)}
        assert r["detectable"] == {s: planner.detectable(noise, s, 0.1, 0.7, 0.5) for s in (2, 5)}
        more = {s: planner.questions_needed(effect, noise, s, 0.1, 0.7, 0.5) if d.question_se else None for s in (2, 5)}
        assert r["questions"] == more
    for effects, seeds in (([0.5], [3]), ([1.0, -1.0], [3]), ([1.0], [3, 1])):
        with pytest.raises(UsageError, match="^--effect must be above the margin, 0.5, and --seeds at least 2$"):
            answer(found, effects, seeds, 0.05, 0.8, 0.5)


def test_a_margin_is_a_shift():
    noise = Noise(1.5, 0.7)
    assert planner.detectable(noise, 5, margin=2.0) == pytest.approx(2.0 + planner.detectable(noise, 5))
    assert planner.seeds_needed(4.0, noise, margin=2.0) == planner.seeds_needed(2.0, noise)
    assert planner.questions_needed(4.0, noise, 5, margin=2.0) == planner.questions_needed(2.0, noise, 5)


def test_shares_that_solve():
    assert planner.parse_solved("1/8, 3/8") == (0.125, 0.375) and planner.parse_solved("0,.5") == (0.0, 0.5)
    for wrong in ("1/8", "1/8,9/8", "-1,0", "a,b", "1/0,1", "1/8,2/8,3/8", ""):
        with pytest.raises(
            UsageError, match="^--solved takes two shares of seeds, the baseline's and the arm's, e.g. 1/8,3/8, not "
        ):
            planner.parse_solved(wrong)
    with pytest.raises(UsageError, match="^--seeds must be at least 2$"):
        planner.of_solved(["1/8,3/8"], [1], 0.05, 0.8, 1.0)
    [row] = planner.of_solved(["1/8,7/8"], [8, 16], 0.05, 0.8, 1.0)
    assert (row["baseline"], row["arm"], row["margin"], row["seeds_needed"]) == (0.125, 0.875, 1.0, 8)
    assert row["chances"][8]["gain"] == pytest.approx(0.874, abs=0.002) and row["chances"][16]["gain"] > 0.99
