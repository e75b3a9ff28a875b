"""How the score of a claim is taken, suite by suite: the mean of k samples a problem at a temperature, or greedy answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from harness.core.settings import EvalConfig
    from harness.data.suites import Suite
    from harness.runs.result import SuiteScores

Metric = Annotated[str, Field(pattern=r"^(avg@(k|[1-9][0-9]{0,3})|greedy)$")]
"""`greedy`, `avg@16`, or `avg@k`: as many samples as the run has."""


@dataclass(frozen=True)
class Pass:
    """One pass over a suite: `k` answers a problem at `temperature`; None where anything will do."""

    k: int | None
    temperature: float | None

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def __str__(self) -> str:
        if self.greedy:
            return "greedy" if self.k == 1 else f"greedy, {self.k} times"
        return f"avg@{self.k or 'k'}" + ("" if self.temperature is None else f" at T={self.temperature:g}")

    def among(self, passes: Iterable[Pass]) -> Pass | None:
        """The first of these that is such a pass."""
        for found in passes:
            if self.k in (None, found.k) and self.temperature in (None, found.temperature):
                return found
        return None


def passes_of(metric: str | Mapping[str, str], temperature: float | None, suites: Iterable[str]) -> dict[str, Pass]:
    """What a claim wants of every suite; `metric` is that of all, or by suite."""
    words = {name: metric if isinstance(metric, str) else metric[name] for name in suites}
    return {name: _pass(word, temperature) for name, word in words.items()}


def _pass(word: str, temperature: float | None) -> Pass:
    if word == "greedy":
        return Pass(1, 0.0)
    k = word.removeprefix("avg@")
    return Pass(None if k == "k" else int(k), temperature)


def planned(suite: Suite, cfg: EvalConfig) -> list[Pass]:
    """How the settings run a suite, the analysed pass first."""
    return [Pass(k, sampling.temperature) for k, sampling in suite.passes(cfg)]


def done(suite: SuiteScores) -> list[Pass]:
    """How a finished run has answered a suite, the analysed pass first."""
    return [Pass(suite.k, suite.temperature), *([] if suite.greedy is None else [Pass(1, 0.0)])]


def in_words(passes: Iterable[Pass]) -> str:
    return " and ".join(map(str, passes))
