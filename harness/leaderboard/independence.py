"""That samples were drawn as a run says: independently for every seed, at its temperature, within its length.

Copied samples are recognised by two rules that assume nothing of the policies, neither how peaked they are nor how alike.

1. Of a problem's k samples, a seed's labels have counts c. Whatever policy another seed has, an independent draw of k has
   the very same counts with probability at most q = k! / prod(c!) * prod((c / k) ** c), that of the policy c / k itself. Over
   all problems where a seed's labels differ, the number of such coincidences is then bounded (Chernoff 1952). A label is
   anything that follows from a sample: LABELS. So copies are found in any order, and where texts are changed but answers,
   lengths, or one half of each text are not.
2. For any similarity s of texts that is a kernel, E s(X, Y) <= (E s(X, X') + E s(Y, Y')) / 2 where X, X' are independent
   samples of one policy and Y, Y' of another: the difference is the squared distance of their means (Gretton et al. 2012, "A
   kernel two-sample test", lemma 4). So samples of two seeds are never more alike than those within the seeds, but by
   chance. The kernel is the share of equal minima under HASHES hash functions of the pairs of neighbouring words (Broder
   1997), which estimates their Jaccard similarity: copies are found though a few words of each were changed.

A policy that always answers the same gives the same samples under every seed; there nothing can be told, and nothing is said.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.text import visible
from harness.runs.filed import samples_name
from harness.runs.result import SuiteFacts
from harness.runs.samples import FiledSample

if TYPE_CHECKING:
    from harness.stats.intervals import Array

LABELS: dict[str, Callable[[FiledSample], object]] = {
    "texts": lambda row: row.completion,
    "answers": lambda row: row.answer,
    "lengths": lambda row: row.tokens,
    "first halves": lambda row: row.completion[: len(row.completion) // 2],
    "second halves": lambda row: row.completion[len(row.completion) // 2 :],
}
CHANCE = 1e-9
"""Probability of coincidences from which on they are copies; a board of 1,000 runs of 8 seeds makes 140,000 comparisons."""
HASHES = 32
DEVIATIONS = 6.0
"""Standard errors by which samples of two seeds must be more alike than within them to count as copied."""
EXCESS = 0.01
"""Least such excess in similarity; below it a copy could move no score by a point."""
LONG = 64
"""Words from which on a text that was sampled at a temperature does not come twice by chance."""
OPENING, SHARED = 5, 0.75
"""Greedy answers of one policy to one prompt share their first words in at least that share of the problems: engines whose
sums depend on the batch may part later."""
BYTES_PER_TOKEN = 256
"""More than any token of a vocabulary has on average over a text."""


def check_sampling(
    samples: Mapping[str, Sequence[FiledSample]],
    suites: Mapping[str, SuiteFacts],
    seeds: Sequence[int],
    one_policy: bool,
    folder: Path,
) -> None:
    """Raises HarnessError, naming a file of `folder`, for samples that contradict how the run says they were drawn.

    `samples` are complete and canonical rows by suite. `one_policy`: all seeds sampled from the same weights under the same
    prompts.
    """
    drawn: list[list[list[FiledSample]]] = []
    for name, rows in samples.items():
        facts, where = suites[name], folder / samples_name(name)
        _check_lengths(rows, facts, where)
        found = {(row.seed, row.problem, row.index): row for row in rows if not row.greedy}
        ids = list(dict.fromkeys(row.problem for row in rows))
        own = [[[found[s, p, i] for i in range(facts.k)] for s in seeds] for p in ids]
        if facts.temperature > 0:
            _check_repeats(own, seeds, where)
            drawn += own if facts.k > 1 else []
        elif one_policy:
            _check_greedy(own, seeds, where)
    if drawn and len(seeds) > 1:
        for name, label in LABELS.items():
            _check_coincidences([[list(map(label, k)) for k in s] for s in drawn], seeds, name, folder / "samples")
        _check_alike([[[row.completion for row in k] for k in s] for s in drawn], seeds, folder / "samples")


def _check_lengths(rows: Sequence[FiledSample], facts: SuiteFacts, where: Path) -> None:
    for row in rows:
        size = len(row.completion.encode(errors="replace"))
        fine = 0 <= row.tokens <= facts.max_new_tokens and size <= BYTES_PER_TOKEN * row.tokens and row.prompt_tokens > 0
        if not fine:
            what = f"tokens is {row.tokens} of at most {facts.max_new_tokens}, for {size:,} bytes"
            raise HarnessError(visible(f"{where}, problem {row.problem}, seed {row.seed}, sample {row.index}: {what}"))


def _check_repeats(rows_Q_S_K: Sequence[Sequence[Sequence[FiledSample]]], seeds: Sequence[int], where: Path) -> None:
    """Long texts that come again word for word, within a seed or in another, in more than half of the problems."""
    several = len(rows_Q_S_K[0][0]) > 1
    for a, b in [*((s, s) for s in range(len(seeds)) if several), *combinations(range(len(seeds)), 2)]:
        pairs = [(own[a][0].completion, own[b][a == b].completion) for own in rows_Q_S_K]
        long = [(x, y) for x, y in pairs if len(x.split()) >= LONG]
        again = sum(x == y for x, y in long)
        if len(long) >= 5 and again > len(long) / 2:
            what = f"{again} of {len(long)} long samples of seed {seeds[a]} come again word for word in seed {seeds[b]}"
            raise HarnessError(f"{where}: {what}, which sampling at a temperature does not do")


def _check_coincidences(
    labels_Q_S_K: Sequence[Sequence[Sequence[object]]], seeds: Sequence[int], what: str, where: Path
) -> None:
    """Rule 1."""
    import numpy as np

    counts_Q_S = [[Counter(k) for k in own] for own in labels_Q_S_K]
    known: dict[object, int] = {}
    same_Q_S = np.array([[known.setdefault(frozenset(c.items()), len(known)) for c in own] for own in counts_Q_S])
    chance_Q_S = np.array([[likeliest(tuple(sorted(c.values()))) for c in own] for own in counts_Q_S])
    varied_Q_S = np.array([[len(c) > 1 for c in own] for own in counts_Q_S])
    for a, b in combinations(range(len(seeds)), 2):
        varied = varied_Q_S[:, a]
        same = int((same_Q_S[varied, a] == same_Q_S[varied, b]).sum())
        if same and (chance := tail(chance_Q_S[varied, a].tolist(), same)) < CHANCE:
            raise HarnessError(
                f"{where}: seeds {seeds[a]} and {seeds[b]} have the same {what} in {same} of the {varied.sum()} problems where "
                f"these vary, which independent samples have with probability {chance:.0e} at most: they are copies"
            )


@cache
def likeliest(counts: tuple[int, ...]) -> float:
    """The greatest probability that any policy can give to draws with exactly these counts of each label."""
    k = sum(counts)
    log = math.lgamma(k + 1) + sum(c * math.log(c / k) - math.lgamma(c + 1) for c in counts)
    return min(1.0, math.exp(log))


def tail(chances: Sequence[float], at_least: int) -> float:
    """An upper bound of the probability that so many of independent events happen, of at most these chances each."""
    if at_least <= sum(chances):
        return 1.0
    if at_least == len(chances):
        return math.prod(chances)
    low, high = 0.0, 50.0

    def log_bound(theta: float) -> float:
        return sum(math.log1p(q * math.expm1(theta)) for q in chances) - theta * at_least

    for _ in range(60):  # it is convex in theta
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if log_bound(left) < log_bound(right) else (left, high)
    return math.exp(min(0.0, log_bound(low)))


def _check_alike(texts_Q_S_K: Sequence[Sequence[Sequence[str]]], seeds: Sequence[int], where: Path) -> None:
    """Rule 2."""
    import numpy as np

    excess_Q_S_S = np.stack([_excess(signatures(own)) for own in texts_Q_S_K])
    mean = excess_Q_S_S.mean(0)
    error = excess_Q_S_S.std(0, ddof=1) / len(texts_Q_S_K) ** 0.5 if len(texts_Q_S_K) > 1 else np.full(mean.shape, np.inf)
    for a, b in combinations(range(len(seeds)), 2):
        if mean[a, b] > EXCESS and mean[a, b] > DEVIATIONS * error[a, b]:
            raise HarnessError(
                f"{where}: the samples of seeds {seeds[a]} and {seeds[b]} are copies: they are more alike than samples of one "
                f"seed, by {mean[a, b]:.3f} with standard error {error[a, b]:.3f}; independent ones are not"
            )


def _excess(signatures_S_K_H: Array) -> Array:
    """[S, S]: mean similarity across two seeds, less the mean of those within them; expected to be 0 or less."""
    import numpy as np

    S, K, H = signatures_S_K_H.shape
    flat = signatures_S_K_H.reshape(S * K, H)
    alike = (flat[:, None] == flat[None]).mean(-1).reshape(S, K, S, K)
    across_S_S = alike.mean((1, 3))
    within_S = (np.einsum("sisj->s", alike) - K) / (K * (K - 1))
    out: Array = across_S_S - (within_S[:, None] + within_S[None]) / 2
    return out


def signatures(texts_S_K: Sequence[Sequence[str]]) -> Array:
    """[S, K, HASHES]: of every text the least hash of its pairs of neighbouring words, under each hash function."""
    import numpy as np

    rng = np.random.default_rng(0)
    factors, offsets = (rng.integers(1, 1 << 63, HASHES, dtype=np.uint64) | np.uint64(1) for _ in range(2))
    known: dict[str, Array] = {}

    def of(text: str) -> Array:
        if text not in known:
            words = ["", *text.split(), ""]
            pairs = {zlib.crc32(f"{x} {y}".encode(errors="replace")) for x, y in zip(words, words[1:], strict=False)}
            hashes = np.array(sorted(pairs), np.uint64)
            mixed = (hashes[:, None] + offsets) * factors
            known[text] = ((mixed ^ (mixed >> np.uint64(29))) * factors).min(0)
        return known[text]

    return np.stack([np.stack([of(text) for text in own]) for own in texts_S_K])


def _check_greedy(rows_Q_S_K: Sequence[Sequence[Sequence[FiledSample]]], seeds: Sequence[int], where: Path) -> None:
    openings_Q_S = [[k[0].completion.split()[:OPENING] for k in own] for own in rows_Q_S_K]
    for a, b in combinations(range(len(seeds)), 2):
        same, of = sum(own[a] == own[b] for own in openings_Q_S), len(openings_Q_S)
        if same < SHARED * of:
            what = f"seeds {seeds[a]} and {seeds[b]} open {of - same} of {of} answers with other words"
            raise HarnessError(f"{where}: {what}; greedy answers of one policy to one prompt do not")
