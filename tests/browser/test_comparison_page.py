"""The pages of a comparison and of a study in a real browser: the answer first, the rest folded, at two widths."""

import pytest

from harness.report.formats import write_comparison
from harness.report.study import write_study
from harness.report.tables import Table
from harness.stats.comparison import compare
from support.browsing import CONTRASTS, FITS, SIZES, opened
from support.results import environment, result
from support.runs import write_run


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    from harness.runs.environment import write_environment

    root = tmp_path_factory.mktemp("pages")
    results = [result("grpo", {0: 0.4, 1: 0.5, 2: 0.6}), result("p2o", {0: 0.5, 1: 0.6, 2: 0.8})]
    runs = []
    for r in results:
        write_environment(root / r.method, environment(commands=["harness run"]))
        runs.append(write_run(root / r.method, r, spec={"method": r.method, "seeds": [0, 1, 2]}))
    c = compare(results)
    page = write_comparison(runs, c, root / "compare.html")
    write_study(root, "A study", ["What it asks."], Table("All", ("arm",), "l", [("p2o",)]), {"one": c, "other": c})
    return {"comparison": page.as_uri(), "study": (root / "study.html").as_uri()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["comparison", "study"])
def test_the_answer_stands_first_and_nothing_is_cut(chromium, urls, name, size):
    with opened(chromium, urls[name], size) as page:
        tops = [
            page.locator(q).first.evaluate("e => e.getBoundingClientRect().top")
            for q in (".said", "figure", "table", "details")
        ]
        assert tops == sorted(tops) and "p2o" in page.locator(".said").first.text_content()
        assert tops[0] < 400, "on the first screen of a phone, too"
        assert page.locator("details[open]").count() == 0 and page.locator("figure:visible").count() == len(
            page.locator("h2[id]").all() or [1]
        )
        heads = page.locator("table").first.locator("th").all_text_contents()
        assert heads == ["arm", "score", "difference", "these questions", "verdict", "sampled tokens"]
        assert page.locator("table").first.locator(".group").first.text_content() == "OOD macro average"
        assert page.evaluate(FITS)
        for summary in page.locator("summary").all():
            summary.press("Enter")
        assert page.locator("details:not([open])").count() == 0 and page.evaluate(FITS), "tables scroll in boxes of their own"
        table = page.locator("table").first
        assert table.evaluate("e => e.scrollWidth - e.parentElement.clientWidth") <= 0, "the first table needs no scrolling"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_paper(chromium, urls, scheme):
    with opened(chromium, urls["comparison"], color_scheme=scheme) as page:
        ratios = page.evaluate(CONTRASTS, ["h1", ".said", "td", "th", ".soft", "figcaption", "summary"])
        assert len(ratios) == 7 and min(ratios) >= 4.5
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator(".scroll").first.evaluate("e => getComputedStyle(e).overflowX") == "visible"
