"""Every published verdict of two states of leaderboards/, side by side: what changed, and how often.

    git worktree add --detach /elsewhere COMMIT
    python tests/checks/published_verdicts.py /elsewhere/leaderboards leaderboards [--all]

Read are the built tables of boards, the pages of studies and the tables of readings, as they are published: marks, ties,
intervals and verdicts of every arm on every measure, and those of claims. Without --all, macro averages and claims are listed;
suites are counted, and named where they gain or lose a mark.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

Row = dict[str, str]
SHOWN = ("ties", "these questions", "verdict")


def published(root: Path) -> dict[str, Row]:
    """Rows by "table/measure/arm" and "claims/name"."""
    out: dict[str, Row] = {}
    for path in sorted(root.glob("*/*/scores*.csv")):
        out |= named(path.stem, list(csv.DictReader(path.read_text().splitlines())))
    for path in sorted(p for p in root.glob("*/*.md") if p.name != "reading.md"):  # which has places in place of figures
        for rows in markdown_tables(path.read_text()):
            if "ties" in rows[0]:
                out |= named(path.stem, rows)
            elif "claim" in rows[0]:
                out |= {f"claims/{r['claim']}": r for r in rows}
    return out


def named(table: str, rows: list[Row]) -> dict[str, Row]:
    out, measure = {}, ""
    for row in rows:
        measure = row["measure"] or measure
        out[f"{table}/{measure}/{row['arm']}"] = row
    return out


def markdown_tables(text: str) -> Iterator[list[Row]]:
    block: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if len(block) > 2:
            yield [dict(zip(block[0], row, strict=True)) for row in block[2:]]
        block = []


def mark(row: Row) -> str:
    return next((m for m in "†‡" if m in row.get("difference", "")), "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    before, after = published(args.before), published(args.after)
    marks, verdicts, ties = Counter[str](), Counter[str](), Counter[str]()
    print("| table / measure / arm | mark | ties | these questions | verdict |\n|---|---|---|---|---|")
    for key in before.keys() | after.keys():
        if key not in before or key not in after:
            print(f"| {key} | {'new' if key in after else 'gone'} | | | |")
    for key in (k for k in before if k in after):
        old, new = before[key], after[key]
        table = key.split("/")[0]
        cells = [f"{a} -> {b}" if a != b else a for a, b in ((old.get(x, ""), new.get(x, "")) for x in SHOWN)]
        marked = f"{mark(old)} -> {mark(new)}"
        marks[f"{table}: {marked}"] += 1
        verdicts[f"{table}: {new.get('verdict') or 'baseline'}"] += 1
        ties[table] += old.get("ties") != new.get("ties")
        if args.all or table == "claims" or "macro average" in key or mark(old) != mark(new):
            print(f"| {key} | {marked} | " + " | ".join(cells) + " |")
    for title, counts in (("Marks", marks), ("Verdicts", verdicts), ("Rows whose ties changed", ties)):
        print(f"\n{title}: " + "; ".join(f"{key} ({n})" for key, n in sorted(counts.items())))


if __name__ == "__main__":
    main()
