"""What tests of several folders are handed by pytest; plain functions that they share are in tests/support.

The machinery is tested on the testbed: its small runs, tables and figures by hand are of that world. So `harness run` in a
test that names no recipe takes `testbed`, by the environment variable of the option, child processes too; a test of the
command line as users meet it deletes the variable. `support.settings.resolve` and study files of tests name it themselves.
"""

import os

import pytest

from support.paths import DATA


@pytest.fixture(scope="session", autouse=True)
def on_the_testbed():
    """The recipe of `harness run` in tests that name none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_RUN_RECIPE", "testbed")
        yield


@pytest.fixture(autouse=True)
def no_include_path(monkeypatch):
    """A command puts the paths of suites from outside into the environment of its process, which is that of other tests too."""
    monkeypatch.delenv("HARNESS_INCLUDE_PATH", raising=False)


@pytest.fixture(scope="session")
def data_dir():
    """The real data (tests/support/paths.py). A checkout without any skips the tests that need them; a folder that is
    named, or lies beside the checkout, and holds none is a mistake."""
    if not (DATA / "eval").is_dir():
        if "HARNESS_DATA_DIR" in os.environ or DATA.parent.is_dir():
            pytest.fail(f"{DATA} holds no eval/*.jsonl")
        pytest.skip("no benchmark data; set HARNESS_DATA_DIR")
    return DATA
