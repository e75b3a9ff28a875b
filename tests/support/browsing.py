"""Pages in a real browser."""

import shutil
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FITS = "document.documentElement.scrollWidth <= window.innerWidth"

CONTRASTS = """(queries) => {
  const rgb = (t) => t.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const lum = (c) => rgb(c).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { while (e && getComputedStyle(e).backgroundColor === "rgba(0, 0, 0, 0)") e = e.parentElement;
    return lum(getComputedStyle(e || document.body).backgroundColor); };
  return queries.map(q => document.querySelector(q)).filter(e => e).map(e => [lum(getComputedStyle(e).color), ground(e)])
    .map(([a, b]) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
}"""
"""The contrast of the first element of each query with what is behind it, by WCAG 2.2."""


@contextmanager
def opened(chromium, url, size="desktop", **options):
    """The page at a size; at the end it asked for nothing else, and nothing went wrong in it."""
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("dialog", lambda d: (said.append("dialog"), d.dismiss()))
    page.goto(url)
    yield page
    own = {a.split("#")[0] for a in asked}
    assert own == {url.split("#")[0]} and said == [], "one file, no other request, no error, no violation of the policy"
    context.close()
