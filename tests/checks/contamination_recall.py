"""The contamination check against an independent list of overlaps (contamination.json beside eval/ and train/).

    python tests/checks/contamination_recall.py --data-dir DIR

Compares every training file with every evaluation file of DIR at once, puzzles made from a template left out. The list
gives counts by pair of files (exact, strong: half of the 13-grams in one training problem, same: exact, or strong with
an equal answer) and the ids behind `same` for most pairs. Recall by id is over those; by count it is the sum over pairs
of the smaller of both counts. Additions are problems that match without being listed as `same`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from harness.core.types import Problem
from harness.data.contamination import KINDS, Match, find, flagged, plain
from harness.data.problems import read_problems

TEMPLATES = ("kk_", "countdown_", "game24")


def read_all(folder: Path) -> dict[str, list[Problem]]:
    """The problems of every file of a folder by its name."""
    files = sorted(folder.glob("*.jsonl*"))
    return {f.name.split(".")[0]: read_problems(f, "math", "bare") for f in files if not f.name.startswith(TEMPLATES)}


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else f"{part} of 0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=2, help="additions to show per kind, with and without equal answers")
    args = parser.parse_args()
    listed = json.loads((args.data_dir / "contamination.json").read_text())
    tests, trains = read_all(args.data_dir / "eval"), read_all(args.data_dir / "train")
    # One call for all training sets: their ids repeat, so each carries the name of its set.
    pool = [replace(p, id=f"{name}|{p.id}") for name, problems in trains.items() for p in problems]
    start = time.perf_counter()
    found = find(pool, tests)
    seconds = time.perf_counter() - start
    texts = {p.id: p.text for p in pool}
    pairs: dict[tuple[str, str], list[Match]] = defaultdict(list)
    for test, matches in found.items():
        for match in matches:
            pairs[match.train.split("|")[0], test].append(match)

    sums: Counter[str] = Counter()
    missed: list[tuple[str, str, str]] = []
    examples: dict[tuple[str, bool], list[tuple[str, Match]]] = defaultdict(list)
    print(f"{'training set':16} {'evaluation set':15}  ours: exact ngram near  listed: exact same strong  same by id")
    for train in trains:
        for test in tests:
            counts = listed["pairs"][train].get(test, Counter())
            ids = listed["same_items"][train].get(test)
            matches = pairs[train, test]
            kinds = flagged(matches)
            ours = Counter(kinds.values())
            sums["pairs"] += 1
            sums["exact"] += counts.get("exact", 0)
            sums["exact found"] += min(ours["exact"], counts.get("exact", 0))
            sums["strong"] += counts.get("strong", 0)
            sums["strong found"] += min(ours["exact"] + ours["ngram"], counts.get("strong", 0))
            for kind in KINDS:
                sums[f"all {kind}"] += ours[kind]
            by_id = ""
            if ids is not None or not counts.get("same"):
                known = set(ids or ())
                sums["same"] += len(known)
                sums["same found"] += len(known & kinds.keys())
                by_id = f"{len(known & kinds.keys())}/{len(known)}"
                missed += [(train, test, problem) for problem in sorted(known - kinds.keys())]
                equal = {m.test for m in matches if m.same_answer}
                best = {m.test: m for m in reversed(matches) if kinds[m.test] == m.kind}
                best |= {m.test: m for m in reversed(matches) if kinds[m.test] == m.kind and m.same_answer}
                for problem in kinds.keys() - known:
                    sums[f"added {kinds[problem]}"] += 1
                    sums[f"added {kinds[problem]}, equal answer"] += problem in equal
                    examples[kinds[problem], problem in equal].append((test, best[problem]))
            else:
                same = len({m.test for m in matches if m.kind == "exact" or m.same_answer})
                sums["same by count"] += counts["same"]
                sums["same by count found"] += min(same, counts["same"])
            if kinds or counts.get("same"):
                numbers = [ours[k] for k in KINDS] + [counts.get(k, 0) for k in ("exact", "same", "strong")]
                a, b, c, d, e, f = numbers
                print(f"{train:16} {test:15}  {a:11} {b:5} {c:4} {d:14} {e:4} {f:6}  {by_id:>10}")

    sizes = f"{len(pool)} training and {sum(map(len, tests.values()))} evaluation problems"
    print(f"\n{sums['pairs']} pairs of files, {sizes}: {seconds:.0f} s")
    print(f"recall of exact, by count: {share(sums['exact found'], sums['exact'])}")
    print(f"recall of same, by id: {share(sums['same found'], sums['same'])}")
    print(f"recall of same, by count where no ids are listed: {share(sums['same by count found'], sums['same by count'])}")
    print(f"recall of strong, by count: {share(sums['strong found'], sums['strong'])}")
    for kind in KINDS:
        equal = sums[f"added {kind}, equal answer"]
        print(f"added to same, {kind}: {sums[f'added {kind}']}, {equal} of them with an equal answer")
    for train, test, problem in missed:
        print(f"missed: {problem} of {test}, {listed['same_items'][train][test][problem]} of {train}")
    questions = {(name, p.id): p for name, problems in tests.items() for p in problems}
    for kind in KINDS:
        for equal in (True, False):
            distinct = {(test, m.test): m for test, m in sorted(examples[kind, equal], key=lambda x: (x[0], x[1].test))}
            for (test, _), m in list(distinct.items())[: args.examples]:
                answers = "equal answers" if equal else "other answers"
                print(f"\n{kind}, share {m.share:.2f}, {answers}: {test} {m.test} and {m.train}")
                for text in (questions[test, m.test].text, texts[m.train]):
                    print("   ", " ".join(plain(text).split())[:200])


if __name__ == "__main__":
    main()
