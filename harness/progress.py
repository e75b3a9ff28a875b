"""One progress display: a bar with the time left on a terminal, a line every ten seconds elsewhere (on stderr)."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from harness.core.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


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
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn(self.label, markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total)
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
            self._bar.update(self._task, completed=self.done, description=text)
        elif time.monotonic() - self._printed >= self.every_s:
            self._printed = time.monotonic()
            left = self.left_s
            when = f", about {left:.0f} s left" if left is not None else ""
            print(f"{self.label}: {100 * self.done / self.total:.0f}%{when}  {text}", file=sys.stderr, flush=True)

    @property
    def left_s(self) -> float | None:
        """Seconds left at the speed so far; None before there is one."""
        made = self.done - (self._resumed_at or 0)
        if made <= 0:
            return None
        return (time.monotonic() - self._start) * (self.total - self.done) / made
