"""Graders: what is accepted, what is rejected, and what happens when math-verify hangs or dies."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import deque
from itertools import repeat

import pytest

from harness.grading import equivalence, pool
from harness.grading.answers import last_boxed
from harness.grading.equivalence import verify_many
from harness.grading.graders import Grade, grade_many
from support.adversarial import TOWERS, near_zero, rows

HANGING = "\\int_0^1 \\frac{\\sin(x^3)e^{x^2}}{\\ln(x+2)+\\cos(x^x)} dx"
FILES = [
    "aime24",
    "aime25",
    "aime26",
    "amc23",
    "hmmt_feb_2025",
    "math500",
    "minerva_math",
    "olympiadbench",
    "gsm8k_test",
    "svamp",
]


def grades(pairs, **options):
    return grade_many([(f"So it is \\boxed{{{answer}}}.", gold, "math") for answer, gold in pairs], **options)


def scores(pairs):
    found = grades(pairs)
    assert [g.status for g in found] == ["ok"] * len(found)
    return [g.score for g in found]


# ------------------------------------------------------------------ extraction


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{1} then \\boxed{ 2 }", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed {\\left\\{ x \\right.}", "\\left\\{ x \\right."),
        ("\\boxed{a = \\boxed{5}}", "5"),
        ("\\boxed{}", ""),
        ("\\boxed{1} and \\boxed{2", None),
        ("the answer is 7", None),
        ("\\boxed{x\\", None),
        ("Answer: $\\boxed 5$", "5"),
        ("so \\boxed5.", "5"),
        ("$\\boxed\\frac12$", "\\frac12"),
        ("$\\boxed x$", "x"),
        ("in a \\boxed or not", None),
        ("\\boxed{5}, in \\boxed as asked", "5"),
    ],
)
def test_last_boxed(text, answer):
    assert last_boxed(text) == answer


@pytest.mark.parametrize(
    ("text", "gold", "score"),
    [
        ("The solutions are \\boxed{3} and \\boxed{4}.", "3,4", 1.0),
        ("$\\boxed{4}$ or $\\boxed{3}$", "3,4", 1.0),
        ("\\(\\boxed{3}\\), \\(\\boxed{4}\\), and \\(\\boxed{5}\\)", "3,4,5", 1.0),
        ("\\boxed{3} and \\boxed{4}", "4", 0.0),
        ("\\boxed{3}, no: \\boxed{4}", "4", 1.0),
        ("\\boxed{3} so the final answer is \\boxed{4}", "4", 1.0),
        ("\\boxed{4} \\boxed{4}", "4", 1.0),
    ],
)
def test_boxes_that_form_a_list(text, gold, score):
    assert [g.score for g in grade_many([(text, gold, "math")])] == [score]


@pytest.mark.parametrize("text", ["the answer is 7", "\\boxed{}", ""])
def test_no_box_is_unparsed(text):
    assert grade_many([(text, "7", "math")]) == [Grade(0.0, "unparsed", None)]


def test_equal_text_needs_no_child(monkeypatch):
    monkeypatch.setattr(equivalence, "run_many", lambda _, pairs, *__: pytest.fail("a child was asked") if pairs else [])
    assert grades([("x_{0", " x_{0")]) == [Grade(0.0, "unparsed", None)]  # its brace never closes
    assert grades([("7", " 7 ")]) == [Grade(1.0, "ok", "7")]


# ------------------------------------------------------------------ mathematics


ACCEPTED = [
    ("\\dfrac{1}{2}", "\\frac{1}{2}"),
    ("0.5", "\\frac{1}{2}"),
    ("27.0", "27"),
    ("1,200", "1200"),
    ("1{,}200", "1200"),
    ("x=7", "7"),
    ("7\\text{ cm}", "7"),
    ("\\{2,1\\}", "\\{1,2\\}"),
    ("2,1", "1,2"),
    ("(3, \\dfrac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"),
    ("4.5 \\times 10^{33}", "4.5e33"),
    ("4.5e+33", "4.5 \\cdot 10^{33}"),
    ("3.89 \\times 10^{-10}", "3.89e-10"),
]
REJECTED = [
    ("300", "3"),
    ("0.03", "3"),
    ("11", "10"),
    ("12", "1,2"),
    ("1", "1,2"),
    ("\\frac{1}{3}", "\\frac{1}{2}"),
    ("2700", "27.0"),
    ("9 \\times 10^{33}", "4.5e33"),
    ("4.5", "4.5e33"),
    ("10001", "10000"),
]


def test_equivalent_forms_are_accepted():
    assert dict(zip(ACCEPTED, scores(ACCEPTED), strict=True)) == dict.fromkeys(ACCEPTED, 1.0)


def test_other_values_are_rejected():
    assert dict(zip(REJECTED, scores(REJECTED), strict=True)) == dict.fromkeys(REJECTED, 0.0)


@pytest.mark.parametrize("name", FILES)
def test_golds_accept_themselves(name, data_dir):
    """Through math-verify, without the short cut for equal texts; every sixth problem of the large suites."""
    golds = [json.loads(line)["answer"] for line in (data_dir / "eval" / f"{name}.jsonl").open()]
    golds = sorted(set(golds[:: 1 if len(golds) < 100 else 6]))
    verdicts = verify_many([(gold, gold) for gold in golds], 2, 20.0)
    assert {pair: v for pair, v in verdicts.items() if v != "right"} == {}


# ------------------------------------------------------------------ children that misbehave


def test_a_hanging_item_times_out_and_the_pool_lives_on():
    ok, hung = grades([("\\dfrac{1}{2}", "\\frac{1}{2}"), (HANGING, "7")], timeout_s=1.0)
    assert (ok.score, ok.status) == (1.0, "ok")
    assert hung == Grade(0.0, "timeout", HANGING)
    assert scores(ACCEPTED[:2]) == [1.0, 1.0]


def spins() -> None:
    while True:
        pass


def stuck() -> None:
    """For ever in one step of the interpreter, which no exception interrupts."""
    deque(repeat(None), maxlen=0)


def test_what_overruns_ends_by_exception_or_with_its_child():
    assert pool.run_many(os.getpid, [()], 1, 20.0) == pool.run_many(os.getpid, [()], 1, 20.0)
    [before] = pool.run_many(os.getpid, [()], 1, 20.0)
    assert [type(e) for e in pool.run_many(spins, [()], 1, 0.5)] == [TimeoutError]
    assert pool.run_many(os.getpid, [()], 1, 20.0) == [before]
    assert [type(e) for e in pool.run_many(stuck, [()], 1, 0.5)] == [TimeoutError]
    assert pool.run_many(os.getpid, [()], 1, 20.0) != [before]


def test_a_batch_has_a_bound_of_its_own():
    """All of 200 items overrun: the batch's own bound and a late share for each, where first tries alone would take 16 s."""
    limit = 0.4
    used = pool.BATCH * limit + 200 * pool.LATE * limit
    started = time.process_time(), time.monotonic()
    outcomes = pool.run_many(spins, [()] * 200, 2, limit)
    assert {type(outcome) for outcome in outcomes} == {TimeoutError}
    assert used < 0.5 * 200 * pool.FIRST_TRY * limit
    assert time.monotonic() - started[1] < 20 * used


def test_dead_children_are_replaced():
    assert scores(ACCEPTED[:1]) == [1.0]
    children = pool._pool._pool_manager.worker_manager.workers
    killed = set(children)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    while pool._pool.active and killed & set(children):  # until the pool has noticed: it replaces them, or gives up
        time.sleep(0.01)
    assert scores(ACCEPTED[:1]) == [1.0]


def dies_once(flag: str) -> str:
    """What the kernel does to a child when memory runs out, the first time."""
    if not os.path.exists(flag):
        open(flag, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "graded"


def test_an_item_whose_child_the_kernel_killed_is_graded_by_another(tmp_path):
    flags = [(str(tmp_path / name),) for name in "ab"]
    assert pool.run_many(dies_once, flags, 2, 20.0) == ["graded"] * 2


def test_works_off_the_main_thread_and_from_several():
    found = {}
    pairs = [*ACCEPTED[:3], ("3", "4")]
    threads = [threading.Thread(target=lambda i=i: found.update({i: scores(pairs)})) for i in (0, 1)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == {0: [1.0, 1.0, 1.0, 0.0], 1: [1.0, 1.0, 1.0, 0.0]}


def test_close_and_start_again():
    pool.close()
    pool.close()
    assert scores(ACCEPTED[:1]) == [1.0]


# ------------------------------------------------------------------ the testbed, and the order of results


def test_testbed_answers():
    items = [("let <S> 1 2 ans 3 4", "3 4", "testbed"), ("ans 3 4 5", "3 4", "testbed"), ("3 4", "3 4", "testbed")]
    assert grade_many(items) == [Grade(1.0, "ok", "3 4"), Grade(0.0, "ok", "3 4 5"), Grade(0.0, "unparsed", None)]
    assert grade_many([("ans 1 2 ans", "1 2", "testbed")]) == [Grade(0.0, "ok", "")]


def test_mixed_types_keep_their_order():
    items = [("\\boxed{1}", "1", "math"), ("ans 1 2", "1 2", "testbed"), ("\\boxed{2}", "2", "math")]
    assert [g.answer for g in grade_many(items)] == ["1", "1 2", "2"]
    assert grade_many([]) == []


def test_unknown_answer_type_is_refused():
    with pytest.raises(ValueError, match="known: math, choice, exact, reasoning_gym, testbed"):
        grade_many([("x", "y", "essay")])


# ------------------------------------------------------------------ what is decided at sight


def test_the_fast_path_never_changes_a_verdict():
    """Whatever it decides, reading and comparing decide alike, or reach no verdict."""
    rng = random.Random(1)
    numbers = [str(rng.randrange(-(10**d), 10**d)) for d in range(1, 16) for _ in range(4)] + ["0", "7", "-7", "70"]
    small = [(rng.randrange(1, 40), rng.randrange(1, 40)) for _ in range(60)]
    numbers += [f"{rng.choice(['', '-'])}\\frac{{{a}}}{{{b}}}" for a, b in small] + [str(n) for n in range(1, 12)]
    pairs = {(a, b) for a in numbers for b in rng.sample(numbers, 3)}
    for a, b in small:  # equal values, those a factor of 100 apart, and those that six decimals do not tell apart
        fraction = f"\\frac{{{a}}}{{{b}}}"
        others = [
            f"\\frac{{{3 * a}}}{{{3 * b}}}",
            f"\\frac{{{100 * a}}}{{{b}}}",
            f"\\frac{{{a}}}{{{100 * b}}}",
            f"\\frac{{{a * 10**7 + 1}}}{{{b * 10**7}}}",
            *([str(a // b)] if a % b == 0 else []),
        ]
        pairs |= {pair for other in others for pair in ((fraction, other), (other, fraction))}
    texts = {a for a, _, _ in rows()[::23] if a.strip() and len(a) < 200 and a not in TOWERS} | {"\\text{ }", "x_{0"}
    pairs |= {(text.strip(), text.strip()) for text in texts}
    decided = {pair: equivalence.at_sight(*pair) for pair in pairs}
    assert set(decided.values()) == {"right", "wrong"} and len(decided) > 200
    verdicts = verify_many(sorted(pairs), 2, 4.0)
    assert {p: (v, verdicts[p]) for p, v in decided.items() if verdicts[p] not in (v, "error", "timeout")} == {}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("07", "7"),
        ("-0", "0"),
        ("+7", "7"),
        ("7.0", "7"),
        ("1,2", "12"),
        ("٣", "3"),
        ("\\frac{3}{0}", "3"),
        ("\\frac12", "2"),
        ("\\frac{-1}{2}", "2"),
    ],
)
def test_the_fast_path_leaves_other_spellings_to_the_children(a, b):
    assert equivalence.at_sight(a, b) is None


def test_near_zero_numbers_and_upright_e():
    corpus = near_zero()
    assert dict(zip(corpus, scores([(a, g) for a, g, _ in corpus]), strict=True)) == {row: row[2] for row in corpus}


def test_a_part_of_the_adversarial_corpus():
    corpus = [row for row in rows()[::9] if len(row[0]) < 1000 and row[0] not in TOWERS and "{{{{{{" not in row[0]]
    found = grades([(a, g) for a, g, _ in corpus])
    assert [(row, f) for row, f in zip(corpus, found, strict=True) if f.score != row[2]] == []


def test_an_overlong_answer_is_not_read():
    assert [g.status for g in grades([("x+" * 5_001, "7"), ("7" * 1_001, "7"), ("7" * 1_000, "7")])] == [
        "unparsed",
        "unparsed",
        "ok",
    ]


# ------------------------------------------------------------------ choices and exact texts


@pytest.mark.parametrize(
    ("answer", "score", "status"),
    [
        ("B", 1.0, "ok"),
        ("b", 1.0, "ok"),
        ("\\text{B}", 1.0, "ok"),
        ("(B)", 1.0, "ok"),
        ("\\textbf{(B)}.", 1.0, "ok"),
        ("A", 0.0, "ok"),
        ("\\text{The answer is B}", 1.0, "ok"),
        ("The correct option is (B).", 1.0, "ok"),
        ("So the final answer is: B", 1.0, "ok"),
        ("Answer: A", 0.0, "ok"),
        ("The answer is B or C", 0.0, "unparsed"),
        ("The answer is not B", 0.0, "unparsed"),
        ("AB", 0.0, "unparsed"),
        ("", 0.0, "unparsed"),
        ("7", 0.0, "unparsed"),
        ("B" * 20_000, 0.0, "unparsed"),
    ],
)
def test_choice(answer, score, status):
    [grade] = grade_many([(f"\\boxed{{{answer}}}", "B", "choice")])
    assert (grade.score, grade.status) == (score, status)


@pytest.mark.parametrize(
    ("answer", "score", "status"),
    [
        ("(B) two of them", 1.0, "ok"),
        ("B. two of them", 1.0, "ok"),
        ("\\text{(B) f(x) = 2}", 1.0, "ok"),
        ("\\mathbf{B}", 1.0, "ok"),
        ("Option B", 1.0, "ok"),
        ("**B**", 1.0, "ok"),
        ("(B)~12/02/1986", 1.0, "ok"),
        ("(A) two of them", 0.0, "ok"),
        ("J", 0.0, "ok"),
        ("(A) or (B)", 0.0, "unparsed"),
        ("(B) or (A)", 0.0, "unparsed"),
        ("B) or C)", 0.0, "unparsed"),
        ("B. or C", 0.0, "unparsed"),
        ("B, C", 0.0, "unparsed"),
        ("(B)(C)", 0.0, "unparsed"),
        ("B: 1, C: 2", 0.0, "unparsed"),
        ("Both", 0.0, "unparsed"),
        ("B ball", 0.0, "unparsed"),
        ("two of them", 0.0, "unparsed"),
    ],
)
def test_choice_with_its_text(answer, score, status):
    """Alike where a whole suite has letters and where one gold is a letter in parentheses."""
    items = [(f"\\boxed{{{answer}}}", "B", "choice"), (f"\\boxed{{{answer}}}", "(B)", "exact")]
    assert {(g.score, g.status) for g in grade_many(items)} == {(score, status)}


EXACT = {
    "not valid": (["Not  valid", "\\text{not valid}.", "$not valid$"], ["valid", "notvalid", "not\\_valid"]),
    "Yes": (["yes", "YES.", "\\text{Yes}", "\\textbf{yes}", '"Yes"', "`yes`"], ["No", "Yes and no", "Yes, it is", "y"]),
    "valid": (["Valid", "\\textit{valid}."], ["invalid", "not valid", "val id", "valid invalid"]),
    "False": (["false", "\\mathrm{False}", "\\texttt{False}"], ["True", "0", "False or True"]),
    "-11520": (
        [
            "-11520",
            "- 11520",
            "−11520",
            "–11520",
            "The answer is -11520",
            "-11,520",
            "-11{,}520",
            "-11\\,520",
            "-11520.0",
            "-011520",
            "$-11520$",
        ],
        [
            "11520",
            "The answer is not -11520",
            "—11520 or 1",
            "-1152",
            "-115200",
            "-11520.5",
            "-1,1520",
            "-11 52 0",
            "-11520 or 11520",
            "-11520%",
            "-1.152e4",
        ],
    ),
    "8": (["8", "+8", "8.", "8.0", "\\text{8}"], ["-8", "88", "8.5", "eight", "8 9", "7+1"]),
    "0": (["0", "-0", "0.0"], ["", "00.1", "O"]),
    "] ] >": (
        [
            "] ] >",
            "]]>",
            "]] >",
            "\\text{] ] >}",
            "\\texttt{]]>}",
            "$] ] >$",
            "]\\,]\\,>",
            "] ] \\rangle",
            "\\right] ] >",
            "`]]>`",
        ],
        ["] >", "] ] > >", "] > ]", "[ [ <", "] ] }", "< [ [ ] ] >", "]]> done", "\\text{]]} >"],
    ),
    "} ]": (
        ["\\} ]", "\\}]", "} ]", "}]", "\\text{\\} ]}", "\\rbrace ]", "\\rbrace\\rbrack"],
        ["] }", "]", "}", "} ] }", "\\{ ]", "\\} \\} ]", "} ]}"],
    ),
    "}": (["}", "\\}", " } ", "\\text{\\}}"], ["]", "}}", "{", "\\{\\}"]),
    "it&t o'connor same": (
        [
            "it\\&t o'connor same",
            "it&t, o’connor, same",
            "\\text{it\\&t}, \\text{o'connor}, \\text{same}",
            "it&t \\quad o'connor \\\\ same",
            "it&t; o'connor; same",
            "IT&T O'Connor Same.",
        ],
        ["o'connor it&t same", "it&t o'connor", "it&t o'connor same same", "it&to'connor same", "itt o'connor same"],
    ),
    "dearth, wind, & fire": (["dearth, wind, & fire", "Dearth, Wind, \\& Fire"], ["(I)", "earth, wind, & fire"]),
}
"""Golds of the forms of BIG-Bench Hard: what is the same answer in a box, and near misses."""


@pytest.mark.parametrize("gold", EXACT)
def test_exact(gold):
    right, wrong = EXACT[gold]
    found = {a: grade_many([(f"So \\boxed{{{a}}}.\n", gold, "exact")])[0] for a in (gold, *right, *wrong)}
    assert {a: g.score for a, g in found.items()} == dict.fromkeys((gold, *right), 1.0) | dict.fromkeys(wrong, 0.0)
    assert {g.status for a, g in found.items() if a} == {"ok"}


@pytest.mark.parametrize("text", ["]]>", "\\boxed{}", "\\boxed{\\}", "\\boxed{]]", ""])
def test_brackets_without_a_box(text):
    assert grade_many([(text, "] ]", "exact")])[0] == Grade(0.0, "unparsed", None)


def test_the_last_box_of_brackets_counts():
    texts = ["\\boxed{] >} no: \\boxed{} ]}.", "\\boxed{} ]} hence (see above) {", "$\\boxed{\\} ]}$ }", "(\\boxed {}]})"]
    assert [g.score for g in grade_many([(text, "} ]", "exact") for text in texts])] == [1.0] * 4
    assert grade_many([("\\boxed{} ]} no: \\boxed{] }}", "} ]", "exact")])[0].score == 0.0


def test_long_boxes_cost_little():
    started = time.process_time()
    for text in ("\\boxed{" + "} ] " * 250_000, "\\boxed{" + "\\text{" * 1600 + "}" * 1601, "\\boxed{" * 100_000):
        for gold in ("} ]", "(A)", "35", "yes"):
            assert grade_many([(text, gold, "exact")])[0].score == 0.0
    assert time.process_time() - started < 20, "CPU seconds; what reads a box again at every brace takes hours"


@pytest.mark.parametrize(
    ("completion", "gold", "kind", "score"),
    [
        (r"\boxed{\boxed{5} \text{ or } 7}", "5", "math", 0.0),
        (r"\boxed{\boxed{5} 6}", "5", "math", 0.0),
        (r"\boxed{\boxed{\boxed{5}}}", "5", "math", 1.0),
        (r"\boxed{x=\boxed{5}}", "5", "math", 1.0),
        (r"\boxed{7 \boxed{5}", "5", "math", 1.0),
        (r"\boxed{\boxed{3}} and \boxed{4}", "4", "math", 0.0),
        (r"\boxed{\boxed{3}} and \boxed{4}", "3,4", "math", 1.0),
        (r"\boxed{\boxed{B} or C}", "B", "choice", 0.0),
        (r"\boxed{\boxed{B}}", "B", "choice", 1.0),
        (r"\boxed{A} or \boxed{B}", "B", "choice", 0.0),
        (r"\boxed{B}, \boxed{B}", "B", "choice", 1.0),
        (r"first \boxed{A}, no: \boxed{B}", "B", "choice", 1.0),
        (r"\boxed{(A)} or \boxed{(B)}", "(B)", "exact", 0.0),
        (r"\boxed{12} or \boxed{13}", "13", "exact", 0.0),
        (r"\boxed{no} or \boxed{yes}", "yes", "exact", 0.0),
        (r"\boxed{\boxed{yes} or no}", "yes", "exact", 0.0),
    ],
)
def test_boxes_in_boxes_and_beside_each_other(completion, gold, kind, score):
    """An outer box is the answer with all that it holds; boxes in a row are one list, whatever the answer type."""
    assert grade_many([(completion, gold, kind)], workers=1)[0].score == score
