"""Corrections by hand; tie letters by their definition, against networkx, and for hard graphs in bounded time."""

import itertools
import time

import numpy as np
import pytest

from harness.stats import multiple

RNG = np.random.default_rng(7)


def test_corrections_by_hand():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}
    assert multiple.holm(p) == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.5})
    assert multiple.benjamini_hochberg(p) == pytest.approx({"a": 0.04, "b": 0.16 / 3, "c": 0.16 / 3, "d": 0.5})
    assert multiple.benjamini_hochberg({}) == {}


def test_tie_letters_are_shared_exactly_by_arms_that_are_not_different():
    means = {"a": 3.0, "b": 2.0, "c": 1.0}
    assert multiple.tie_letters(means, []) == {"a": "a", "b": "a", "c": "a"}
    assert multiple.tie_letters(means, [("c", "a")]) == {"a": "a", "b": "ab", "c": "b"}
    assert multiple.tie_letters(means, itertools.combinations("abc", 2)) == {"a": "a", "b": "b", "c": "c"}
    for _ in range(50):
        arms = [f"m{i}" for i in range(6)]
        means = dict(zip(arms, RNG.random(6), strict=True))
        different = [pair for pair in itertools.combinations(arms, 2) if RNG.random() < 0.5]
        letters = multiple.tie_letters(means, different)
        for a, b in itertools.combinations(arms, 2):
            assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in different)
        assert "a" in letters[max(means, key=means.get)]


def tie_letters_by_networkx(means, different):
    """All maximal cliques of the tied pairs, in the order of their best arms."""
    networkx = pytest.importorskip("networkx")
    order = sorted(means, key=lambda arm: (-means[arm], arm))
    graph = networkx.Graph(set(itertools.combinations(order, 2)) - {*different, *((b, a) for a, b in different)})
    graph.add_nodes_from(order)
    cliques = sorted(sorted(map(order.index, clique)) for clique in networkx.find_cliques(graph))
    names = [chr(97 + i % 26) + (str(i // 26) if i >= 26 else "") for i in range(len(cliques))]
    return {arm: "".join(n for n, c in zip(names, cliques, strict=True) if order.index(arm) in c) for arm in order}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.7, 0.9])
def test_tie_letters_are_those_of_all_maximal_cliques(share):
    for n in range(1, 19):
        arms = [f"m{i}" for i in range(n)]
        means = dict(zip(arms, RNG.random(n).round(1), strict=True))
        different = [pair for pair in itertools.combinations(arms, 2) if RNG.random() < share]
        assert multiple.tie_letters(means, different) == tie_letters_by_networkx(means, different)


HARD = {  # of 200 arms, which pairs differ; without a bound each has up to 3^66 letters
    "no pair": lambda i, j: False,
    "every pair": lambda i, j: True,
    "of three": lambda i, j: i // 3 == j // 3,
    "neighbours": lambda i, j: i % 2 == 0 and j == i + 1,
    "far apart": lambda i, j: j - i > 20,
    "two camps": lambda i, j: (i < 100) == (j < 100),
    "some": lambda i, j: RNG.random() < 0.1,
    "half": lambda i, j: RNG.random() < 0.5,
}


@pytest.mark.parametrize("name", HARD)
def test_tie_letters_of_two_hundred_arms_show_every_tie_in_seconds(name):
    arms = [f"m{i:03d}" for i in range(200)]
    pairs = list(itertools.combinations(range(200), 2))
    apart = {pair for pair in pairs if HARD[name](*pair)}
    start = time.process_time()
    found = multiple.tie_letters({arm: -i for i, arm in enumerate(arms)}, [(arms[i], arms[j]) for i, j in apart])
    assert time.process_time() - start < 5
    letters = [multiple.letters_of(found[arm]) for arm in arms]
    assert all(letters) and "a" in letters[0]
    assert all((not letters[i].isdisjoint(letters[j])) == ((i, j) not in apart) for i, j in pairs)
    assert len(set().union(*letters)) <= len(pairs)


def test_adjusted_p_are_capped_and_in_order():
    assert multiple.holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert multiple.holm({"a": 0.02, "b": 0.01}) == {"b": 0.02, "a": 0.02} and multiple.holm({}) == {}
    p = {i: float(v) for i, v in enumerate(RNG.random(9))}
    order = sorted(p, key=p.get)
    expected = {k: min(1.0, min(9 * p[j] / (order.index(j) + 1) for j in order[order.index(k) :])) for k in p}
    assert multiple.benjamini_hochberg(p) == pytest.approx(expected)


def test_letters_go_on_after_z():
    arms = {f"m{i:02d}": -i for i in range(60)}
    letters = multiple.tie_letters(arms, itertools.combinations(arms, 2))
    assert list(letters.values())[:27] == [*"abcdefghijklmnopqrstuvwxyz", "a1"]
    assert list(letters.values())[51:54] == ["z1", "a2", "b2"] and len(set(letters.values())) == 60


def test_the_best_arm_has_the_first_letter_and_equal_arms_go_by_name():
    assert multiple.tie_letters({"x": 1.0, "b": 1.0, "a": 2.0}, [("x", "a"), ("b", "a"), ("x", "b")]) == {
        "a": "a",
        "b": "b",
        "x": "c",
    }
    chain = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
    assert multiple.tie_letters(chain, [("a", "c"), ("a", "d"), ("b", "d")]) == {"a": "a", "b": "ab", "c": "bc", "d": "c"}
    assert list(multiple.tie_letters({"x": 1.0, "y": 2.0}, [])) == ["y", "x"] and multiple.tie_letters({}, []) == {}


def pairs_apart(pairs, lone=0):
    """Arms of which only the two of a pair differ, and `lone` ones that differ from everybody: 2 ** pairs maximal sets."""
    arms = [f"m{i:02d}" for i in range(2 * pairs)]
    alone = [f"n{i}" for i in range(lone)]
    different = list(zip(arms[::2], arms[1::2], strict=True)) + [
        (x, y) for x in alone for y in arms + alone if x < y or y in arms
    ]
    return {arm: float(-i) for i, arm in enumerate([*alone[:1], *arms, *alone[1:]])}, different


@pytest.mark.parametrize(("most", "letters"), [(8, 8), (7, None), (500, 8)])
def test_all_sets_have_a_letter_up_to_the_most(monkeypatch, most, letters):
    monkeypatch.setattr(multiple, "MOST_LETTERS", most)
    found = multiple.tie_letters(*pairs_apart(3))
    count = len(set().union(*map(multiple.letters_of, found.values())))
    assert count == letters if letters else 4 <= count < 8


@pytest.mark.parametrize("lone", [0, 1, 3])
@pytest.mark.parametrize("pairs", [2, 3, 10])
def test_beyond_the_most_letters_every_tie_is_still_shown_and_every_arm_has_one(monkeypatch, pairs, lone):
    if pairs < 10:
        monkeypatch.setattr(multiple, "MOST_LETTERS", 1)
    means, different = pairs_apart(pairs, lone)
    found = {arm: multiple.letters_of(text) for arm, text in multiple.tie_letters(means, different).items()}
    apart = {frozenset(pair) for pair in different}
    for a, b in itertools.combinations(means, 2):
        assert bool(found[a] & found[b]) == (frozenset((a, b)) not in apart)
    assert all(found.values()), "an arm that ties with nobody has a letter of its own"
    assert all(len(found[arm]) == 1 for arm in means if arm.startswith("n"))
    used = set().union(*found.values())
    ties = len(means) * (len(means) - 1) // 2 - len(apart)
    assert len(used) <= ties + lone, "at most one set for a tied pair"
