"""A comparison with other means and tie letters."""

from dataclasses import replace


def lettered(c, means, letters, key):
    """`means` and `letters` by arm, on the measure `key`."""
    arms = []
    for arm in c.arms:
        own = replace(arm.scores[key], mean=means[arm.label], ties=letters[arm.label])
        arms.append(replace(arm, scores={**arm.scores, key: own}))
    return replace(c, arms=arms)
