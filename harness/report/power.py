"""The table of `harness power`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.report.tables import Table
from harness.stats.power import MAX_SEEDS


def power_table(rows: Sequence[dict[str, Any]], seeds: Sequence[int], alpha: float, wanted: float) -> Table:
    """A row per design and effect."""
    header = ["", "effect", "seed sd", "question SE", "seeds, these questions", "seeds, new questions"]
    header += [x for s in seeds for x in (f"power at {s}", f"MDE at {s}", f"questions at {s}")]
    body = []
    for r in rows:
        never = f">{MAX_SEEDS}"
        cells = [r["name"], f"{r['effect']:g}", f"{r['seed_sd']:.2f}", f"{r['question_se']:.2f}" if r["question_se"] else ""]
        cells.append(str(r["seeds_these_questions"] or never))
        cells.append(str(r["seeds_new_questions"] or ("never" if r["ceiling"] < wanted else never)) if r["question_se"] else "")
        for s in seeds:
            factor = r["questions"][s]
            times = "" if not r["question_se"] else "never" if factor is None else f"×{factor:.2g}" if factor > 1 else "enough"
            cells += [f"{r['power'][s]:.2f}", f"{r['detectable'][s]:.1f}", times]
        body.append(tuple(cells))
    notes = [
        f"Seeds per arm for a {100 * wanted:g}% chance that the two-sided test at {alpha:g} detects the effect; percent "
        "points. Power and MDE are for new questions if a question SE is known, otherwise for these questions.",
        "questions: the factor by which every suite must grow at that number of seeds; never: no number is enough.",
    ]
    df = [r["seed_df"] for r in rows if r["seed_df"]]
    if df:
        notes.append(f"Seed sd pooled over the pilot's arms, {min(df)} degrees of freedom; rough if these are few.")
    return Table("Seeds and questions needed", tuple(header), "l" + "r" * (len(header) - 1), body, tuple(notes))
