"""The settings of runs that tests make."""

from harness import config


def resolve(method, recipe="testbed", *args, **more):
    """`harness.config.resolve` on the testbed, where a test names no recipe."""
    return config.resolve(method, recipe, *args, **more)
