"""What the stated rates of the world of skills say about its settings, before any run (docs/predictions_skills.md).

    python tests/checks/skills_mechanism.py

Groups of 6 on the training problems at the untrained rates; standard library only, seconds.
"""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from harness.skills.world import ABOUT, FAMILIES, GROUPS, base_rate, family_of, rate, right_phrases, success, train_problems

K = 6
MASKED = 0.01
"""The ratio of the bare to the templated probability below which P2O's mask drops a token."""
BUDGETS = (8000, 20400)
FLOORS = (0.02, 0.005, 0.001)
LIFTS = (0.3, 0.6, 0.9)


def share(values: list[float]) -> str:
    return f"{fmean(values):.0%}"


def main() -> None:
    problems = train_problems(640, 0.6, 2)
    print("| | " + " | ".join(f"floor {f:g}" for f in FLOORS) + " |\n|---|" + "---|" * len(FLOORS))
    chances = {f: [success(p, "", f) for p in problems] for f in FLOORS}
    row = [share([1 - (1 - s) ** K for s in chances[f]]) for f in FLOORS]
    print(f"| groups with a success at the start, unprompted | {' | '.join(row)} |")
    row = [share([(1 - s) ** K + K * s * (1 - s) ** (K - 1) for s in chances[f]]) for f in FLOORS]
    print(f"| problems that are hard at the start (fewer than 2 of {K}) | {' | '.join(row)} |")
    for kind, name in (("c", "odd"), ("d", "even")):
        rows_of = Counter(family_of(p, i) for p in problems for i in range(p.meta["n"]))
        own = [family for family in FAMILIES if family[0] == kind]
        for budget in BUDGETS:
            draws = {family: rows_of[family] * budget / len(problems) for family in own}
            missed = [sum((1 - base_rate(x, f)) ** draws[x] for x in own) for f in FLOORS]
            cells = " | ".join(f"{m:.1f}" for m in missed)
            print(f"| families of {name} rows that plain rollouts never see right, of {len(own)}: {budget:,} | {cells} |")
    print("\n| the problem's own phrases, floor .001 | " + " | ".join(f"lift {x:g}" for x in LIFTS) + " |")
    print("|---|" + "---|" * len(LIFTS))
    lifted = {x: [success(p, right_phrases(p, x, 2)) for p in problems] for x in LIFTS}
    row = [share([1 - s**K - (1 - s) ** K for s in lifted[x]]) for x in LIFTS]
    print(f"| groups that are neither all right nor all wrong | {' | '.join(row)} |")
    everything = {x: right_phrases(problems[0], x, 1) for x in LIFTS}
    masked = [sum(base_rate(f) / rate(f, everything[x]) < MASKED for f in FAMILIES) for x in LIFTS]
    what = f"families whose right way the ratio mask drops (rate / lift below {MASKED:g}), of {len(FAMILIES)}"
    print(f"| {what} | {' | '.join(map(str, masked))} |")
    lifted_by_four = set().union(*(ABOUT[noun] for noun in GROUPS[8][:4]))
    both = [{family_of(p, 0), family_of(p, 1)} <= lifted_by_four for p in problems if p.meta["n"] == 2]
    print(f"\nOf eight groups, four phrases lift both rows of {fmean(both):.0%} of the two-row problems.")


if __name__ == "__main__":
    main()
