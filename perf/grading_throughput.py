"""Grading of mixed answers: the harness's graders against math-verify in a plain loop, verdicts compared.

    python perf/grading_throughput.py --data-dir DATA [--items 20000] [--workers 2]

Golds come from eval/*.jsonl of six suites, drawn in proportion to problems times samples of a real evaluation. The mix
is that of a trained model that answers in a box: 55 % the gold as the suite writes it, 30 % another problem's answer of
the same suite (a wrong number, where the suite's answers are numbers), 10 % the right value in other LaTeX (dfrac,
spacing, a decimal point, a unit), 5 % no box at all. Golds below 1e-4 are left out: the harness
does not take two numbers near zero for equal, math-verify does.

The loop calls parse and verify on the same boxed answers in one process, with math-verify's own alarms. Where the verdicts
differ, ours must be the one that follows from how the item was made: the gold in any spelling is right. At the end, a batch
of answers that math-verify would compute on for ever: nested brackets and roots, towers, factorials, endless integrals.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path

from harness.grading.answers import last_boxed
from harness.grading.graders import Grade, grade_many

SUITES = {"aime24": 16, "aime25": 16, "amc23": 16, "math500": 4, "minerva_math": 4, "olympiadbench": 4, "gsm8k_test": 4}
"""File and samples per problem."""


def mixed(data_dir: Path, items: int) -> list[tuple[str, str, str]]:
    """(completion, gold, answer type) items, the same on every call; `Hence` begins those that are right."""
    rng = random.Random(0)
    golds = {name: [json.loads(line)["answer"] for line in (data_dir / "eval" / f"{name}.jsonl").open()] for name in SUITES}
    golds = {name: [g for g in found if not re.search(r"e-|10\^\{-|0\.000|!", g)] for name, found in golds.items()}
    pool = [(name, gold) for name, found in golds.items() for gold in found for _ in range(SUITES[name])]
    out = []
    for _ in range(items):
        name, gold = rng.choice(pool)
        kind = rng.random()
        if kind < 0.55:
            answer = gold
        elif kind < 0.85:
            answer = rng.choice(golds[name])
        elif kind < 0.95:
            answer = other_form(rng, gold)
        else:
            out.append(("I am not sure.", gold, "math"))
            continue
        out.append(
            (f"{'Hence' if kind < 0.55 or kind >= 0.85 else 'Perhaps'} the answer is \\boxed{{{answer}}}.", gold, "math")
        )
    return out


def other_form(rng: random.Random, gold: str) -> str:
    """The gold's value in another spelling."""
    if re.fullmatch(r"-?[0-9]+", gold):
        return rng.choice([f"{gold}.0", f"x = {gold}", f"{gold}\\text{{ units}}"])
    return gold.replace("\\frac", "\\dfrac") if "\\frac" in gold else f"\\,{gold}"


def plain_loop(items: list[tuple[str, str, str]]) -> list[float]:
    """Scores by math-verify alone."""
    from math_verify import parse, verify
    from math_verify.parser import LatexExtractionConfig

    boxed = [LatexExtractionConfig(boxed_match_priority=0)]
    scores = []
    for text, gold, _ in items:
        answer = last_boxed(text)
        gold_forms = parse(f"\\boxed{{{gold.strip()}}}", boxed)
        scores.append(float(bool(answer) and verify(gold_forms, parse(f"\\boxed{{{answer}}}", boxed))))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    items = mixed(args.data_dir, args.items)
    grade_many([("\\boxed{\\frac12}", "0.5", "math")], args.workers)  # the children are up before the clock starts
    start = time.perf_counter()
    grades = grade_many(items, args.workers)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    theirs = plain_loop(items)
    loop = time.perf_counter() - start
    differ = [(*item[:2], g.score, score) for item, g, score in zip(items, grades, theirs, strict=True) if g.score != score]
    print(f"{len(items)} answers, {sum(g.score for g in grades) / len(items):.0%} right; {faults(grades)} timeouts and errors")
    print(f"harness, {args.workers} workers  {ours:8.1f} s")
    print(f"math-verify in a loop  {loop:8.1f} s   ratio {loop / ours:.1f}")
    worse = [row for row in differ if row[2] != float(row[0].startswith("Hence"))]
    assert not worse, f"{len(worse)} verdicts are worse, the first: {worse[:5]}"
    print(f"{len(differ)} verdicts differ, {len({row[:2] for row in differ})} of them distinct; ours is right in each")
    for text, gold in sorted({row[:2] for row in differ})[:5]:
        print(f"  {text}   gold {gold}")
    slow = slow_answers()
    start = time.perf_counter()
    grades = grade_many([(f"\\boxed{{{answer}}}", "7", "math") for answer in slow], args.workers)
    wall = time.perf_counter() - start
    assert not any(grade.score for grade in grades)
    print(f"{len(slow)} slow answers in one batch: {wall:.1f} s, {faults(grades)} timeouts and errors")


def faults(grades: list[Grade]) -> int:
    return sum(grade.status in ("timeout", "error") for grade in grades)


def slow_answers() -> list[str]:
    """Decided at sight, all but the last twenty: integrals that the batch's bound ends."""
    nested = [
        opening * n + "1" + closing * n
        for opening, closing in (("(", ")"), ("\\sqrt{", "}"), ("\\frac{1}{1+", "}"), ("2^{", "}"), ("\\left(", "\\right)"))
        for n in (250, 500, 900)
    ]
    large = [
        "9^{9^{9^{9}}}",
        "2^{2^{2^{2^{2^{2}}}}}",
        "10^{10^{9}}",
        "(10^{9})!",
        "9!!!!!!",
        "((10!)!)!",
        "\\binom{10^9}{5 \\cdot 10^8}",
    ]
    large += [f"\\{name}_{{n=1}}^{{10^9}} \\sin n" for name in ("sum", "prod")]
    endless = [f"\\int_0^1 \\frac{{\\sin(x^3)e^{{x^2}}}}{{\\ln(x+{i})+\\cos(x^x)}} dx" for i in range(2, 22)]
    return [*nested, *large, *endless]


if __name__ == "__main__":
    main()
