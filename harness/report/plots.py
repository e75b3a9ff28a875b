"""Plots as inline SVG: no scripts, no network, the same bytes for the same numbers, legible on light and dark pages.

Text and axes take the text colour of the page. A panel is as wide as a phone; pages arrange them in a grid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.text import visible
from harness.report.tables import compact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#3b7dd8", "#d9772b", "#3a9a5b", "#b3509b", "#8a8a35", "#d0505a", "#2f9aa0", "#8b6bd0")
"""Readable on white and on near-black; from the ninth arm on, line patterns and markers change."""
_INK = "#010203"  # becomes currentColor
_WIDTH = 4.4  # inches


@dataclass(frozen=True)
class Line:
    """One curve; `series` picks colour and pattern."""

    x: list[float]
    y: list[float]
    series: int


@dataclass(frozen=True)
class Band:
    """One curve with a pointwise interval, if it is known."""

    x: list[float]
    y: list[float]
    series: int
    low: list[float] | None = None
    high: list[float] | None = None


@dataclass(frozen=True)
class Share:
    """The seeds of a row that score at least `at`, `count` of all; their share and its interval, in percent."""

    at: float
    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Mark:
    """One row of a dot plot, in percent points: the points, or a bar from `low` to `high` if both are given.

    `outer` holds the ends of a thinner bar for a second interval; points of a row with a bar are faint behind
    it. With `solved`, the points are of two kinds: they get no mean, and a plot beside them has the share of the upper kind.
    """

    label: str
    points: list[float]
    series: int
    mean: float
    low: float | None = None
    high: float | None = None
    outer: tuple[float, float] | None = None
    solved: Share | None = None


@dataclass(frozen=True)
class Spot:
    """One arm of a scatter plot: its mean at a budget, every seed, and the ends of a bar if they are known. The mean of seeds
    of `two_kinds`, which no seed need be near, is hollow. A `label` is written beside it."""

    x: float
    y: float
    points: list[float]
    series: int
    low: float | None = None
    high: float | None = None
    two_kinds: bool = False
    label: str = ""


def series_of(arm: int, arms: int, baseline: int) -> int:
    """The series of an arm's row: its own, or, of more arms than there are colours, whether it is the baseline."""
    return arm if arms <= len(PALETTE) else int(arm == baseline)


def colour(series: int) -> str:
    return PALETTE[series % len(PALETTE)]


def thin(values: Sequence[float], most: int = 60) -> list[float]:
    """At most `most` means of consecutive values, which keeps pages small and hides batch noise."""
    size = -(-len(values) // most)
    return [sum(chunk) / len(chunk) for i in range(0, len(values), size or 1) if (chunk := values[i : i + size])]


def curves(lines: Sequence[Line], unit: bool = False) -> str:
    """Curves over rollouts; `unit` fixes the y axis to [0, 1]."""

    def draw(ax: Axes) -> None:
        for line in lines:
            pattern = "-" if line.series < len(PALETTE) else "--"
            ax.plot(
                thin(line.x),
                thin(line.y),
                pattern,
                color=colour(line.series),
                linewidth=1.4,
                marker="o" if len(line.x) < 2 else None,
            )
        low = min((y for line in lines for y in line.y), default=0.0)
        ax.set_ylim(bottom=-0.03 if unit else None if low < 0 else 0, top=1.03 if unit else None)
        ax.xaxis.set_major_formatter(lambda x, _: compact(x))
        ax.yaxis.set_major_formatter(lambda y, _: compact(y))
        ax.set_xlabel("rollouts")

    return _svg(draw, 2.3)


PERCENT = (0.0, 100.0)
"""What scores and shares can be."""
DIFFERENCE = (-100.0, 100.0)
"""What a difference between two scores can be."""
EDGE = 2.0
"""How far an axis goes beyond what is possible, for a dot that lies there to be whole."""


def _within(ends: tuple[float, float], possible: tuple[float, float]) -> tuple[float, float]:
    """The ends of an axis, drawn in to what is possible."""
    return max(ends[0], possible[0] - EDGE), min(ends[1], possible[1] + EDGE)


def dots(
    groups: Sequence[tuple[str, Sequence[Mark]]],
    xlabel: str,
    line: float | None = None,
    possible: tuple[float, float] = PERCENT,
) -> str:
    """A row per mark, below the name of its group; `line` is where nothing differs, and is drawn. Shares of solved seeds, where
    there are any, are a second plot to the right. The axis ends where values can (`possible`)."""
    two = any(mark.solved for _, marks in groups for mark in marks)

    def draw(ax: Axes, right: Axes | None = None) -> None:
        y, ticks, names = 0.0, [], []
        for name, marks in groups:
            ax.annotate(
                visible(name),
                (0, y),
                (4, 0),
                xycoords=ax.get_yaxis_transform(),
                textcoords="offset points",
                va="center",
                fontweight="bold",
                in_layout=not two,  # it may reach into the plot to the right, whose rows are empty there
            )
            if line is not None:
                ax.plot([line, line], [y - 0.5, y - len(marks) - 0.5], color=_INK, linewidth=0.8)
            for mark in marks:
                y -= 1
                ticks.append(y)
                names.append(visible(mark.label))
                _row(ax, mark, y)
                if right is not None and mark.solved is not None:
                    _share(right, mark.solved, len(mark.points), y, colour(mark.series))
            y -= 1.2
        ax.set_yticks(ticks, [name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}" for name in names])
        for panel in (ax, right):
            if panel is not None:
                panel.tick_params(axis="y", length=0)
                panel.set_ylim(y + 0.5, 0.7)
                panel.grid(axis="y", visible=False)
        ax.set_xlabel(xlabel)
        ax.set_xlim(_within(ax.get_xlim(), possible))
        if right is not None:
            right.set_xlim(-3, 103)
            right.spines["left"].set_visible(False)
            right.set_xlabel("solved, % of seeds")

    rows = sum(len(marks) + 1.2 for _, marks in groups)
    return _svg(draw, 0.6 + 0.22 * rows, (2.2, 1.0) if two else (1.0,))


def _row(ax: Axes, mark: Mark, y: float) -> None:
    """A bar with its mean, or points with theirs; points of two kinds are full or hollow and have none."""
    shade = colour(mark.series)
    if mark.outer is not None:
        ax.plot(mark.outer, [y, y], color=shade, linewidth=0.9, solid_capstyle="butt")
    if mark.low is not None and mark.high is not None:
        if mark.points:
            ax.plot(mark.points, [y] * len(mark.points), "o", color=shade, alpha=0.35, markersize=4, mew=0)
        ax.plot([mark.low, mark.high], [y, y], color=shade, linewidth=2.6, solid_capstyle="butt")
        ax.plot([mark.mean], [y], "o", color=shade, markersize=6)
    elif mark.solved is not None:
        full = [x for x in mark.points if x >= mark.solved.at]
        hollow = [x for x in mark.points if x < mark.solved.at]
        ax.plot([mark.solved.at] * 2, [y - 0.5, y + 0.5], ":", color=_INK, linewidth=0.8)
        ax.plot(full, [y] * len(full), "o", color=shade, alpha=0.7, markersize=5, mew=0)
        ax.plot(hollow, [y] * len(hollow), "o", color=shade, alpha=0.7, markersize=4.4, mew=1.1, fillstyle="none")
    else:
        ax.plot(mark.points, [y] * len(mark.points), "o", color=shade, alpha=0.55, markersize=5, mew=0)
        ax.plot([mark.mean] * 2, [y - 0.32, y + 0.32], color=shade, linewidth=2)


def _share(ax: Axes, solved: Share, seeds: int, y: float, shade: str) -> None:
    """The share of solved seeds with its interval, and the count in words to the right."""
    ax.plot([solved.low, solved.high], [y, y], color=shade, linewidth=1.4, solid_capstyle="butt")
    ax.plot([solved.share], [y], "D", color=shade, markersize=4, clip_on=False)
    place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    ax.annotate(f"{solved.count}/{seeds}", (1, y), (3, 0), fontsize=8, annotation_clip=False, **place)


def profiles(bands: Sequence[Band], xlabel: str, ylabel: str) -> str:
    """Falling curves on [0, 1] with their bands, of as many arms as there are colours; more arms have no bands."""

    def draw(ax: Axes) -> None:
        for band in bands:
            shade, pattern = colour(band.series), "-" if band.series < len(PALETTE) else "--"
            if band.low is not None and band.high is not None and len(bands) <= len(PALETTE):
                ax.fill_between(band.x, band.low, band.high, color=shade, alpha=0.14, linewidth=0)
            ax.plot(band.x, band.y, pattern, color=shade, linewidth=1.4)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)

    return _svg(draw, 2.6)


def scatter(spots: Sequence[Spot], xlabel: str, ylabel: str, height: float = 2.6) -> str:
    """Scores over budgets, `height` inches tall; small dots are seeds. Neither axis starts at zero, and that of scores ends
    where they can."""

    def draw(ax: Axes) -> None:
        for spot in spots:
            shade = colour(spot.series)
            if spot.low is not None and spot.high is not None:
                ax.plot([spot.x, spot.x], [spot.low, spot.high], color=shade, linewidth=1.6, solid_capstyle="butt")
            ax.plot([spot.x] * len(spot.points), spot.points, "o", color=shade, alpha=0.45, markersize=3, mew=0)
            form = "o" if spot.series < len(PALETTE) else "s"
            ax.plot([spot.x], [spot.y], form, color=shade, markersize=6, fillstyle="none" if spot.two_kinds else "full")
        ax.margins(0.1)
        ax.set_ylim(_within(ax.get_ylim(), PERCENT))
        _name(ax, spots)
        ax.xaxis.set_major_formatter(lambda x, _: compact(x))
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)

    return _svg(draw, height)


def _name(ax: Axes, spots: Sequence[Spot]) -> None:
    """Labels beside their spots, on the side where there is room, a line apart where they would meet."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    width, line = 0.4 * (right - left), 0.065 * (high - low)
    taken: list[tuple[float, float]] = []
    for spot in sorted((s for s in spots if s.label), key=lambda s: s.y):
        outside = spot.x > (left + right) / 2
        y = max([spot.y, *(b + line for a, b in taken if abs(a - spot.x) < width and b + line > spot.y)])
        taken.append((spot.x, y))
        name = visible(spot.label)
        ax.annotate(
            name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}",
            (spot.x, y),
            (-6 if outside else 6, 0),
            textcoords="offset points",
            ha="right" if outside else "left",
            va="center",
            fontsize=8,
        )


def picture(svg: str) -> str:
    """A plot of this module as an SVG file, dark on white."""
    return svg.replace("<svg ", '<svg width="640" style="color: #1c1e21; background: #fff" ', 1) + "\n"


def _svg(draw: Any, height: float, widths: tuple[float, ...] = (1.0,)) -> str:
    """An `<svg>` element, drawn on a figure `height` inches tall; a plot for each of the relative `widths`, side by side."""
    import io

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "harness",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.15,
        "grid.color": _INK,
        "grid.linewidth": 0.8,
        "axes.linewidth": 0.6,
        **{key: _INK for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")},
    }
    with rc_context(style):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(*figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0])
        out = io.StringIO()
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=unsaid)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # they would repeat from plot to plot, and nothing refers to them
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)  # a hundredth of a point is finer than a pixel
    head, rest = svg.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + rest
