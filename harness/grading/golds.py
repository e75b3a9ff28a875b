"""The self-test of the graders: every gold answer of a suite graded against itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.data import procedural
from harness.data.suites import Suite
from harness.grading.equivalence import verify_many
from harness.grading.graders import grade_many
from harness.grading.pool import default_workers

GOLD_S = 20.0
"""CPU seconds per gold, over both tries: a gold must not fail because others slow it down."""


def check_golds(suite: Suite, data_dir: Path | None) -> dict[str, Any]:
    """`n` golds, how many are `accepted`, and `rejected`: a row per other one with id, gold, status and the card's reason.

    Mathematics goes through math-verify, without the short cut for equal texts. Raises as `Suite.problems` does.
    """
    problems = suite.problems(data_dir)
    if suite.answer_type == "math":
        golds = sorted({p.answer.strip() for p in problems})
        verdicts = verify_many([(gold, gold) for gold in golds], default_workers(), GOLD_S)
        found = [verdicts[p.answer.strip(), p.answer.strip()] for p in problems]
    else:
        read = procedural.gold_answer if suite.answer_type == "reasoning_gym" else str
        grades = grade_many([(p.stated(read(p.answer)), p.answer, suite.answer_type) for p in problems])
        found = ["right" if g.score >= 1.0 else "wrong" if g.status == "ok" else g.status for g in grades]
    rejected = [
        {"id": p.id, "gold": p.answer, "status": verdict, "reason": suite.rejected_golds.get(p.id)}
        for p, verdict in zip(problems, found, strict=True)
        if verdict != "right"
    ]
    return {"n": len(problems), "accepted": len(problems) - len(rejected), "rejected": rejected}


def at_hand(suites: Sequence[Suite], data_dir: Path | None) -> list[Suite]:
    """The suites that can be generated here or whose file is in `data_dir`."""

    def there(suite: Suite) -> bool:
        if suite.file is None:
            return suite.answer_type != "reasoning_gym" or procedural.installed()
        return data_dir is not None and (data_dir / suite.file).exists()

    return [suite for suite in suites if there(suite)]
