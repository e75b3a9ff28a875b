"""The page in a real browser: it sorts, filters and shows samples, runs nothing of a model's and asks the network nothing.

Needs the package playwright (any browser build of its own is not used) and a chromium on the PATH; skipped without.
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.paths import ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'p2o-harness[test-browser]'")

from harness.leaderboard import build, submit  # noqa: E402
from support.boards import HOSTILE, make_run  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not (CHROMIUM or os.environ.get("CI")), reason="no chromium on the PATH")


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM, "no chromium on the PATH; where all tests must run, they are not skipped"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A board of three arms whose models wrote hostile text, one of them a line of 1 MB."""
    root = tmp_path_factory.mktemp("board")
    submit.add(make_run(root / "a", "p2o", text=HOSTILE + "</textarea>", template=HOSTILE, room=10_000), root / "b")
    submit.add(make_run(root / "c", "grpo", (1, 2, 2), text="x" * 1_000_000, room=10_000), root / "b")
    submit.add(make_run(root / "d", "gepa", (7, 6, 7), room=10_000), root / "b")
    [folder] = build.build(root / "b")
    return (folder / "index.html").as_uri()


SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@contextmanager
def opened(chromium, url, size):
    """The page at a size; at the end it asked for nothing else, and nothing went wrong in it."""
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("dialog", lambda d: (said.append("dialog"), d.dismiss()))
    page.goto(url)
    yield page
    assert asked == [url] and said == [], "one file, no other request, no error, no violation of the policy"
    context.close()


@pytest.fixture(params=SIZES)
def page(chromium, built, request):
    with opened(chromium, built, SIZES[request.param]) as page:
        yield page


def rows(page, column, table=0):
    """Visible cells of a column of a table, group by group."""
    script = """([t, c]) => [...document.querySelectorAll('.scroll > table')[t].tBodies[0].rows].filter(r => !r.hidden)
        .map(r => r.classList.contains('group') ? '#' : r.cells[c].textContent.trim())"""
    found, out = page.evaluate(script, [table, column]), []
    for cell in found:
        out.append([]) if cell == "#" else out[-1].append(cell)
    return out


def test_sorts_by_click_and_by_keyboard_within_groups(page):
    button = page.locator("th button", has_text="score").first
    head = button.locator("..")
    assert head.get_attribute("aria-sort") == "none"
    button.click()
    assert rows(page, 1) == [["83.3", "50.0", "20.8"]] * 2 and head.get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert rows(page, 1) == [["20.8", "50.0", "83.3"]] * 2 and head.get_attribute("aria-sort") == "ascending"
    arm = page.locator("th button", has_text="arm").first
    arm.focus()
    page.keyboard.press("Space")
    assert rows(page, 0) == [["gepa", "grpo", "p2o"]] * 2 and head.get_attribute("aria-sort") == "none"
    sd = page.locator("th button", has_text="sd").first
    sd.click()
    sd.click()
    assert page.evaluate("document.activeElement.textContent").strip().startswith("sd")


def test_blanks_stay_last_either_way(page):
    button = page.locator("th button", has_text="these questions").first
    for _ in range(2):
        button.click()
        assert rows(page, 7)[0][-1] == "", "the baseline has no interval"


def test_filters(page):
    box = page.get_by_label("Arm").first
    box.fill("GRP")
    assert rows(page, 0) == [["grpo"], ["grpo"]] and page.get_by_role("status").first.text_content() == "2 of 6 rows"
    box.fill("")
    page.get_by_label("Measure", exact=True).select_option("OOD macro average")
    assert len(rows(page, 0)) == 1
    page.get_by_label("several seeds only").check()
    assert sorted(rows(page, 0)[0]) == ["gepa", "grpo", "p2o"]
    box.fill("nothing like it")
    assert rows(page, 0) == []


def test_samples_are_shown_as_text_and_run_nothing(page):
    page.get_by_role("group", name="Sample").get_by_label("Arm").select_option("p2o")
    text = page.locator(".samples pre").nth(1).text_content()
    assert text.startswith("</script><script>window.hit=1</script><img src=x onerror=") and "<U+202E>evil" in text
    before = page.get_by_label("Problem").input_value()
    page.get_by_role("button", name="Next").press("Enter")
    assert page.get_by_label("Problem").input_value() != before
    page.get_by_role("button", name="Previous").click()
    assert page.get_by_label("Problem").input_value() == before
    page.get_by_role("group", name="Sample").get_by_label("Arm").select_option("grpo")
    assert "characters omitted" in page.locator(".samples pre").nth(1).text_content()
    for summary in page.locator("summary").all():
        summary.evaluate("e => { e.parentElement.open = true }")
    assert page.evaluate("window.hit") is None and page.locator("img").count() == 0
    assert page.locator("script").count() == 2 and page.locator("iframe, object, embed, link, form").count() == 0


INJECT = """() => {
    const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s);
    document.body.insertAdjacentHTML('beforeend', '<img src="/x" onerror="window.hit = 2">');
    return fetch('/x').then(() => 'fetched', () => 'refused');
}"""


def test_no_injected_script_could_run_or_call_home(chromium, built, httpserver):
    """The policy itself: the page, served, with a script added as an attacker would want it; then one without a policy."""
    for name, text in (("/page", Path(built.removeprefix("file://")).read_text()), ("/bare", "<!doctype html><p>bare")):
        httpserver.expect_request(name).respond_with_data(text, content_type="text/html; charset=utf-8")
    context = chromium.new_context()
    page = context.new_page()
    found = []
    for name in ("/page", "/bare"):
        page.goto(httpserver.url_for(name))
        refused = page.evaluate(INJECT)
        if name == "/bare":
            page.wait_for_function("window.hit === 2")  # both have run
        else:
            page.wait_for_timeout(200)
        found.append((refused, page.evaluate("window.hit !== undefined"), any(r.path == "/x" for r, _ in httpserver.log)))
    assert found == [("refused", False, False), ("fetched", True, True)]
    context.close()


FITS = "document.documentElement.scrollWidth <= window.innerWidth"


def test_is_no_wider_than_the_screen(page):
    assert page.evaluate(FITS), "tables scroll inside their boxes"
    for figure in page.locator("figure").all():
        assert figure.get_attribute("aria-label")
    assert all(th.get_attribute("scope") == "col" for th in page.locator("th").all())


@pytest.mark.parametrize("size", SIZES)
def test_the_published_board(chromium, size):
    """The page in this repository: three worlds, 24 runs, sorted and filtered, samples shown."""
    published = ROOT / "leaderboards" / "testbed" / "testbed" / "index.html"
    with opened(chromium, published.as_uri(), SIZES[size]) as page:
        assert page.evaluate(FITS) and page.locator("section").count() == 3
        page.get_by_label("Measure", exact=True).first.select_option("OOD macro average")
        page.locator("th button", has_text="score").first.click()
        [scores] = rows(page, 1)
        assert len(scores) == 20 and [float(x) for x in scores] == sorted(map(float, scores), reverse=True)
        assert page.locator(".samples pre").count() >= 3 * 3


def test_tables_read_without_script(chromium, built):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(built)
    assert page.locator("table").first.locator("tbody tr").count() == 8 and page.locator("svg").count() >= 4
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(chromium, built, scheme):
    """WCAG 2.2 AA: 4.5 to 1 for text, in both schemes."""
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(built)
    script = """() => {
      const rgb = (t) => t.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const lum = (c) => rgb(c).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
      const back = lum(getComputedStyle(document.body).backgroundColor);
      return ['td', 'th', '.soft', 'th button', 'tr.soft td', 'figcaption'].map(q => document.querySelector(q)).filter(e => e)
        .map(e => lum(getComputedStyle(e).color)).map(l => (Math.max(l, back) + .05) / (Math.min(l, back) + .05));
    }"""
    ratios = page.evaluate(script)
    assert len(ratios) >= 5 and min(ratios) >= 4.5
    context.close()
