"""The scores of a run question by question, from samples/<suite>.jsonl, checked against the scores it reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UNREADABLE, HarnessError, reason
from harness.core.text import visible
from harness.runs.filed import read_manifest, read_packed, samples_name
from harness.runs.result import Result, SuiteScores, is_filed
from harness.runs.samples import Outcome, decode_outcomes, samples_path

if TYPE_CHECKING:
    from harness.stats.intervals import Array


@dataclass(frozen=True)
class Questions:
    """One suite of one run: mean scores over `k` samples, seeds in the order of `seeds`, questions sorted by id.

    `parity_S_Q` holds the parity grader's scores; None if a sample has no second grade. `clusters_Q` are the families of the
    questions; None where they come in none, or the run does not say. `greedy` is the greedy pass, with k of 1, where the suite
    has one.
    """

    ids: tuple[str, ...]
    seeds: tuple[int, ...]
    k: int
    scores_S_Q: Array
    parity_S_Q: Array | None
    clusters_Q: Array | None = None
    greedy: Questions | None = None

    def answered(self, greedy: bool) -> Questions:
        """The greedy pass, where there is one and it is meant; else these."""
        return self.greedy or self if greedy else self

    @property
    def drawn(self) -> int:
        """How many questions, or families of them, were drawn independently."""
        return len(self.ids if self.clusters_Q is None else set(self.clusters_Q.tolist()))

    def without(self, ids: set[str]) -> Questions:
        """The questions that are not in `ids`."""
        keep = [i for i, name in enumerate(self.ids) if name not in ids]
        parity = None if self.parity_S_Q is None else self.parity_S_Q[:, keep]
        return Questions(
            ids=tuple(self.ids[i] for i in keep),
            seeds=self.seeds,
            k=self.k,
            scores_S_Q=self.scores_S_Q[:, keep],
            parity_S_Q=parity,
            clusters_Q=None if self.clusters_Q is None else self.clusters_Q[keep],
            greedy=self.greedy and self.greedy.without(ids),
        )


def load_questions(result: Result) -> dict[str, Questions]:
    """Every suite of a result from `load_result`; empty if the run has no samples folder.

    Raises HarnessError if samples are missing or unreadable, or do not add up to the scores in result.json.
    """
    run = Path(result.run)
    if not (run / "samples").is_dir():
        return {}
    try:
        if is_filed(run):
            manifest = read_manifest(run)
            packed = {name: (read_packed(run, manifest, name), run / samples_name(name)) for name in result.suites}
            return {name: read_questions(*found, result.suites[name], result.seeds) for name, found in packed.items()}
        return {name: _suite(samples_path(run, name), suite, result.seeds) for name, suite in result.suites.items()}
    except UNREADABLE as e:  # numbers that no array can be made of
        raise HarnessError(visible(f"{run} cannot be read: {reason(e)}")) from None


def _suite(path: Path, suite: SuiteScores, seeds: tuple[int, ...]) -> Questions:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise HarnessError(f"{path} is missing: the run's samples are not all there") from None
    return read_questions(data, path, suite, seeds)


def read_questions(data: bytes, path: Path, suite: SuiteScores, seeds: tuple[int, ...]) -> Questions:
    """A suite from its samples, JSON lines; `path` is what an error names. Raises HarnessError as `load_questions`."""
    import numpy as np

    every = decode_outcomes(data, path)
    out = _table([row for row in every if not row.greedy], path, suite.n, suite.k, seeds)
    if suite.clusters:
        out = replace(out, clusters_Q=np.array([suite.clusters.get(name, name) for name in out.ids]))
    for seed, mean in zip(seeds, out.scores_S_Q.mean(-1), strict=True):
        _agree(path, mean, suite.per_seed[seed], f"for seed {seed}")
    if suite.greedy is None:
        return out
    greedy = _table([row for row in every if row.greedy], path, suite.n, 1, seeds, "greedy ")
    if greedy.ids != out.ids:
        raise HarnessError(f"{path} has a greedy pass over other problems")
    _agree(path, greedy.scores_S_Q.mean(), suite.greedy, "for the greedy pass")
    return replace(out, greedy=replace(greedy, clusters_Q=out.clusters_Q))


def _table(rows: list[Outcome], path: Path, n: int, k: int, seeds: tuple[int, ...], what: str = "") -> Questions:
    """One pass over a suite; `what` says which, in an error."""
    import numpy as np

    ids = tuple(sorted({row.problem for row in rows}))
    own, indices = {row.seed for row in rows} <= set(seeds), {row.index for row in rows}
    if not own or not all(0 <= i < k for i in indices):
        raise HarnessError(f"{path} holds {what}samples of other seeds, or more than {k} a problem")
    if len(ids) != n or len(rows) != n * k * len(seeds):  # before there are arrays of these sizes
        raise HarnessError(f"{path} does not hold {k} {what}samples of each of {n} problems for every seed")
    shape = len(seeds), n, k
    of_seed = {seed: i * n * k for i, seed in enumerate(seeds)}
    of_problem = {problem: i * k for i, problem in enumerate(ids)}
    at = np.array([of_seed[r.seed] + of_problem[r.problem] + r.index for r in rows], int)  # place in an array of that shape
    if not (np.bincount(at, minlength=len(rows)) == 1).all():
        raise HarnessError(f"{path} does not hold {k} {what}samples of each of {n} problems for every seed")

    def means(column: list[float]) -> Array:
        out = np.empty(shape)
        out.ravel()[at] = column
        return np.asarray(out.mean(-1))

    second = [r.parity for r in rows if r.parity is not None]
    parity = means(second) if len(second) == len(rows) else None
    return Questions(ids=ids, seeds=seeds, k=k, scores_S_Q=means([r.score for r in rows]), parity_S_Q=parity)


def _agree(path: Path, mean: float, said: float, of: str) -> None:
    """Raises HarnessError unless the samples give what result.json says."""
    if not abs(mean - said) <= 1e-9:  # also where it says NaN
        raise HarnessError(f"{visible(str(path))} gives {mean:.6f} {of}, result.json says {said:.6f}")


def clusters_of(one: Questions, other: Questions) -> Array | None:
    """The families of questions that two runs answered; where an older run does not say, the other one does."""
    return other.clusters_Q if one.clusters_Q is None else one.clusters_Q
