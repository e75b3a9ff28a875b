"""How arms stand: first, tied or unknown, in sentences, rows and pictures, on scores made by hand."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.ledger import Ledger
from harness.report import standings as s
from harness.report.sentences import difference_sentence
from harness.runs.result import Macro, RoleMeans
from harness.stats.comparison import compare
from support.results import result, suite_scores


def arm(method, scores, tokens=100, own=None, stamp=None):
    """A run with OOD scores by seed, and ID ones where they are given."""
    by_seed = dict(enumerate(scores))
    found = result(method, by_seed, stamp=stamp, ledger=Ledger(rollouts=10, generated_tokens=tokens))
    if own is None:
        return found
    ids = dict(enumerate(own))
    macro = Macro(
        id=sum(own) / len(own),
        ood=found.macro.ood,
        per_seed={seed: RoleMeans(id=ids[seed], ood=by_seed[seed]) for seed in by_seed},
    )
    return structs.replace(
        found, suites={**found.suites, "tb-id": suite_scores(ids, role="id", title="Same chains")}, macro=macro
    )


LOW, MID, HIGH = (0.30, 0.31, 0.32, 0.30), (0.40, 0.41, 0.42, 0.40), (0.50, 0.51, 0.52, 0.50)
WIDE = (0.35, 0.39, 0.31, 0.47)


def test_an_arm_that_is_told_apart_from_all_is_first():
    c = compare([arm("p2o", HIGH), arm("grpo", LOW), arm("gepa", MID)])
    assert s.answer(c) == [
        "p2o is first out of distribution with 50.8 points: told apart from all 2 others (the next, gepa, has 40.8).",
        *(str(difference_sentence(c, c.arms[i], c.measures[0])) for i in (0, 2)),
    ]
    assert s.tally(c) == ["Of the 2 others, against grpo: 2 are ahead by more than 1.0 points."]
    [text] = s.answer(compare([arm(f"m{i}", [x + i / 20 for x in LOW]) for i in range(s.FEW)]))[1:]
    assert text.startswith("Out of distribution, 9 of 9 are ahead of m0: m9 (by 45.0; ") and "m1 (by 5.0; " in text
    assert s.answer(compare([arm(f"m{i}", [x + i / 20 for x in LOW]) for i in range(s.FEW + 1)]))[1:] == [
        "Of the 10 others, against m0: 10 are ahead by more than 1.0 points."
    ]


def test_tied_arms_share_the_first_place():
    c = compare([arm("p2o", WIDE), arm("grpo", MID), arm("gepa", LOW)])
    first, [second] = s.leader(c), s.tally(c)
    assert first == (
        "Nobody is surely first out of distribution: grpo has the highest score, 40.8, and 1 of the 2 others may be first as "
        "well (p2o)."
    )
    assert second == "Of the 2 others, against grpo: 1 is behind by more than 1.0 points, 1 is undecided."
    two = compare([arm("p2o", WIDE), arm("grpo", MID)])
    assert s.leader(two) == "Neither arm is surely first out of distribution: grpo has 40.8 points, p2o 38.0."
    many = compare([arm(f"m{i}", [x + i / 1000 for x in WIDE]) for i in range(13)])
    assert "12 of the 12 others may be first as well (m11, m10, m9, m8, m7, m6, m5, m4, m3, m2 and 2 more)." in s.leader(many)


def test_single_seeds_and_single_arms_have_no_ranks():
    c = compare([arm("p2o", [0.5]), arm("grpo", [0.4])])
    assert s.leader(c).startswith("p2o has the highest score out of distribution, 50.0, and no arm has a rank:")
    assert s.tally(c) == ["Of the other, against grpo: 1 is without an interval."]
    assert [row[0].text for row in s.standings(c, ["", ""]).rows] == ["none", "none"]
    alone = compare([arm("p2o", WIDE)])
    assert s.answer(alone) == ["p2o scores 38.0 out of distribution (4 seeds)."] and s.standings(alone, ["x"]).header == (
        "arm",
        "OOD",
        "tokens",
        "seeds",
        "evidence",
    )
    stamped = compare([arm("p2o", HIGH, stamp="a trial"), arm("grpo", LOW), arm("gepa", MID)])
    assert s.leader(stamped).startswith("gepa is first") and s.standings(stamped, [""] * 3).rows[0][1].under == "not a result"


def test_a_row_has_rank_ood_and_id_side_by_side():
    c = compare([arm("p2o", HIGH, 150, MID), arm("grpo", LOW, 100, LOW)])
    t = s.standings(c, ["recomputed", "retrained"])
    assert t.header == ("rank", "arm", "OOD", "ID", "against baseline", "tokens", "seeds", "evidence")
    assert [[x.text for x in row] for row in t.rows] == [
        ["1", "p2o", "50.8", "40.8", "+20.0", "150", "4", "recomputed"],
        ["2", "grpo", "30.8", "30.8", "baseline", "100", "4", "retrained"],
    ]
    assert [x.under for x in t.rows[0]][4:6] == ["ahead", "×1.50"] and t.rows[0][4].kind == "ahead"
    assert [t.header[i] for i in sorted(t.narrow)] == ["rank", "arm", "OOD", "ID", "tokens"], "what a phone shows"
    ranked = compare([arm(f"m{i}", [x + 0.002 * i for x in WIDE]) for i in range(3)])
    assert [row[0].text for row in s.standings(ranked, [""] * 3).rows] == ["1 to 3"] * 3


@pytest.mark.parametrize(
    ("spots", "best"),
    [
        ([(1, 1), (2, 2), (3, 3)], {0, 1, 2}),
        ([(1, 3), (2, 2), (3, 4)], {0, 2}),
        ([(1, 1), (1, 2), (0, 2)], {2}),
        ([(1, 1), (1, 1), (2, 1)], {0, 1}),
        ([], set()),
    ],
)
def test_the_frontier_by_hand(spots, best):
    assert s.frontier(spots) == best


def test_pictures_draw_what_the_rows_say(monkeypatch):
    drawn = []
    monkeypatch.setattr(s.plots, "scatter", lambda spots, *rest: drawn.append(spots) or "<svg>")
    c = compare([arm("p2o", HIGH, 150), arm("grpo", LOW, 100), arm("gepa", MID, 200)])
    [cost] = s.cost_picture(c)
    assert [(x.x, round(x.y, 2), x.label, x.series) for x in drawn[0]] == [
        (150, 50.75, "p2o", 0),
        (100, 30.75, "grpo", 1),
        (200, 40.75, "", 0),
    ]
    assert cost["title"].startswith("OOD macro average over cost") and cost["svg"] == "<svg>"
    free = replace(c, arms=[replace(a, budget=a.budget | {"sampled_tokens": 0}) for a in c.arms])
    assert s.cost_picture(free) == [] == s.cost_picture(compare([arm("p2o", HIGH)]))
    shown = s.picture(c)
    assert "orange: grpo, the baseline" in shown["title"] and all(f">{a.label}<" in shown["svg"] for a in c.arms)
    assert "upright bar: mean" in shown["title"], "without samples there are no intervals"


def test_questions_are_sentences():
    c = compare([arm("p2o", HIGH), arm("grpo", LOW)])
    assert (
        s.question(c, "a/model", "drills") == "Which of 2 ways to train a/model on drills scores highest out of distribution?"
    )
    alone = compare([arm("p2o", HIGH)])
    assert s.question(alone, "a/model", "drills") == "How well does a/model score out of distribution, trained on drills?"
    assert s.question(replace(alone, trained=False), "a/model", "") == "How well does a/model score out of distribution?"
    assert s.question(replace(c, trained=False), "a/model", "") == "Which of 2 policies scores highest out of distribution?"
