"""The costs that the documents state are those that the commands print."""

import pytest

from support.costs import PAGES, rows
from support.paths import ROOT

CASES = [(page, recipe, *given) for page, recipes in PAGES.items() for recipe, given in recipes.items()]


@pytest.mark.parametrize(("page", "recipe", "sets", "words", "arms"), CASES, ids=[c[1] for c in CASES])
def test_the_table_is_what_the_command_prints(page, recipe, sets, words, arms):
    found = [line for line in (ROOT / page).read_text().splitlines() if line.startswith(f"| {recipe} | ")]
    assert found == rows(recipe, sets, words, arms), "python tests/support/costs.py prints them"
