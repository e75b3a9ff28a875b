"""From samples to scores, the one way there is: rows -> one seed -> one suite over seeds -> macro averages by role."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.core.errors import HarnessError
from harness.evaluation.estimators import avg_at_k, mean_or_none, pass_at_k
from harness.runs.result import Figures, Macro, RoleMeans, SuiteFigures
from harness.runs.samples import OVERLONG, AnySampleRow


def score_seed(rows: Sequence[AnySampleRow], k: int, flagged: Collection[str] = ()) -> Figures:
    """One suite, one seed, from its rows: k in a row for every problem. `flagged`: ids that match training problems.

    Rows of a greedy pass count in `greedy`, `greedy_parity` and the tokens alone.
    """
    sampled, greedy = ([row for row in rows if row.greedy == which] for which in (False, True))
    groups = [[row.score for row in sampled[i : i + k]] for i in range(0, len(sampled), k)]
    correct = [sum(s >= 1.0 for s in scores_K) for scores_K in groups]
    clean = [row.score for row in sampled if row.problem not in flagged] if flagged else []
    statuses = Counter(row.status for row in sampled)
    both = [(row.score, row.parity) for row in sampled if row.parity is not None]
    return Figures(
        avg=statistics.fmean(avg_at_k(scores_K) for scores_K in groups),
        avg_clean=mean_or_none(clean),
        pass_at={m: statistics.fmean(pass_at_k(k, c, m) for c in correct) for m in sorted({1, k})},
        truncated=statistics.fmean(row.truncated for row in sampled),
        unparsed=statuses["unparsed"] / len(sampled),
        grader_faults=statuses["timeout"] + statuses["error"],
        parity_avg=statistics.fmean(parity for _, parity in both) if both else None,
        disagreement=statistics.fmean(score != parity for score, parity in both) if both else None,
        greedy=mean_or_none(row.score for row in greedy),
        greedy_parity=mean_or_none(row.parity for row in greedy),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        generated_tokens=sum(row.tokens for row in rows),
        overlong=statuses[OVERLONG],
    )


def over_seeds(by_seed: Mapping[int, Figures]) -> SuiteFigures:
    """One suite from the figures of its seeds: means, but sums of faults, overlong samples and tokens."""
    own = list(by_seed.values())
    clean = {seed: f.avg_clean for seed, f in by_seed.items() if f.avg_clean is not None}
    return SuiteFigures(
        avg=statistics.fmean(f.avg for f in own),
        per_seed={seed: f.avg for seed, f in by_seed.items()},
        avg_clean=mean_or_none(clean.values()),
        per_seed_clean=clean,
        pass_at={m: statistics.fmean(f.pass_at[m] for f in own) for m in own[0].pass_at},
        truncated=statistics.fmean(f.truncated for f in own),
        unparsed=statistics.fmean(f.unparsed for f in own),
        grader_faults=sum(f.grader_faults for f in own),
        parity_avg=mean_or_none(f.parity_avg for f in own),
        disagreement=mean_or_none(f.disagreement for f in own),
        greedy=mean_or_none(f.greedy for f in own),
        greedy_parity=mean_or_none(f.greedy_parity for f in own),
        prompt_tokens=sum(f.prompt_tokens for f in own),
        generated_tokens=sum(f.generated_tokens for f in own),
        overlong=sum(f.overlong for f in own),
    )


def score_suite(rows: Iterable[AnySampleRow], k: int, seeds: Sequence[int], flagged: Collection[str] = ()) -> SuiteFigures:
    """One suite over `seeds`, from the rows of all of them: of each seed problem by problem, k in a row."""
    by_seed: dict[int, list[AnySampleRow]] = {seed: [] for seed in seeds}
    for row in rows:
        by_seed[row.seed].append(row)
    return over_seeds({seed: score_seed(own, k, flagged) for seed, own in by_seed.items()})


def macro_averages(suites: Sequence[tuple[str, SuiteFigures]], seeds: Sequence[int]) -> Macro:
    """Unweighted means over the suites of a role, None where it has none; `suites` are (role, figures)."""

    def mean(role: str, seed: int | None = None) -> float | None:
        own = (s for r, s in suites if r == role)
        return mean_or_none(s.avg if seed is None else s.per_seed[seed] for s in own)

    per_seed = {seed: RoleMeans(id=mean("id", seed), ood=mean("ood", seed)) for seed in seeds}
    return Macro(id=mean("id"), ood=mean("ood"), per_seed=per_seed)


def check_complete(rows: Sequence[AnySampleRow], n: int, k: int, seeds: Sequence[int], where: object) -> None:
    """Raises HarnessError unless canonical rows hold k samples of each of n problems for every seed, and one greedy sample
    of each problem or of none. `where` is what the error names."""
    for seed in seeds:
        for greedy, each in ((False, k), (True, 1)):
            own = [r for r in rows if r.seed == seed and r.greedy is greedy]
            if greedy and not own:
                continue
            starts = [r.problem for r in own[::each]]
            expected = [(problem, i) for problem in starts for i in range(each)]
            if not len(starts) == len(set(starts)) == n or [(r.problem, r.index) for r in own] != expected:
                what = "a greedy sample" if greedy else f"{k} samples"
                raise HarnessError(f"{where}: does not hold {what} of each of {n} problems for seed {seed}")
