"""The rules by which copied samples are recognised, each against the probabilities and similarities that it claims."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from harness.core.errors import HarnessError
from harness.leaderboard import independence
from harness.leaderboard.independence import (
    BYTES_PER_TOKEN,
    CHANCE,
    DEVIATIONS,
    EXCESS,
    HASHES,
    LABELS,
    LONG,
    OPENING,
    check_sampling,
    likeliest,
    signatures,
    tail,
)
from harness.runs.samples import FiledSample

WHERE = Path("board/run")


def row(completion="so it is", seed=0, problem="p0", index=0, **own):
    fields = {"greedy": False, "answer": completion, "gold": "1", "score": 0.0, "parity": None, "status": "ok"}
    more = {"truncated": False, "prompt_tokens": 3, "tokens": 100, "prompt_sha256": "0" * 64}
    return FiledSample(completion=completion, seed=seed, problem=problem, index=index, **{**fields, **more, **own})


def facts(k=2, temperature=0.6, most=100):
    return SimpleNamespace(k=k, temperature=temperature, max_new_tokens=most)


def check(texts_S_Q_K, one_policy=False, seeds=None, **own):
    """check_sampling on texts by seed, problem and index."""
    seeds = seeds or list(range(len(texts_S_Q_K)))
    k = len(texts_S_Q_K[0][0])
    rows = [
        row(text, seed, f"p{q}", i)
        for seed, of_seed in zip(seeds, texts_S_Q_K, strict=True)
        for q, texts in enumerate(of_seed)
        for i, text in enumerate(texts)
    ]
    check_sampling({"s": rows}, {"s": facts(k, **own)}, seeds, one_policy, WHERE)


@pytest.mark.parametrize("counts", [(2,), (1, 1), (1, 3), (2, 2), (4,), (1, 1, 2), (1, 2, 5), (3, 3, 3)])
def test_no_policy_gives_counts_a_greater_probability(counts):
    k = sum(counts)
    best = scipy.stats.multinomial.pmf(counts, k, np.array(counts) / k)
    assert math.isclose(likeliest(counts), best, rel_tol=1e-12)
    rng = np.random.default_rng(0)
    for p in rng.dirichlet(np.ones(len(counts)), 50):
        assert scipy.stats.multinomial.pmf(counts, k, p) <= likeliest(counts) + 1e-12


def exact_tail(chances, at_least):
    """P(at least so many), by the distribution of the sum."""
    p = np.array([1.0])
    for q in chances:
        p = np.convolve(p, [1 - q, q])
    return p[at_least:].sum()


def test_the_tail_is_a_bound_and_chernoffs():
    rng = random.Random(0)
    for n in (3, 10, 40):
        chances = [rng.uniform(0.05, 0.9) for _ in range(n)]
        for at_least in range(n + 1):
            found = tail(chances, at_least)
            assert exact_tail(chances, at_least) <= found + 1e-12 and 0 < found <= 1.0
            assert (found == 1.0) == (at_least <= sum(chances))
    for n, a, q in ((20, 15, 0.3), (100, 60, 0.5), (50, 49, 0.2), (30, 10, 0.01)):
        share = a / n
        apart = share * math.log(share / q) + (1 - share) * math.log((1 - share) / (1 - q))
        assert math.isclose(tail([q] * n, a), math.exp(-n * apart), rel_tol=1e-9)
    assert math.isclose(tail([0.5, 0.25, 0.1], 3), 0.0125)  # all of them: their product


def test_signatures_estimate_the_share_of_common_pairs():
    """Jaccard's similarity of the sets of neighbouring words, with the ends as words of their own."""
    rng = random.Random(1)
    for _ in range(5):
        first = [rng.choice("abcdefgh") + str(rng.randrange(9)) for _ in range(300)]
        second = first[: rng.randrange(50, 250)]
        second += [rng.choice("stuvw") for _ in range(60)]
        sets = [set(itertools.pairwise(["", *words, ""])) for words in (first, second)]
        true = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        found_S_K_H = signatures([[" ".join(first)], [" ".join(second)]])
        assert found_S_K_H.shape == (2, 1, HASHES)
        found = (found_S_K_H[0, 0] == found_S_K_H[1, 0]).mean()
        assert abs(found - true) < 3.5 * math.sqrt(true * (1 - true) / HASHES)
    one, other, same = signatures([["a b c"], ["c b a"], ["a  b\nc"]])[:, 0]
    assert not (one == other).any() and (one == same).all(), "order counts, spacing does not"
    shared = signatures([["x b c d e f"], ["y b c d e f"]])[:, 0]
    assert 0.2 < (shared[0] == shared[1]).mean() < 0.9, "the first word is a pair with the beginning"
    assert (signatures([[""], ["\ud800"]])[:, 0].shape) == (2, HASHES), "no text, and half of a surrogate pair"


def test_the_excess_is_similarity_across_less_that_within():
    rng = np.random.default_rng(0)
    S, K, H = 3, 4, 8
    marks = rng.integers(0, 3, (S, K, H))
    found = independence._excess(marks)

    def alike(a, i, b, j):
        return np.mean(marks[a, i] == marks[b, j])

    within = [np.mean([alike(s, i, s, j) for i in range(K) for j in range(K) if i != j]) for s in range(S)]
    for a in range(S):
        for b in range(S):
            across = np.mean([alike(a, i, b, j) for i in range(K) for j in range(K)])
            assert math.isclose(found[a, b], across - (within[a] + within[b]) / 2, abs_tol=1e-12)


# ---------------------------------------------------------------------- what is refused, and what is not


def drawn(seed, problems=40, k=4, words=6):
    rng = random.Random(seed)
    return [[" ".join(rng.choice("abcdefghij") for _ in range(words)) for _ in range(k)] for _ in range(problems)]


def test_independent_samples_pass_and_copies_do_not():
    check([drawn(1), drawn(2), drawn(3)])
    with pytest.raises(HarnessError) as e:
        check([drawn(1), drawn(2), drawn(1)], seeds=[4, 5, 6])
    assert str(e.value) == (
        "board/run/samples: seeds 4 and 6 have the same texts in 40 of the 40 problems where these vary, which independent "
        f"samples have with probability {likeliest((1, 1, 1, 1)) ** 40:.0e} at most: they are copies"
    )


def test_a_policy_that_always_answers_the_same_is_no_copy():
    check([[["a"] * 4] * 50] * 3)
    varied = [["a", "a", "a", "b"]]
    assert likeliest((1, 3)) ** 10 > CHANCE, "few coincidences may be chance"
    check([varied * 10 + [["a"] * 4] * 30] * 2)
    with pytest.raises(HarnessError, match="in 25 of the 25 problems where these vary"):
        check([varied * 25 + [["a"] * 4] * 30] * 2)


@pytest.mark.parametrize("name", LABELS)
def test_each_label_alone_gives_a_copy_away(name):
    """Rows of another seed that share nothing but this label."""
    rng = random.Random(7)
    rows = []
    for q in range(40):
        for i in range(4):
            n = rng.randrange(20, 90)
            halves = ["".join(rng.choice("abcdef") for _ in range(8)) for _ in range(2)]
            for seed in (0, 1):
                own = {"answer": f"{seed}{rng.random()}", "tokens": rng.randrange(20, 90)}
                texts = ["".join(rng.choice("ghijkl" if seed else "mnopqr") for _ in range(8)) for _ in range(2)]
                if name == "answers":
                    own["answer"] = halves[0]
                elif name == "lengths":
                    own["tokens"] = n
                elif name == "first halves":
                    texts[0] = halves[0]
                elif name == "second halves":
                    texts[1] = halves[1]
                else:
                    texts = halves
                rows.append(row("".join(texts), seed, f"p{q}", i, **own))
    with pytest.raises(HarnessError, match=f"seeds 0 and 1 have the same {name} in 40 of"):
        check_sampling({"s": rows}, {"s": facts(4)}, [0, 1], False, WHERE)


def test_copies_with_some_words_changed_are_too_much_alike():
    """Rule 2: answers, lengths and halves differ everywhere, most pairs of words are the same."""
    rng = random.Random(3)

    def changed(text, i):
        words = text.split()
        words[1], words[-2] = f"x{i}", f"y{rng.random()}"
        return " ".join(words)

    first = drawn(1, words=30)
    second = [[changed(t, 4 * q + i) for i, t in enumerate(texts)] for q, texts in enumerate(first)]
    rows = [
        row(t, s, f"p{q}", i, answer=str(rng.random()), tokens=rng.randrange(40, 99))
        for s, of in enumerate((first, second))
        for q, texts in enumerate(of)
        for i, t in enumerate(texts)
    ]
    with pytest.raises(HarnessError, match="samples: the samples of seeds 0 and 1 are copies: .* by 0.[0-9]{3} with standard"):
        check_sampling({"s": rows}, {"s": facts(4)}, [0, 1], False, WHERE)
    found = independence._check_alike
    found([[["a b c", "d e f"], ["g h i", "j k l"]]], [0, 1], WHERE)
    found([[["a b c", "d e f"], ["a b c", "d e f"]]], [0, 1], WHERE)  # one problem has no spread: nothing is said
    with pytest.raises(HarnessError):
        found([[[f"a{q} b", f"d{q} e"], [f"a{q} b", f"d{q} e"]] for q in range(30)], [0, 1], WHERE)


def test_one_sample_a_problem_or_one_seed_is_not_held_against_others():
    check([[["a"], ["b"]] * 30] * 3)
    check([drawn(1)])


@pytest.mark.parametrize(
    ("own", "fine"),
    [
        ({"tokens": 100}, True),
        ({"tokens": 101}, False),
        ({"tokens": -1}, False),
        ({"tokens": 0, "completion": ""}, True),
        ({"tokens": 0}, False),
        ({"tokens": 2, "completion": "x" * 2 * BYTES_PER_TOKEN}, True),
        ({"tokens": 2, "completion": "x" * (2 * BYTES_PER_TOKEN + 1)}, False),
        ({"tokens": 1, "completion": "\u4e2d" * 85}, True),
        ({"tokens": 1, "completion": "\u4e2d" * 86}, False),
        ({"tokens": 1, "completion": "\ud800"}, True),
        ({"prompt_tokens": 1}, True),
        ({"prompt_tokens": 0}, False),
    ],
)
def test_lengths(own, fine):
    rows = [row(seed=2, problem="p\u202e", index=1, **own)]
    if fine:
        independence._check_lengths(rows, facts(), WHERE)
        return
    with pytest.raises(HarnessError) as e:
        independence._check_lengths(rows, facts(), WHERE)
    size = len(rows[0].completion.encode(errors="replace"))
    what = f"tokens is {rows[0].tokens} of at most 100, for {size:,} bytes"
    assert str(e.value) == f"board/run, problem p<U+202E>, seed 2, sample 1: {what}"


def long(word, words=LONG):
    return " ".join([word] * words)


def test_long_texts_do_not_come_again_word_for_word():
    def repeats(again, problems, words=LONG, within=False):
        """Texts of problems, of which `again` come twice."""
        if within:
            return [[[long(f"a{q}", words), long(f"a{q}" if q < again else f"b{q}", words)] for q in range(problems)]]
        return [[[long(f"{'a' if q < again else s}{q}", words)] for q in range(problems)] for s in range(2)]

    check(repeats(3, 6))
    check(repeats(3, 6, within=True))
    check(repeats(4, 4))  # of four nothing is said
    check(repeats(9, 9, words=LONG - 1))
    said = "long samples of seed {} come again word for word in seed {}, which sampling at a temperature does not do"
    for texts, words in (
        (repeats(4, 6), "4 of 6 " + said.format(7, 8)),
        (repeats(5, 5), "5 of 5 " + said.format(7, 8)),
        (repeats(4, 6, within=True), "4 of 6 " + said.format(7, 7)),
    ):
        with pytest.raises(HarnessError) as e:
            check(texts, seeds=[7, 8][: len(texts)])
        assert str(e.value) == f"board/run/samples/s.jsonl.zst: {words}"
    check(repeats(6, 6), temperature=0.0)


def test_greedy_answers_of_one_policy_open_alike():
    def answers(apart, problems=20, at=OPENING - 1):
        words = [[f"w{q}{i}" for i in range(9)] for q in range(problems)]
        other = [[f"x{i}" if q < apart and i == at else w for i, w in enumerate(own)] for q, own in enumerate(words)]
        return [[[" ".join(own)] for own in of] for of in (words, other)]

    check(answers(5), one_policy=True, temperature=0.0)  # a quarter of them
    check(answers(20, at=OPENING), one_policy=True, temperature=0.0)  # after the opening
    check(answers(20), one_policy=False, temperature=0.0)
    with pytest.raises(HarnessError) as e:
        check(answers(6), one_policy=True, temperature=0.0, seeds=[3, 9])
    said = "seeds 3 and 9 open 6 of 20 answers with other words; greedy answers of one policy to one prompt do not"
    assert str(e.value) == f"board/run/samples/s.jsonl.zst: {said}"


def test_greedy_rows_beside_sampled_ones_are_left_alone():
    rows = [row(t, s, f"p{q}", i) for s in (0, 1) for q, own in enumerate(drawn(s)) for i, t in enumerate(own)]
    rows += [row("the same", s, f"p{q}", 0, greedy=True) for s in (0, 1) for q in range(40)]
    check_sampling({"s": rows}, {"s": facts(4)}, [0, 1], True, WHERE)


@pytest.mark.parametrize("copied", [0, 1])
def test_copies_in_any_suite_are_found(copied):
    names = ["one", "two"]
    samples = {
        name: [
            row(text, seed, f"{name}{q}", i)
            for seed in (0, 1)
            for q, texts in enumerate(drawn(10 * at + (seed if at != copied else 0)))
            for i, text in enumerate(texts)
        ]
        for at, name in enumerate(names)
    }
    with pytest.raises(HarnessError, match="have the same texts in 40 of the 80 problems where these vary"):
        check_sampling(samples, dict.fromkeys(names, facts(4)), [0, 1], False, WHERE)


def test_hash_functions_are_the_same_at_every_call():
    texts = [["a b c d", "e f g"], ["a b", ""]]
    assert (signatures(texts) == signatures(texts)).all()


def test_how_much_more_alike_is_too_much(monkeypatch):
    """The mean over problems, against its standard error by hand; excess of the pairs (0, 1) and (0, 2) by problem."""

    def check(one, other):
        tables = iter([np.array([[9, a, b], [a, 9, -1], [b, -1, 9]]) for a, b in zip(one, other, strict=True)])
        monkeypatch.setattr(independence, "_excess", lambda _: next(tables))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            independence._check_alike([[["a"], ["b"], ["c"]]] * len(one), [4, 5, 6], WHERE)

    def refused(one, other, seeds):
        found = one if seeds == "4 and 5" else other
        mean, error = statistics.fmean(found), statistics.stdev(found) / math.sqrt(len(found))
        assert mean > EXCESS and mean > DEVIATIONS * error
        with pytest.raises(HarnessError) as e:
            check(one, other)
        assert str(e.value) == (
            f"{WHERE}: the samples of seeds {seeds} are copies: they are more alike than samples of one seed, by {mean:.3f} "
            f"with standard error {error:.3f}; independent ones are not"
        )

    none = [-0.1, -0.2, -0.1]
    check(none, none)
    refused([0.5, 0.45, 0.4], none, "4 and 5")
    refused(none, [0.5, 0.45, 0.4], "4 and 6")
    refused([0.3, 0.29], [0.0, 0.0], "4 and 5")
    check([0.5], [0.5])  # of one problem nothing is said
    check([EXCESS * 0.99] * 3, none)  # sure, and too small to matter
    check([0.4, 0.0], [0.0, 0.9])  # large, and as likely chance
    mean_error = [0.2 + x for x in (0.06, -0.06, 0.0)]
    assert 5 < statistics.fmean(mean_error) / (statistics.stdev(mean_error) / math.sqrt(3)) < DEVIATIONS
    check(mean_error, none)


def test_what_may_be_as_likely_as_not_is_no_surprise():
    """As many coincidences as are expected have no bound below 1."""
    assert tail([0.5] * 4, 2) == tail([0.25] * 4, 1) == tail([], 0) == tail([1.0], 1) == 1.0
    assert tail([0.5] * 4, 3) < 1.0


def test_suites_with_one_sample_a_problem_do_not_hide_the_others():
    """Copies with words changed are found beside a suite of which nothing can be told."""
    first = drawn(1, words=30)
    rng = random.Random(3)

    def reworded(text):
        words = text.split()
        words[1], words[-2] = (f"x{rng.random()}" for _ in range(2))
        return " ".join(words)

    second = [[reworded(t) for t in texts] for texts in first]
    samples = {"one": [], "two": []}
    for s, of in enumerate((first, second)):
        samples["one"] += [row(texts[0], s, f"o{q}", 0, answer=str(rng.random())) for q, texts in enumerate(drawn(20 + s))]
        for q, texts in enumerate(of):
            own = [row(t, s, f"p{q}", i, answer=str(rng.random()), tokens=rng.randrange(60, 99)) for i, t in enumerate(texts)]
            samples["two"] += own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for names in (("one", "two"), ("two", "one")):
            with pytest.raises(HarnessError, match="samples: the samples of seeds 0 and 1 are copies"):
                check_sampling({n: samples[n] for n in names}, {"one": facts(1), "two": facts(4)}, [0, 1], False, WHERE)
        check_sampling({"one": samples["one"]}, {"one": facts(1)}, [0, 1], False, WHERE)


def test_copies_of_two_samples_a_problem_are_found():
    with pytest.raises(HarnessError, match="seeds 0 and 1 have the same texts in 40 of the 40 problems"):
        check([drawn(1, k=2), drawn(1, k=2)])
    with pytest.raises(HarnessError, match="seeds 1 and 2 have the same texts"):
        check([drawn(3, k=2), drawn(1, k=2), drawn(1, k=2)])


def test_errors_name_the_suite_whose_rows_are_wrong():
    for rows, facts_of, words in (
        ([row(tokens=101)], facts(1), "problem p0, seed 0, sample 0: tokens is 101 of at most 100, for 8 bytes"),
        ([row(prompt_tokens=0)], facts(1), "problem p0, seed 0, sample 0: tokens is 100 of at most 100, for 8 bytes"),
    ):
        with pytest.raises(HarnessError) as e:
            check_sampling({"s": rows}, {"s": facts_of}, [0], False, WHERE)
        assert str(e.value) == f"board/run/samples/s.jsonl.zst, {words}"


def test_greedy_answers_of_any_two_seeds_are_compared():
    same = [[f"w{q} a b c d e"] for q in range(20)]
    with pytest.raises(HarnessError, match="seeds 1 and 2 open 20 of 20 answers|seeds 0 and 2 open 20 of 20 answers"):
        check([same, same, [[f"x{q}"] for q in range(20)]], one_policy=True, temperature=0.0)
    check([same, same, same], one_policy=True, temperature=0.0)


def test_a_little_temperature_is_one():
    texts = [[[long(f"a{q}")] for q in range(6)] for _ in range(2)]
    with pytest.raises(HarnessError, match="6 of 6 long samples of seed 0 come again"):
        check(texts, temperature=0.01)
