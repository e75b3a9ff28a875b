"""What tests of several folders are handed by pytest; plain functions that they share are in tests/support."""

import os

import pytest

from support.paths import DATA


@pytest.fixture(scope="session")
def data_dir():
    """The real data (tests/support/paths.py). A checkout without any skips the tests that need them; a folder that is
    named, or lies beside the checkout, and holds none is a mistake."""
    if not (DATA / "eval").is_dir():
        if "HARNESS_DATA_DIR" in os.environ or DATA.parent.is_dir():
            pytest.fail(f"{DATA} holds no eval/*.jsonl")
        pytest.skip("no benchmark data; set HARNESS_DATA_DIR")
    return DATA
