"""All hostile answers through the graders: none crashes or hangs, and the pool works afterwards."""

from harness.grading import pool
from harness.grading.graders import grade_many
from harness.grading.parity import parity_many
from support.adversarial import TOWERS, rows

FAULTS = ("timeout", "error", "unparsed")


def test_the_whole_corpus():
    corpus = rows()
    assert len(corpus) >= 2000
    found = grade_many([(f"\\boxed{{{answer}}}", gold, "math") for answer, gold, _ in corpus], workers=2)
    wrong = [(a[:60], g, e, f.score, f.status) for (a, g, e), f in zip(corpus, found, strict=True) if e not in (None, f.score)]
    assert wrong == []
    # A grader that fails on an ordinary answer says so in the status; only bombs may make it.
    settled = [(a, f.status) for (a, _, e), f in zip(corpus, found, strict=True) if e == 1.0]
    assert not [x for x in settled if x[1] in FAULTS]
    towers = {f.status for (a, _, _), f in zip(corpus, found, strict=True) if a in TOWERS}
    assert towers <= {"ok", "unparsed"}, "what is too large is seen without computing it"


def test_parity_survives_and_the_pool_works_afterwards():
    corpus = [(f"\\boxed{{{answer}}}", gold) for answer, gold, _ in rows()[-700::7]]
    assert set(parity_many(corpus, workers=2)) <= {0.0, 1.0}
    [grade] = grade_many([("\\boxed{\\dfrac{1}{2}}", "\\frac{1}{2}", "math")], workers=2)
    assert (grade.score, grade.status) == (1.0, "ok")
    pool.close()
