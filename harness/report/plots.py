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
class Mark:
    """One row of a dot plot, in percent points: the points, or a bar from `low` to `high` if both are given.

    `outer` holds the ends of a thinner bar for a second interval.
    """

    label: str
    points: list[float]
    series: int
    mean: float
    low: float | None = None
    high: float | None = None
    outer: tuple[float, float] | None = None


@dataclass(frozen=True)
class Spot:
    """One arm of a scatter plot: its mean at a budget, every seed, and the ends of a bar if they are known."""

    x: float
    y: float
    points: list[float]
    series: int
    low: float | None = None
    high: float | None = None


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


def dots(groups: Sequence[tuple[str, Sequence[Mark]]], xlabel: str, line: float | None = None) -> str:
    """A row per mark, below the name of its group; `line` is where nothing differs, and is drawn."""

    def draw(ax: Axes) -> None:
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
            )
            if line is not None:
                ax.plot([line, line], [y - 0.5, y - len(marks) - 0.5], color=_INK, linewidth=0.8)
            for mark in marks:
                y -= 1
                shade = colour(mark.series)
                ticks.append(y)
                names.append(visible(mark.label))
                if mark.outer is not None:
                    ax.plot(mark.outer, [y, y], color=shade, linewidth=0.9, solid_capstyle="butt")
                if mark.low is not None and mark.high is not None:
                    ax.plot([mark.low, mark.high], [y, y], color=shade, linewidth=2.6, solid_capstyle="butt")
                    ax.plot([mark.mean], [y], "o", color=shade, markersize=6)
                else:
                    ax.plot(mark.points, [y] * len(mark.points), "o", color=shade, alpha=0.55, markersize=5, mew=0)
                    ax.plot([mark.mean] * 2, [y - 0.32, y + 0.32], color=shade, linewidth=2)
            y -= 1.2
        ax.set_yticks(ticks, [name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}" for name in names])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(y + 0.5, 0.7)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(xlabel)

    rows = sum(len(marks) + 1.2 for _, marks in groups)
    return _svg(draw, 0.6 + 0.22 * rows)


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


def scatter(spots: Sequence[Spot], xlabel: str, ylabel: str) -> str:
    """Scores over budgets; small dots are seeds. Neither axis starts at zero."""

    def draw(ax: Axes) -> None:
        for spot in spots:
            shade = colour(spot.series)
            if spot.low is not None and spot.high is not None:
                ax.plot([spot.x, spot.x], [spot.low, spot.high], color=shade, linewidth=1.6, solid_capstyle="butt")
            ax.plot([spot.x] * len(spot.points), spot.points, "o", color=shade, alpha=0.45, markersize=3, mew=0)
            ax.plot([spot.x], [spot.y], "o" if spot.series < len(PALETTE) else "s", color=shade, markersize=6)
        ax.margins(0.1)
        ax.xaxis.set_major_formatter(lambda x, _: compact(x))
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)

    return _svg(draw, 2.6)


def picture(svg: str) -> str:
    """A plot of this module as an SVG file, dark on white."""
    return svg.replace("<svg ", '<svg width="640" style="color: #1c1e21; background: #fff" ', 1) + "\n"


def _svg(draw: Any, height: float) -> str:
    """An `<svg>` element, drawn on a figure `height` inches tall."""
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
        draw(figure.subplots())
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
