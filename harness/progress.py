"""One progress display: a bar with the time left on a terminal, a line every ten seconds elsewhere (on stderr)."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from harness.core.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


WIDTH = 80
"""Columns of a narrow terminal. A line of a training fills them alone: it has its label where there is room."""


def spoken(seconds: float) -> str:
    """`42 s`, `12 min` or `30 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.0f} h"


class Progress:
    """Counts units of work (rollouts and evaluation samples) of a whole command."""

    def __init__(self, total: int, label: str, every_s: float = 10.0) -> None:
        self.total, self.label, self.every_s = max(total, 1), visible(label), every_s
        self.done = 0
        self._start = self._printed = time.monotonic()
        self._resumed_at: int | None = None
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            console = Console(stderr=True)
            console.print(self.label, markup=False, highlight=False)
            self._bar = Bar(
                BarColumn(bar_width=6 if console.width <= WIDTH else 20),
                TextColumn("{task.percentage:.0f}%"),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.description}", markup=False),
                console=console,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total, left="")
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, text: str = "") -> None:
        """Set the units done so far."""
        if self._resumed_at is None:  # work found on disk must not count as speed
            self._resumed_at, self._start = done, time.monotonic()
        self.done, text = min(done, self.total), visible(text)
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=text, left=self._left().strip())
        elif time.monotonic() - self._printed >= self.every_s:
            self._printed = time.monotonic()
            line = f"{100 * self.done / self.total:.0f}%{self._left()} {text}".rstrip()
            if len(named := f"{self.label}: {line}") <= WIDTH:
                line = named
            print(line, file=sys.stderr, flush=True)

    def _left(self) -> str:
        return "" if self.left_s is None else f" {spoken(self.left_s)} left"

    @property
    def left_s(self) -> float | None:
        """Seconds left at the speed so far; None before there is one."""
        made = self.done - (self._resumed_at or 0)
        if made <= 0:
            return None
        return (time.monotonic() - self._start) * (self.total - self.done) / made
