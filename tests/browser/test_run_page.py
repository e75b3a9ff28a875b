"""A run's page in a real browser: what a reader does with samples, from a file, at two widths, in both schemes, on paper."""

import json
import re
import time

import pytest

from harness.report.run import write_report
from harness.runs import formats
from harness.runs.environment import write_environment
from harness.runs.files import append_jsonl
from support.boards import HOSTILE
from support.browsing import CONTRASTS, FITS, SIZES, opened
from support.results import environment, result, sample
from support.runs import write_run

expect = pytest.importorskip("playwright.sync_api", reason="pip install 'p2o-harness[test-browser]'").expect
expect.set_options(timeout=120_000)  # a machine may be busy
SEEDS = (0, 1)
N, K = 60, 2
NASTY = f"</textarea></pre>{HOSTILE}\0\ud800 \u05e9\u05dc\u05d5\u05dd " + "x" * 50_000
"""What a model may write: markup, scripts, NUL, half of a surrogate pair, another direction, a line of 50 kB."""


def write(path, rows, n, k):
    """A finished run of one suite with these samples, metrics and templates."""
    lines = "".join(json.dumps(formats.tree(row)) + "\n" for row in rows)
    (path / "samples").mkdir(parents=True)
    (path / "samples" / "tb-long.jsonl").write_text(lines)
    scores = {s: sum(r.score for r in rows if r.seed == s) / (n * k) for s in SEEDS}
    write_environment(path, environment(commands=["harness run --method p2o"]))
    for seed in SEEDS:
        curve = [{"seed": seed, "kind": "batch", "epoch": 0, "batch": b, "reward": b / 9, "rollouts": b + 1} for b in range(9)]
        append_jsonl(path / "metrics.jsonl", [{**row, "degenerate_groups": 0.5} for row in curve])
        at = {"seed": seed, "epoch": 0}
        family = [("", None, 0.1, False), (HOSTILE, 0, 0.4, False), ("read twice", 1, 0.9, True), ("lonely", 0, 0.2, False)]
        (path / "templates").mkdir(exist_ok=True)
        (path / "templates" / f"s{seed}.jsonl").write_text(
            "".join(
                json.dumps({**at, "candidate": i, "template": t, "parent": up, "mean_score": score, "selected": chosen}) + "\n"
                for i, (t, up, score, chosen) in enumerate(family)
            )
        )
    return write_run(path, result("p2o", scores, n=n, k=k), spec={"method": "p2o", "seeds": list(SEEDS)})


def drawn(n, k, text="The answer is {}."):
    """Samples whose outcomes are known: sample `index` of problem i is right where i + index + seed is even."""
    return [
        sample(
            problem=f"p{i:05}",
            index=j,
            seed=seed,
            prompt=f"What is {i} + {seed}? " + "Think. " * 20,
            completion=text.format(i),
            answer=None if i == 7 else str(i),
            gold=str(i),
            score=float((i + j + seed) % 2 == 0 and i != 7),
            parity=float((i + j + seed) % 2 == 0) if i == 9 else 1.0 - float((i + j + seed) % 2) if i == 10 else None,
            status="unparsed" if i == 7 else "ok",
            truncated=i == 11,
            tokens=i,
        )
        for seed in SEEDS
        for i in range(n)
        for j in range(k)
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    rows = drawn(N, K)
    rows[0].completion = rows[0].answer = rows[0].prompt = NASTY
    rows[1].parity = 0.0 if rows[1].score else 1.0
    return write_report(write(tmp_path_factory.mktemp("run") / "r", rows, N, K)).as_uri()


def ready(page):
    page.wait_for_selector("#browser[data-ready]")
    return page


@pytest.fixture(params=SIZES)
def page(chromium, url, request):
    with opened(chromium, url, request.param) as page:
        yield ready(page)


def listed(page):
    return page.locator("#browser tbody a").all_text_contents()


def count(page):
    return page.locator("#browser [role=status]").text_content()


def test_filters_by_suite_seed_and_outcome(page):
    assert count(page) == "240 samples" and len(listed(page)) == 50
    page.get_by_label("Seed").select_option(label="1")
    assert count(page) == "120 of 240 samples" and all(" / 1 / " in name for name in listed(page))
    page.get_by_label("Outcome").select_option("wrong")
    assert count(page) == "61 of 240 samples", "every second one, and both of the unparsed problem"
    page.get_by_label("Outcome").select_option("unparsed")
    assert listed(page) == ["tb-long / 1 / p00007 / 0", "tb-long / 1 / p00007 / 1"]
    page.get_by_label("Seed").select_option("")
    assert count(page) == "4 of 240 samples"
    page.get_by_label("Outcome").select_option("graders differ")
    assert listed(page) == ["tb-long / 0 / p00000 / 1"]
    assert "cut at the token limit (4)" in page.get_by_label("Outcome").text_content()
    page.get_by_label("Outcome").select_option("")
    page.get_by_label("Suite").select_option(label="tb-long")
    assert count(page) == "240 samples"


def test_searches_prompts_completions_answers_and_names(page):
    box = page.get_by_label("Search in texts")
    for words, found in (("IS 33.", 4), ("what is 33 + 1?", 2), ("p00033", 4), ("i.s", 0), ("[", 0), ("hit=1</script>", 1)):
        box.fill(words)
        page.wait_for_function(
            "n => document.querySelector('#browser [role=status]').textContent.startsWith(n)", arg=f"{found} of"
        )
    box.fill("")
    page.wait_for_function("() => document.querySelector('#browser [role=status]').textContent === '240 samples'")


def test_a_sample_opens_by_click_by_keys_and_by_its_address(page, chromium, url):
    sample = page.locator("#sample")

    def opens(name):
        expect(page).to_have_url(re.compile("#sample=" + name + "$"))
        expect(sample.locator("h3")).to_have_text(name.replace("/", " / "))

    page.locator("#browser tbody a").nth(2).click()
    opens("tb-long/0/p00001/0")
    expect(sample.locator("pre").nth(1)).to_have_text("The answer is 1.")
    expect(sample).to_contain_text("wrong; 1 tokens; grading ok")
    expect(sample).to_be_focused()  # a screen reader goes on there
    page.keyboard.press("j")
    opens("tb-long/0/p00001/1")
    page.keyboard.press("k")
    page.keyboard.press("k")
    opens("tb-long/0/p00000/1")
    expect(sample).to_contain_text(re.compile("second grader: (wrong|right)"))
    page.get_by_role("button", name="Next").click()
    opens("tb-long/0/p00001/0")
    page.go_back()
    opens("tb-long/0/p00000/1")
    page.evaluate(  # faster than the address's event
        """() => ["j", "j", "k", "j"].forEach((key) =>
            document.getElementById("sample").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })))"""
    )
    opens("tb-long/0/p00001/1")
    links = page.locator("#browser tbody a")
    links.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    opens("tb-long/0/p00000/1")
    page.get_by_label("Search in texts").press("j")
    expect(page.get_by_label("Search in texts")).to_have_value("j")  # typing is typing
    opens("tb-long/0/p00000/1")
    with opened(chromium, f"{url}#sample=tb-long/1/p00059/1") as other:
        ready(other)
        expect(other.locator("#sample pre").nth(1)).to_have_text("The answer is 59.")
        expect(other.locator("#browser [aria-current]")).to_have_text("tb-long / 1 / p00059 / 1")  # its page of the list
        other.evaluate("location.hash = '#sample=nothing/%zz'")
        expect(other.locator("#sample")).to_contain_text("no such sample")


def test_pages_of_the_list(page):
    page.get_by_role("button", name="Later").click()
    assert listed(page)[0] == "tb-long / 0 / p00025 / 0" and "51 to 100 of 240" in page.locator(".pager").text_content()
    page.get_by_role("button", name="Earlier").click()
    assert page.get_by_role("button", name="Earlier").is_disabled()


def test_what_a_model_wrote_is_text(page):
    page.locator("#browser tbody a").first.click()
    for i in (0, 1, 2):
        text = page.locator("#sample pre").nth(i)
        expect(text).to_contain_text("evil")
        said = text.text_content()
        assert said.startswith("</textarea></pre></script><script>window.hit=1</script>") or i == 2
        assert "<U+0000><U+D800>" in said or i == 2
        assert "<U+202E>evil" in said
    for summary in page.locator("summary").all():
        summary.evaluate("e => { e.parentElement.open = true }")
    assert page.evaluate("window.hit") is None and page.locator("img, iframe, object, embed, link, form").count() == 0
    assert page.locator("script").count() == 1, "facts and texts are unpacked and gone; the page's own script is left"
    assert page.evaluate(FITS)


def test_templates_stand_below_their_parents(page):
    tree = page.locator(".tree").first
    assert tree.locator("> li > pre").text_content() == "(the empty template)"
    child = tree.locator("> li > ul > li > ul > li")
    assert child.locator("pre").text_content() == "read twice" and "+50.0 on its parent" in child.text_content()
    assert "kept" in child.get_attribute("class") and tree.locator("li").count() == 4


def test_only_curves_with_data_are_drawn(page):
    assert page.locator("figure").count() == 1 and page.locator("figure").get_attribute("aria-label") == "Reward"


def test_landmarks_and_labels(page):
    assert page.locator("main").count() == page.locator("h1").count() == page.locator("nav").count() == 1
    for control in page.locator("input, select").all():
        assert page.locator(f"label[for={control.get_attribute('id')}]").count() == 1
    assert all(th.get_attribute("scope") == "col" for th in page.locator("th").all())
    assert page.evaluate(FITS)
    page.get_by_role("navigation").get_by_role("link", name="Samples").click()
    page.wait_for_function("document.getElementById('samples').getBoundingClientRect().top < innerHeight")
    places = page.evaluate("[...document.querySelectorAll('[tabindex]')].map(e => e.tabIndex)")
    assert set(places) <= {0, -1}, "the order of the page is the order of the keyboard"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(chromium, url, scheme):
    with opened(chromium, url, color_scheme=scheme) as page:
        ready(page).locator("#browser tbody a").first.click()
        expect(page.locator("#sample pre").first).to_be_visible()
        queries = [
            "h1",
            ".said",
            "td",
            "th",
            ".soft",
            "#browser a",
            "#browser label",
            "input",
            "select",
            ".pager button:enabled",
            "pre",
        ]
        ratios = page.evaluate(CONTRASTS, queries)
        assert len(ratios) == len(queries) and min(ratios) >= 4.5


def test_paper_has_the_texts_and_no_controls(chromium, url):
    with opened(chromium, f"{url}#sample=tb-long/0/p00000/0", color_scheme="dark") as page:
        ready(page)
        page.emulate_media(media="print")
        assert not page.get_by_label("Search in texts").is_visible() and not page.locator("nav").is_visible()
        shown = "e => [getComputedStyle(e).maxHeight, getComputedStyle(e).overflowY]"
        assert page.locator("#sample pre").first.evaluate(shown) == ["none", "visible"]
        assert page.locator(".list").evaluate(shown) == ["none", "visible"]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.pdf().startswith(b"%PDF")


def test_without_script_all_but_the_samples_is_there(chromium, url):
    with opened(chromium, url, java_script_enabled=False) as page:
        assert page.locator("table").first.locator("tbody tr").count() == 2 and page.locator("svg").count() == 1
        assert "samples/*.jsonl" in page.locator("#browser").text_content()


def test_twenty_thousand_samples_stay_responsive(chromium, tmp_path):
    """Filtering and searching 20,000 samples must not take longer than a reader waits; the list stays a page long."""
    n, k = 2500, 4
    text = "Let x be {}. " + "Then some steps follow, and others. " * 30
    path = write_report(write(tmp_path / "r", drawn(n, k, text), n, k))
    with opened(chromium, path.as_uri()) as page:
        began = time.monotonic()
        page.wait_for_selector("#browser tbody a")
        ready(page)
        loaded = time.monotonic() - began
        assert count(page) == "20,000 samples" and page.evaluate("document.querySelectorAll('*').length") < 1500
        took = page.evaluate("""async () => {
            const status = document.querySelector("#browser [role=status]"), out = {};
            const seed = document.getElementById("browse-2"), search = document.getElementById("browse-0");
            let start = performance.now();
            seed.value = "1";
            seed.dispatchEvent(new Event("input"));
            out.filter = performance.now() - start;
            out.filtered = status.textContent;
            start = performance.now();
            search.value = "x be 1234.";
            search.dispatchEvent(new Event("input"));
            while (!status.textContent.startsWith("4 of")) await new Promise((done) => setTimeout(done, 5));
            out.search = performance.now() - start;
            start = performance.now();
            location.hash = "#sample=tb-long/1/p02499/3";
            while (!document.querySelector("#sample pre")) await new Promise((done) => setTimeout(done, 5));
            out.open = performance.now() - start;
            return out;
        }""")
        print(f"{path.stat().st_size / 1e6:.1f} MB, loaded in {loaded:.2f} s, {took}")
        assert took["filtered"] == "10,000 of 20,000 samples"
        assert loaded < 120 and took["filter"] < 5000 and took["search"] < 15_000 and took["open"] < 10_000, (
            "a busy machine's limits"
        )
