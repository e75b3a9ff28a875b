"""One browser for all tests of pages. Needs the package playwright (any browser build of its own is not used) and a chromium
on the PATH; skipped without."""

import os

import pytest

from support.browsing import CHROMIUM


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'p2o-harness[test-browser]'")
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no chromium on the PATH")
    assert CHROMIUM, "no chromium on the PATH; where all tests must run, they are not skipped"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
