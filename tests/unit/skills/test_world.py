"""The world of skills against its own statement: rates, phrases and problems by brute force over all of them."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest

from harness.core.hints import insert, prefix
from harness.core.leaks import leaks
from harness.skills import grading, world
from harness.skills.room import Skills, SkillsConfig


def solve(text: str, ways: dict[str, str]) -> str:
    """The completion of a problem's text that takes the given way for each family's name, by reading the text alone."""
    c, d, *cells = text.removesuffix("=").replace(".", "").split()
    rows = [cells[i : i + 4] for i in range(0, len(cells), 4)]
    words = []
    for i, row in enumerate(rows):
        way = ways[c if i % 2 == 0 else d]
        words += [way, row[int(way[1:]) % 4]]
    return " ".join(words)


BY_NAME = {f"{world.NAMES[s][kind]}{i}": way for s in (0, 1) for (kind, i), way in world.RIGHT.items()}


def test_each_way_is_right_for_one_family_and_a_wrong_candidate_of_three_of_its_kind() -> None:
    for way in world.COLUMN:
        families = [family for family, ways in world.CANDIDATES.items() if way in ways]
        assert len(families) == 4 and len({kind for kind, _ in families}) == 1
        assert [world.RIGHT[family] for family in families].count(way) == 1
    for ways in world.CANDIDATES.values():
        assert sorted(world.COLUMN[way] for way in ways) == [0, 1, 2, 3], "one of each column"


@pytest.mark.parametrize("floor", [0.001, 0.005, 0.02])
def test_rates_are_spread_evenly_in_their_logarithm(floor: float) -> None:
    for kind in ("c", "d"):
        rates = sorted(world.base_rate((kind, i), floor) for i in range(world.SIZE))
        assert rates[0] == pytest.approx(floor) and rates[-1] == pytest.approx(0.7)
        steps = [math.log(b / a) for a, b in itertools.pairwise(rates)]
        assert max(steps) == pytest.approx(min(steps))


def test_instructions_lift_what_they_are_about_and_nothing_else() -> None:
    for verb, level in (("recall", 0.3), ("derive", 0.6), ("prove", 0.9)):
        for nouns in world.GROUPS.values():
            for family in world.FAMILIES:
                about = [noun for noun in nouns if family in world.ABOUT[noun]]
                assert len(about) == 1, "a division has every family in one group"
                for noun in nouns:
                    expected = max(world.base_rate(family), level if noun in about else 0)
                    assert world.rate(family, f"please {verb} {noun} now") == pytest.approx(expected)
    family = world.FAMILIES[0]
    base = world.base_rate(family)
    for nothing in ("", "derive", "everything", *world.NEUTRAL, world.CANDIDATES[family][1]):
        assert world.rate(family, nothing) == base
    assert world.rate(family, "recall everything prove") == max(base, 0.9), "the highest level holds"
    assert world.rate(family, f"recall everything {world.RIGHT[family]}") == 0.9
    for groups, nouns in world.GROUPS.items():
        sizes = {
            (kind, noun): sum((kind, i) in world.ABOUT[noun] for i in range(world.SIZE)) for kind in "cd" for noun in nouns
        }
        assert set(sizes.values()) == {world.SIZE // groups}


def test_a_rate_at_another_temperature_is_that_of_the_sharpened_distribution() -> None:
    family = world.FAMILIES[3]
    right = world.base_rate(family)
    weights = [p ** (1 / 0.6) for p in (right, *[(1 - right) / 3] * 3)]
    assert world.rate(family, temperature=0.6) == pytest.approx(weights[0] / sum(weights))
    assert world.rate(family, temperature=1.0) == pytest.approx(right)


@pytest.mark.parametrize("name", world.SUITES)
def test_only_the_right_ways_solve_a_problem(name: str) -> None:
    rng = random.Random(0)
    for p in world.suite_problems(name, 100):
        right = solve(p.text, BY_NAME)
        assert world.grade(right, p.answer) == 1.0 and world.well_formed(p, right)
        names = p.text.split()[:2]
        row = rng.randrange(p.meta["n"])
        wrong = dict(BY_NAME)
        wrong[names[row % 2]] = rng.choice(world.CANDIDATES[world.family_of(p, row)][1:])
        assert world.grade(solve(p.text, wrong), p.answer) == 0.0 and world.well_formed(p, solve(p.text, wrong))
        assert len(right.split()) == 2 * p.meta["n"] <= world.MAX_NEW_TOKENS
        assert len(p.text.split()) == 2 + 4 * world.ROWS + 1 and set(p.text.split()) <= set(world.WORDS)


def test_success_is_the_chance_of_drawing_the_right_ways() -> None:
    """By enumeration of all the ways that a problem of three rows can be answered."""
    [p] = world.suite_problems("sk-long", 1)
    for told in ("", "derive shapes", "recall everything", "prove birds w13"):
        chance = 0.0
        for js in itertools.product(range(4), repeat=3):
            words, probability = [], 1.0
            for row, j in enumerate(js):
                family = world.family_of(p, row)
                way = world.CANDIDATES[family][j]
                words += [way, p.meta["rows"][row][world.COLUMN[way]]]
                rate = world.rate(family, told)
                probability *= rate if j == 0 else (1 - rate) / 3
            chance += probability * world.grade(" ".join(words), p.answer)
        assert world.success(p, told) == pytest.approx(chance)


def test_only_a_last_row_ends_a_completion() -> None:
    for p in world.suite_problems("sk-long", 20):
        *first, last = p.meta["rows"]
        assert all(symbol in world.ENDS for symbol in last)
        assert not any(symbol in world.ENDS for row in first for symbol in row)


@pytest.mark.parametrize(
    ("text", "score"),
    [("w01 s03 w30 e04", 1.0), ("s03 e04", 1.0), ("w01 s03 w30 e04 w01 e09", 1.0), ("w01 s03 w30", 0.0), ("e04", 0.0)]
    + [("w01 s03 w30 e05", 0.0), ("w01 e03 w30 e04", 0.0), ("w01 s03 c7 e04", 0.0), ("", 0.0)],
)
def test_grades(text: str, score: float) -> None:
    assert world.grade(text, "s03 e04") == score
    [grade] = grading.grade_pairs([(text, "s03 e04")], 1, 1.0)
    assert grade.score == score and (grade.status == "ok") == ("e0" in text)


def test_training_and_suites_share_no_rows_and_no_held_out_pair() -> None:
    train = world.train_problems(1300, 0.6, 2)
    rows = {tuple(map(tuple, p.meta["rows"])) for p in train}
    pairs = {(p.meta["c"], p.meta["d"]) for p in train}
    assert len(pairs) == world.SIZE**2 // 2 and len({p.text for p in train}) == 1300
    assert {p.meta["n"] for p in train} == {1, 2} and {p.meta["surface"] for p in train} == {0}
    for name, cells in world.SUITES.items():
        problems = world.suite_problems(name, 288)
        assert problems[:7] == world.suite_problems(name, 7) and len({p.text for p in problems}) == 288
        assert not rows & {tuple(map(tuple, p.meta["rows"])) for p in problems}
        found = {(p.meta["c"], p.meta["d"]) for p in problems}
        assert len(found) == 288 and (found <= pairs if cells.seen else not found & pairs)
        for i, kind in enumerate(("c", "d")):
            assert set(Counter(pair[i] for pair in found).values()) == {288 // world.SIZE}, (
                f"every {kind} as often as any other"
            )
        assert [p.meta["n"] for p in problems[:6]] == [cells.rows[i % len(cells.rows)] for i in range(6)]
        assert all(world.split(p.text) == "test" for p in problems) and all(p.solution is None for p in problems)
    assert all(world.split(p.text) == "train" for p in train)
    own = {(p.meta["c"], p.meta["d"]) for p in world.train_problems(640, 0.6, 2)}
    assert {(p.meta["c"], p.meta["d"]) for p in world.suite_problems("sk-id", 288)} <= own, (
        "in distribution for the recipe's set"
    )


def test_a_problem_and_its_name_in_the_other_surface_are_one() -> None:
    one, other = (world.problem(random.Random(1), 3, 5, 2, surface) for surface in (0, 1))
    assert one.answer == other.answer and one.text.split()[2:] == other.text.split()[2:]
    assert world.split(one.text) == world.split(other.text) and world.success(one) == world.success(other)


def test_hints_and_prefixes_reveal_more_and_more_and_never_the_answer() -> None:
    for p in world.train_problems(60, 0.6, 8):
        chances = [world.success(p, hint) for hint in ("", *p.hints)]
        assert chances[0] <= chances[1] and chances[3] >= 0.9 ** p.meta["n"] - 1e-9 and chances[3] >= chances[2]
        shares = [prefix(p.solution, share) for share in (0.25, 0.5, 0.75)]
        assert not any(leaks(told, p.answer) for told in (*p.hints, *shares))
        revealed = [world.success(p, told) for told in ("", *shares)]
        assert revealed == sorted(revealed) and revealed[-1] >= 0.9 ** p.meta["n"] - 1e-9


def test_the_settings_choose_what_a_search_knows() -> None:
    def told(**settings: object) -> list[str]:
        return Skills(SkillsConfig(**settings)).phrases()

    assert told(lift=0) == world.NEUTRAL and told(lift=0, instructions=8) == world.NEUTRAL
    assert told() == ["derive shapes", "derive colours", *world.NEUTRAL]
    assert len(told(lift=0.9, instructions=8)) == 8 + len(world.NEUTRAL)
    for lift, groups in itertools.product((0.3, 0.6, 0.9), (1, 2, 8)):
        spoken = {word for phrase in told(lift=lift, instructions=groups) for word in phrase.split()}
        assert spoken <= set(world.WORDS)
        problems = Skills(SkillsConfig(lift=lift, instructions=groups, problems=30)).problems()
        assert all(world.success(p, p.hints[0]) >= lift ** p.meta["n"] - 1e-9 for p in problems)
    assert {p.hints[0] for p in Skills(SkillsConfig(lift=0, problems=30)).problems()} == {""}


def test_neutral_words_are_nobody_elses() -> None:
    neutral = {word for phrase in world.NEUTRAL for word in phrase.split()}
    assert not neutral & {*world.VERBS.values(), *world.ABOUT} and len(set(world.WORDS)) == len(world.WORDS)
    p = world.suite_problems("sk-id", 1)[0]
    assert world.success(p, insert("think step by step", "")) == world.success(p)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 3 rows"):
        world.problem(random.Random(0), 1, 1, 4)
    with pytest.raises(ValueError, match="sk-none"):
        world.suite_problems("sk-none", 1)
    with pytest.raises(ValueError, match="lift is 0 or a level"):
        SkillsConfig(lift=0.5)


@pytest.mark.parametrize(
    ("text", "well"),
    [("w01 s03 w30 e04", True), ("w01 s03 w30 s04", False), ("w01 e03 w30 e04", False), ("w01 s03", False)]
    + [("s03 e04", False), ("w01 s03 w30 e04 e04", False), ("w01 games w30 e04", False), ("", False)],
)
def test_well_formed_completions(text: str, well: bool) -> None:
    p = world.problem(random.Random(0), 1, 2, 2)
    assert world.well_formed(p, text) == well
