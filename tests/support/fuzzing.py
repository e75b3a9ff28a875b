"""Property tests that a night of fuzzing can lengthen."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TRIES = int(os.environ.get("HARNESS_FUZZ", 0))


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors]


def fuzz(tries):
    return settings(
        max_examples=TRIES or tries, deadline=None, suppress_health_check=QUIET, derandomize=not TRIES, database=None
    )


TEXT = st.text(st.characters(), max_size=30)  # surrogates too


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXT, x, max_size=3),
    max_leaves=6,
)
