"""Whether a grade is a proof or a rejection: pairs of known verdict, by kind, under the grader, bare math-verify, and parity.

    python tests/checks/grading_properties.py [--seed 0] [--cases 27] [--graders ours,math-verify,parity] [--examples 3]

Every gold answer has 12 rewritings that keep its value and 12 that change it by as little as they can
(tests/support/grading_pairs.py); 27 gold answers of each kind are some 20,000 pairs. Prints a table of false acceptances
and false rejections by kind. Ends with 1 where ours accepts one wrong answer, rejects more than MOST_REJECTED of the
right ones.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.grading.graders import grade_many  # noqa: E402
from harness.grading.parity import parity_many  # noqa: E402
from support.grading_pairs import KINDS, MOST_REJECTED, Pair, pairs  # noqa: E402


def ours(drawn: Sequence[Pair]) -> list[bool]:
    grades = grade_many([(p.completion, p.gold, "math") for p in drawn])
    for p, g in zip(drawn, grades, strict=True):
        if g.status in ("error", "timeout"):
            print(f"ours: status {g.status}: gold {p.gold}    answer {p.completion}")
    return [g.score >= 1.0 for g in grades]


def math_verify(drawn: Sequence[Pair]) -> list[bool]:
    """parse and verify as their documentation has them: gold in a box, the whole completion, default time limits."""
    with ProcessPoolExecutor(initializer=_quiet) as pool:
        return list(pool.map(_verify, [p.gold for p in drawn], [p.completion for p in drawn], chunksize=50))


def _quiet() -> None:
    logging.disable(logging.CRITICAL)


def _verify(gold: str, completion: str) -> bool:
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(completion)))


def parity(drawn: Sequence[Pair]) -> list[bool]:
    return [score >= 1.0 for score in parity_many([(p.completion, p.gold) for p in drawn])]


GRADERS: dict[str, Callable[[Sequence[Pair]], list[bool]]] = {"ours": ours, "math-verify": math_verify, "parity": parity}


def table(drawn: Sequence[Pair], verdicts: dict[str, list[bool]]) -> list[str]:
    """Markdown: a row per kind, for each grader the wrong answers that it accepts and the right ones that it rejects."""
    wrong: dict[tuple[str, str, bool], int] = Counter()
    for name, accepted in verdicts.items():
        for p, yes in zip(drawn, accepted, strict=True):
            wrong[p.kind, name, p.right] += yes != p.right
    count = Counter((p.kind, p.right) for p in drawn)
    heads = [f"{name}: {what}" for name in verdicts for what in ("accepts", "rejects")]
    lines = [f"| kind | wrong, right | {' | '.join(heads)} |", f"|---|--:|{'--:|' * len(heads)}"]
    for kind in dict.fromkeys(p.kind for p in drawn):
        cells = [str(wrong[kind, name, right]) for name in verdicts for right in (False, True)]
        lines.append(f"| {kind} | {count[kind, False]}, {count[kind, True]} | {' | '.join(cells)} |")
    total = {right: sum(n for (_, r), n in count.items() if r == right) for right in (False, True)}
    sums = {
        (name, right): sum(n for (_, x, r), n in wrong.items() if (x, r) == (name, right))
        for name in verdicts
        for right in (False, True)
    }
    cells = [f"{sums[name, right]} ({sums[name, right] / total[right]:.1%})" for name in verdicts for right in (False, True)]
    return [*lines, f"| all | {total[False]}, {total[True]} | {' | '.join(cells)} |"]


def shown(drawn: Sequence[Pair], accepted: Sequence[bool], most: int) -> list[str]:
    """Pairs on which a grader is wrong, at most so many of a kind and a way."""
    found: dict[tuple[str, str, bool], list[Pair]] = defaultdict(list)
    for p, yes in zip(drawn, accepted, strict=True):
        if yes != p.right:
            found[p.kind, p.way, p.right].append(p)
    lines = []
    for (kind, way, right), those in sorted(found.items(), key=lambda item: (item[0][2], item[0][0], -len(item[1]))):
        lines.append(f"{'rejected' if right else 'accepted'}, {kind}, {way}: {len(those)}")
        lines += [f"    gold {p.gold}    answer {p.completion}" for p in those[:most]]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=27, help="gold answers of each kind")
    parser.add_argument("--kinds", help=f"comma-separated, of: {', '.join(KINDS)}")
    parser.add_argument("--graders", default=",".join(GRADERS))
    parser.add_argument("--examples", type=int, default=0, help="show so many pairs of a kind and way on which ours is wrong")
    args = parser.parse_args()
    drawn = list(pairs(args.seed, args.cases, args.kinds.split(",") if args.kinds else None))
    print(f"seed {args.seed}, {len(drawn)} pairs")
    verdicts = {}
    for name in args.graders.split(","):
        start = time.perf_counter()
        verdicts[name] = GRADERS[name](drawn)
        print(f"{name}: {time.perf_counter() - start:.0f} s")
    print("\n" + "\n".join(table(drawn, verdicts)))
    if "ours" not in verdicts:
        return 0
    if args.examples:
        print("\n" + "\n".join(shown(drawn, verdicts["ours"], args.examples)))
    accepted = sum(yes and not p.right for p, yes in zip(drawn, verdicts["ours"], strict=True))
    rejected = sum(p.right and not yes for p, yes in zip(drawn, verdicts["ours"], strict=True))
    share = rejected / sum(p.right for p in drawn)
    failed = accepted > 0 or share > MOST_REJECTED
    print(f"\nours: {accepted} false acceptances, {share:.2%} false rejections (at most {MOST_REJECTED:.0%})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
