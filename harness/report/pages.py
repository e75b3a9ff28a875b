"""What all pages share: the HTML templates, learning curves, plots of differences and seeds.

Pages are pure functions of run directories and work without network or scripts. Everything a model wrote counts as
hostile: the templates escape it, and control and bidi characters are spelled out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from harness.core.text import visible
from harness.report import plots
from harness.report.robust import robust_panels
from harness.runs.logs import Metrics
from harness.stats.comparison import Comparison
from harness.stats.scores import Measure

CURVES = {
    "reward": "Reward",
    "degenerate_groups": "Groups without a gradient, share",
    "all_zero_before": "Groups without a success at the first attempt, share",
    "all_zero_groups": "Groups without a success, share",
    "rescued_groups": "Groups rescued after a first failure, share",
    "templated_rollouts": "Rollouts with a template, share",
    "masked_tokens": "Masked tokens in rollouts with a template, share",
    "hint_reliance": "Hint reliance, nats per token",
    "template_diversity": "Probability that two templates of a batch differ",
    "hard_problems": "Hard problems after the epoch",
}
"""Metrics that get a panel if a run has them, with their titles; keys that start with `branch_` get one, too."""
EXCERPT = 6000
"""Maximum number of characters of a model's text on a page."""


def render(name: str, **values: Any) -> str:
    """Fill an HTML template. Everything but our own markup is escaped, and control characters are spelled out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    env = Environment(
        loader=FileSystemLoader(str(files("harness.report") / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda x: x if isinstance(x, Markup) else visible(str(x)),
    )
    return env.get_template(name).render(**values)


def script(name: str) -> dict[str, Any]:
    """A script of the templates, and its digest for the content security policy: no other script runs on the page."""
    from markupsafe import Markup

    text = (files("harness.report") / "templates" / name).read_text(encoding="utf-8")
    return {"script": Markup(text), "digest": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}


def panels(metrics: Sequence[list[Metrics]], series: Callable[[int, int], int], keys: Sequence[str]) -> list[dict[str, Any]]:
    """A plot for each key that any run logged, with a line per run and seed, coloured by `series(run, seed)`."""
    from markupsafe import Markup

    out = []
    for key in keys:
        lines = []
        for run, rows in enumerate(metrics):
            by_seed: dict[tuple[int, str], list[Metrics]] = {}
            for m in rows:
                if key in m.values:
                    by_seed.setdefault((m.row.seed, m.row.kind), []).append(m)
            for (seed, _), own in by_seed.items():
                lines.append(plots.Line([m.row.rollouts for m in own], [m.values[key] for m in own], series(run, seed)))
        if lines:
            svg = Markup(plots.curves(lines, unit=key == "reward"))
            out.append({"title": CURVES.get(key, key.replace("_", " ")), "svg": svg})
    return out


MOST_ARMS = 60
"""Rows per measure of a plot, beyond which nobody finds an arm; tables hold all of them."""


def overview(c: Comparison) -> list[dict[str, Any]]:
    """Plots of the differences with their intervals, and of every seed; of the first MOST_ARMS arms, which is said."""
    from markupsafe import Markup

    more = f"; the first {MOST_ARMS} of {len(c.arms)} arms" if len(c.arms) > MOST_ARMS else ""
    gaps = []
    for m in c.measures:
        differences = []
        for i, arm in enumerate(c.arms[:MOST_ARMS]):
            if (x := arm.contrasts.get(m.key)) is not None:
                ends = (None, None) if x.fixed is None else (100 * x.fixed.low, 100 * x.fixed.high)
                outer = None if x.new is None else (100 * x.new.low, 100 * x.new.high)
                differences.append(
                    plots.Mark(
                        label=arm.label,
                        points=[],
                        series=plots.series_of(i, len(c.arms), c.baseline),
                        mean=100 * x.difference,
                        low=ends[0],
                        high=ends[1],
                        outer=outer,
                    )
                )
        gaps.append((m.title, differences))
    solving = any(s.solved for arm in c.arms for s in arm.scores.values())
    seeds = (
        "All seeds; full: solved, hollow: not; to the right the share solved, 95% exact" if solving else "All seeds; bar: mean"
    )
    out = [{"title": f"{seeds}{more}", "svg": Markup(every_seed(c, c.measures))}]
    if len(c.arms) > 1:
        base = c.arms[c.baseline].label
        svg = Markup(plots.dots(gaps, "difference, percent points", line=0.0, possible=plots.DIFFERENCE))
        title = f"Difference from {base}; 95% intervals for these questions (thick) and new ones (thin); upright bar: none"
        title += more
        out.insert(0, {"title": title, "svg": svg})
    return out + robust_panels(c, MOST_ARMS)


def every_seed(c: Comparison, measures: Sequence[Measure]) -> str:
    """A dot plot, as SVG: for each of the first MOST_ARMS arms the score of every seed, and the mean, or, where seeds are of
    two kinds, the share of those that solve the measure."""
    groups = []
    for m in measures:
        marks = []
        for i, arm in enumerate(c.arms[:MOST_ARMS]):
            s = arm.scores[m.key]
            x = s.solved
            share = plots.Share(100 * x.at, x.count, 100 * x.share, 100 * x.low, 100 * x.high) if x else None
            at = [100 * v for v in s.per_seed.values()]
            marks.append(plots.Mark(arm.label, at, plots.series_of(i, len(c.arms), c.baseline), 100 * s.mean, solved=share))
        groups.append((m.title, marks))
    return plots.dots(groups, "score, percent points")


def excerpt(text: str, most: int = EXCERPT) -> str:
    """The head and the tail of a text that is longer than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters omitted ...]\n{text[-half:]}"
