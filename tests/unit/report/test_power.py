"""What `harness power` says and shows: against the planner's own numbers, at the widths of terminals."""

import pytest
from rich.cells import cell_len

from harness.report import power as render
from harness.report import terminal
from harness.stats import power as planner

SEEDS = (3, 5, 8)


def rows(effects=(4.7,), sds=(2.0,), question_se=None):
    return planner.answer(planner.designs((), sds, question_se, None, 0.8), effects, SEEDS, 0.05, 0.8, 1.0)


def test_the_answer_is_a_sentence():
    """By Student's t: 6 seeds an arm are the first with power .8 for 4.7 beyond a margin of 1 at an sd of 2."""
    [said] = render.power_sentences(rows(), 0.8)
    assert (said.about, said.points) == ("effect", 4.7)
    assert said.text == "To see a gain of 4.7 points in 80% of tries takes 6 seeds an arm on these questions (seed sd 2.00)."
    [first, second] = map(str, render.power_sentences(rows((9.0, 1.01), question_se=1.5), 0.8))
    assert "seeds an arm on these questions; " in first and " seeds an arm on new ones (" in first
    assert "more than " in second and "; on new ones no number of seeds is enough, it takes more questions (" in second
    assert render.power_sentences([{**rows()[0], "name": "run"}], 0.8)[0].text.endswith("(run: seed sd 2.00).")


def test_a_row_for_every_number_of_seeds():
    found = rows((4.7, 2.0), question_se=1.5)
    table = render.power_table(found, SEEDS, 0.05, 0.8)
    assert len(table.rows) == 2 * len(SEEDS) and table.header[-4:] == ("seeds", "power", "MDE", "questions")
    for i, (r, s) in enumerate((r, s) for r in found for s in SEEDS):
        shown = dict(zip(table.header, table.rows[i], strict=True))
        assert float(shown["power"]) == pytest.approx(r["power"][s], abs=0.005)
        assert float(shown["MDE"]) == pytest.approx(r["detectable"][s], abs=0.05) and shown["seeds"] == str(s)
    assert "questions" not in render.power_table(rows(), SEEDS, 0.05, 0.8).header, "nothing is known of them"


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_fits_a_terminal(columns):
    table = render.power_table(rows((4.7, 2.0), (2.0, 3.0), 1.5), SEEDS, 0.05, 0.8)
    text = terminal.in_text([table], columns)
    assert max(map(cell_len, text.splitlines())) <= columns
    if columns >= 80:
        assert " · " not in text, "every number stands below its heading"
