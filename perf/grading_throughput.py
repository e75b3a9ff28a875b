"""Grading of mixed answers: the harness's graders against math-verify in a plain loop, verdicts compared.

    python perf/grading_throughput.py --data-dir DATA [--items 20000] [--workers 2]

Golds come from eval/*.jsonl of six suites, drawn in proportion to problems times samples of a real evaluation. The mix
is that of a trained model that answers in a box: 55 % the gold as the suite writes it, 30 % another problem's answer of
the same suite (a wrong number, where the suite's answers are numbers), 10 % the right value in other LaTeX (dfrac,
spacing, a decimal point, a unit), 5 % no box at all. Golds below 1e-4 are left out: the harness
does not take two numbers near zero for equal, math-verify does.

The loop calls parse and verify on the same boxed answers in one process, with math-verify's own alarms. At the end, the
wall time of answers that math-verify would compute on for ever.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path

from harness.grading.answers import last_boxed
from harness.grading.graders import grade_many

SUITES = {"aime24": 16, "aime25": 16, "amc23": 16, "math500": 4, "minerva_math": 4, "olympiadbench": 4, "gsm8k_test": 4}
"""File and samples per problem."""


def mixed(data_dir: Path, items: int) -> list[tuple[str, str, str]]:
    """(completion, gold, answer type) items, the same on every call."""
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
        out.append((f"Hence the answer is \\boxed{{{answer}}}.", gold, "math"))
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
    differ = [
        (text, gold, g.score, score)
        for (text, gold, _), g, score in zip(items, grades, theirs, strict=True)
        if g.score != score
    ]
    print(f"{len(items)} answers, {sum(theirs) / len(items):.0%} right; {sum(g.status == 'timeout' for g in grades)} timeouts")
    print(f"harness, {args.workers} workers  {ours:8.1f} s")
    print(f"math-verify in a loop  {loop:8.1f} s   ratio {loop / ours:.1f}")
    assert not differ, f"{len(differ)} verdicts differ, the first: {differ[:5]}"
    print("same verdicts")
    slowest = 0.0
    for tower in ("9^{9^{9^{9}}}", "2^{2^{2^{2^{2^{2}}}}}", "(10^{9})!", "9!!!!!!"):
        start = time.perf_counter()
        [grade] = grade_many([(f"\\boxed{{{tower}}}", "7", "math")], args.workers)
        slowest = max(slowest, time.perf_counter() - start)
        assert grade.score == 0, grade
    print(f"slowest answer, alone, both tries and a new child included: {slowest:.1f} s")


if __name__ == "__main__":
    main()
