"""The pages of a board and the front page in a real browser: they sort, filter, open details and samples, follow links, print,
run nothing of a model's and ask the network nothing.
"""

import re
from pathlib import Path

import pytest

from harness.leaderboard import build, submit
from support.boards import HOSTILE, make_run
from support.browsing import FITS, SIZES, opened
from support.paths import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A board of three arms whose models wrote hostile text, one of them a line of 1 MB."""
    root = tmp_path_factory.mktemp("board")
    submit.add(make_run(root / "a", "p2o", text=HOSTILE + "</textarea>", template=HOSTILE, room=10_000), root / "b")
    submit.add(make_run(root / "c", "grpo", (1, 2, 2), text="x" * 1_000_000, room=10_000), root / "b")
    submit.add(make_run(root / "d", "gepa", (7, 6, 7), room=10_000), root / "b")
    [folder] = build.build(root / "b")
    return (folder / "index.html").as_uri()


@pytest.fixture(params=SIZES)
def page(chromium, built, request):
    with opened(chromium, built, request.param) as page:
        yield page


def column(page, name):
    """Visible cells of a column of the main table."""
    script = """(name) => { const table = document.querySelector('.standings');
        const at = [...table.tHead.rows[0].cells].findIndex(h => h.textContent.trim() === name);
        return [...table.tBodies[0].rows].filter(r => !r.hidden && !r.classList.contains('detail'))
            .map(r => r.cells[at].textContent.trim()); }"""
    return page.evaluate(script, name)


def heading(page, name):
    return page.locator(".standings > thead button", has_text=name)


def unfold(page):
    for summary in page.locator("summary").all():
        summary.evaluate("e => { e.parentElement.open = true }")


CUT = "[...document.querySelectorAll('.standings')].some(t => t.scrollWidth > t.parentElement.clientWidth)"


def test_sorts_by_click_and_by_keyboard(page):
    button = heading(page, "OOD")
    head = button.locator("..")
    assert head.get_attribute("aria-sort") == "none"
    button.click()
    assert [x[:4] for x in column(page, "OOD")] == ["83.3", "50.0", "20.8"] and head.get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert [x[:4] for x in column(page, "OOD")] == ["20.8", "50.0", "83.3"] and head.get_attribute("aria-sort") == "ascending"
    heading(page, "arm").focus()
    page.keyboard.press("Space")
    assert column(page, "arm") == ["gepa", "grpo", "p2o"] and head.get_attribute("aria-sort") == "none"
    tokens = heading(page, "tokens")
    tokens.click()
    tokens.click()
    assert page.evaluate("document.activeElement.textContent").strip().startswith("tokens")


def test_tables_in_folds_sort_with_blanks_last(page):
    unfold(page)
    scores = page.get_by_role("region", name="Scores", exact=True)
    for _ in range(2):
        scores.locator("th button", has_text="these questions").click()
        assert scores.locator("tbody tr:not(.group)").nth(2).locator("td").nth(7).text_content() == "", "the baseline has none"


def test_a_name_opens_its_details_and_sorting_keeps_them_together(page):
    name = page.locator(".standings > tbody > tr > th button", has_text="p2o")
    assert name.get_attribute("aria-expanded") == "false" and not page.get_by_text("Seeds of p2o").is_visible()
    name.focus()
    page.keyboard.press("Enter")
    assert name.get_attribute("aria-expanded") == "true" and page.get_by_text("Seeds of p2o").is_visible()
    assert page.locator(f"#{name.get_attribute('aria-controls')}").get_by_text("37.5").first.is_visible()
    heading(page, "arm").click()
    heading(page, "arm").click()
    below = "(b) => b.closest('tr').nextElementSibling.id === b.getAttribute('aria-controls')"
    names = page.locator(".standings > tbody > tr > th button").all()
    assert len(names) == 3 and all(button.evaluate(below) for button in names) and page.evaluate(FITS)
    name.click()
    assert not page.get_by_text("Seeds of p2o").is_visible()
    page.get_by_role("button", name="Open all details").click()
    assert page.locator(".detail:visible").count() == 3
    page.get_by_role("button", name="Close all details").click()
    assert page.locator(".detail:visible").count() == 0


def test_filters(page):
    box = page.get_by_label("Arm", exact=True).first
    box.fill("GRP")
    assert column(page, "arm") == ["grpo"] and page.get_by_role("status").first.text_content() == "1 of 3 arms"
    page.get_by_role("button", name="Open all details").click()
    assert page.locator(".detail:visible").count() == 1, "details of what is filtered out stay away"
    box.fill("")
    stands = page.get_by_label("Against baseline")
    options = stands.locator("option").all_text_contents()
    assert options[0] == "all" and {*options[1:]} <= {"ahead", "behind", "equivalent", "undecided", "no interval"}
    stands.select_option(options[1])
    assert 0 < len(column(page, "arm")) < 3
    box.fill("nothing like it")
    assert column(page, "arm") == []


def test_an_arm_leads_to_its_run_and_the_board_to_the_front_page(page, built):
    page.locator(".standings > tbody > tr > th button", has_text="gepa").click()
    home = built.rsplit("/", 1)[0]
    link = page.locator(".detail:visible a").first
    assert link.evaluate("a => a.href").startswith(f"{home}/gepa-") and link.text_content().startswith("gepa-")
    assert page.get_by_role("link", name="All boards").evaluate("a => a.href") == f"{home.rsplit('/', 2)[0]}/index.html"


def test_prints_without_controls_and_with_the_details_that_are_open(chromium, built):
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(built)
    page.get_by_role("button", name="p2o").click()
    page.emulate_media(media="print")
    assert not page.locator(".controls").first.is_visible() and not page.locator("summary").first.is_visible()
    assert page.locator(".detail:visible").count() == 1 and page.locator(".standings").is_visible()
    assert "p2o" in (paper := page.locator(".standings").inner_text()) and "OOD" in paper, "names and headings, too"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    context.close()


def test_samples_are_shown_as_text_and_run_nothing(page):
    unfold(page)
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
    page.get_by_role("button", name="Open all details").click()
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


def test_is_no_wider_than_the_screen(page):
    assert page.evaluate(FITS) and not page.evaluate(CUT), "the main table is shown whole"
    page.get_by_role("button", name="Open all details").click()
    unfold(page)
    assert page.evaluate(FITS), "other tables scroll inside their boxes"
    for figure in page.locator("figure").all():
        assert figure.get_attribute("aria-label")
    assert all(th.get_attribute("scope") == "col" for th in page.locator("thead th").all())
    assert all(th.get_attribute("scope") == "row" for th in page.locator("tbody > tr > th").all())
    assert page.locator("main, header, h1").count() == 3 and page.locator("section:not([aria-label])").count() == 0


BOARDS = {p.parent.parent.name: p for p in sorted(ROOT.glob("leaderboards/*/*/index.html"))}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("board", BOARDS)
def test_the_published_boards(chromium, board, size):
    """The pages in this repository: an answer for every table, which sorts and fits the screen."""
    with opened(chromium, BOARDS[board].as_uri(), size) as page:
        assert page.evaluate(FITS) and not page.evaluate(CUT)
        heading(page, "OOD").first.click()
        scores = [float(re.match(r"\d+\.\d", x)[0]) for x in column(page, "OOD")]
        assert len(scores) > 1 and scores == sorted(scores, reverse=True)
        assert page.locator(".answer p").count() >= page.locator(".standings").count() >= 1


@pytest.mark.parametrize("size", SIZES)
def test_the_published_front_page_has_all_boards_and_claims(chromium, size):
    with opened(chromium, (ROOT / "leaderboards" / "index.html").as_uri(), size) as page:
        assert page.evaluate(FITS) and page.locator("article").count() == len(BOARDS)
        claims = {p.stem for p in (ROOT / "leaderboards" / "claims").glob("*.yaml")}
        assert {row.get_attribute("id") for row in page.locator(".claims tbody tr").all()} == claims
        assert page.get_by_text("not yet run").first.is_visible()


def test_every_published_link_leads_to_a_file_of_this_repository(chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    front = ROOT / "leaderboards" / "index.html"
    every = "[...document.links].map(a => [a.getAttribute('href'), a.href])"
    for path in (front, *BOARDS.values()):
        page.goto(path.as_uri())
        links = page.evaluate(every)
        assert links
        for said, full in links:
            assert not re.match(r"[a-z]+:|/", said), f"{said} is not relative"
            at, _, anchor = full.removeprefix("file://").partition("#")
            assert Path(at).is_file() and (not anchor or f'id="{anchor}"' in Path(at).read_text()), f"{path}: {said}"
    page.goto(front.as_uri())
    page.locator("article h3 a").first.click()
    page.locator(".standings").first.wait_for()
    context.close()


def test_tables_read_without_script(chromium, built):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(built)
    assert page.locator(".standings > tbody > tr").count() == 6 and page.locator("svg").count() >= 4
    assert page.get_by_text("Seeds of p2o").is_visible(), "details are shown where nothing could open them"
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
      return ['td', 'th', '.soft', 'th button', 'small', 'a', '.answer']
        .map(q => document.querySelector(q)).filter(e => e)
        .map(e => lum(getComputedStyle(e).color)).map(l => (Math.max(l, back) + .05) / (Math.min(l, back) + .05));
    }"""
    ratios = page.evaluate(script)
    assert len(ratios) >= 5 and min(ratios) >= 4.5
    context.close()
