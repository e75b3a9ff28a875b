"""The tables of costs in the documents, a row per recipe and arm: `harness plan --recipe R --arms A,B` says the same.

    python tests/support/costs.py          # prints them

tests/unit/cost/test_documented.py holds the documents to them.
"""

from harness.config import resolve
from harness.cost.estimate import estimate
from harness.cost.throughput import given
from harness.plan import without_data
from harness.report.cost import cost_table

ARMS = ("p2o", "grpo", "grpo-2x", "grpo-dynsample", "gepa", "critique-refine", "self-hint", "prefix-ladder")
PAGES = {
    "docs/openrlhf.md": {
        "qwen3-4b-deepscaler-5k": ((), (), ARMS),
        "qwen3-4b-deepmath-5k": ((), (), ("p2o", "grpo")),
        "qwen3-4b-deepscaler-1gpu": ((), (), ("p2o", "grpo", "gepa")),
        "qwen3-4b-deepscaler-2nodes": ((), (), ("p2o", "grpo", "gepa")),
    },
    "docs/cli.md": {
        "skills": ((), (), ("p2o", "grpo", "gepa")),
        "testbed": ((), (), ("p2o", "grpo", "gepa")),
        "smollm2": ((), (), ("p2o", "grpo", "gepa")),
        "qwen2.5-0.5b-words": ((), (), ("p2o", "grpo")),
        "qwen2.5-0.5b-gsm8k": (("train.limit=7473",), ("H200",), ("p2o", "grpo")),
    },
}
"""By page and recipe: settings, words of `--throughput`, arms."""


def rows(recipe, sets, words, arms):
    """Markdown rows: recipe, device, and the cells of `harness plan`."""
    costs = {}
    for arm in arms:
        spec = resolve(arm, recipe, sets=sets)
        costs[arm] = estimate(spec, without_data(spec), given(spec, words))
    cells = cost_table("", costs).rows
    device = next(iter(costs.values())).device
    return [f"| {' | '.join((recipe, device, *row))} |" for row in cells]


if __name__ == "__main__":
    for page, recipes in PAGES.items():
        print(page)
        for recipe, given_ in recipes.items():
            print("\n".join(rows(recipe, *given_)))
