"""Test questions that match training questions: word for word, by shared 13-grams, and near duplicates.

Only the text of a question is compared, without its prompt and without listed options: a rewording, a translation or
other numbers go unseen, so "none found" does not mean "none there".
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.core.errors import MissingError
from harness.core.types import Problem
from harness.data.problems import unwrap
from harness.data.suites import Suite
from harness.data.training_sets import TrainingSet

OverlapKind = Literal["exact", "ngram", "near"]

KINDS: tuple[OverlapKind, ...] = ("exact", "ngram", "near")
"""Strongest first; a pair of questions counts under the strongest kind that holds."""
NGRAM = 13
"""Words of an n-gram, as in the overlap studies since Brown et al. 2020 (appendix C)."""
NGRAM_SHARE = 0.5
"""A pair is `ngram` from this share of the test question's distinct 13-grams on, all in one training question."""
SHINGLE = 3
"""Words of a shingle, of which the near duplicates are made."""
NEAR_JACCARD = 0.7
"""A pair is `near` from this Jaccard similarity of the two sets of shingles on."""
PERMUTATIONS = 128
SEED = 1

METHOD = (
    "Question texts only. exact: equal letters, digits and signs; ngram: one training question holds at least "
    f"{NGRAM_SHARE:.0%} of the question's {NGRAM}-grams; near: Jaccard similarity of {SHINGLE}-word shingles at least "
    f"{NEAR_JACCARD}. A question counts under the strongest."
)

_OPTIONS = re.compile(r"\n\s*\(A\) .*", re.DOTALL)
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|q?quad|text(?:bf|it|rm)?|math(?:rm|bf|it|bb|cal)|"
    r"mbox|operatorname)(?![a-zA-Z])|\\[,;:! ]"
)
_SPELLINGS = [
    (re.compile(pattern + "(?![a-zA-Z])"), rf"\\{name}")
    for pattern, name in (
        (r"\\[dtc]frac", "frac"),
        (r"\\[cl]dots|\\dots[bcmio]", "dots"),
        (r"\\leq(?:slant)?", "le"),
        (r"\\geq(?:slant)?", "ge"),
        (r"\\neq", "ne"),
        (r"\\rightarrow", "to"),
    )
]


@dataclass(frozen=True)
class Match:
    """One test problem found in one training problem, by their ids.

    `share`: 1 for `exact`; of the test problem's 13-grams for `ngram`; the Jaccard similarity for `near`.
    `same_answer`: the answers are equal but for case and layout. A pair that is not exact and whose answers differ is
    mostly one template with other numbers.
    """

    test: str
    train: str
    kind: OverlapKind
    share: float
    same_answer: bool


def plain(question: str) -> str:
    """Lower case, without listed options ("(A) ..." to the end) and LaTeX that only lays out; one spelling a symbol."""
    text = _LAYOUT.sub(" ", _OPTIONS.sub("", question))
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    return text.lower()


def normal_form(question: str) -> str:
    """What equal questions share: the letters, digits and ``+ - * / = < > ^`` of `plain`, nothing between them."""
    return "".join(re.findall(r"[^\W_]|[-+*/=<>^]", plain(question)))


def words(question: str) -> list[str]:
    """The LaTeX commands and the runs of letters and digits of `plain`, in order."""
    return re.findall(r"\\[a-z]+|[^\W_]+", plain(question))


def grams(words_T: Sequence[str], n: int) -> set[str]:
    """The distinct n-grams; none where there are fewer than n words."""
    return {" ".join(words_T[i : i + n]) for i in range(len(words_T) - n + 1)}


def find(
    train: Sequence[Problem],
    suites: Mapping[str, Sequence[Problem]],
    ngram_share: float = NGRAM_SHARE,
    near_jaccard: float = NEAR_JACCARD,
) -> dict[str, list[Match]]:
    """Every pair of a test problem and a training problem that match, per suite, in the order of both lists.

    MinHash LSH (datasketch, seeded) proposes the near duplicates, of which it misses 1.5% right at the default
    threshold; their similarity is then computed exactly. Problems whose set says `overlap: exact`, because they are
    instances of a few templates, are compared word for word only. Raises MissingError without datasketch.
    """
    tests = [(suite, problem) for suite, problems in suites.items() for problem in problems]
    by_form: dict[str, list[int]] = defaultdict(list)
    by_ngram: dict[str, list[int]] = defaultdict(list)
    sizes: list[int] = []
    test_shingles: list[set[str]] = []
    for i, (_, problem) in enumerate(tests):
        form, ngrams, shingles = _features(problem)
        if form:
            by_form[form].append(i)
        for ngram in ngrams:
            by_ngram[ngram].append(i)
        sizes.append(len(ngrams))
        test_shingles.append(shingles)
    proposals = _proposals(test_shingles, near_jaccard)

    found: dict[str, list[tuple[int, int, Match]]] = {suite: [] for suite in suites}
    for j, problem in enumerate(train):
        form, ngrams, shingles = _features(problem)
        pairs: dict[int, tuple[OverlapKind, float]] = {i: ("exact", 1.0) for i in by_form.get(form, ())}
        for i, count in Counter(i for ngram in ngrams for i in by_ngram.get(ngram, ())).items():
            if count >= ngram_share * sizes[i]:
                pairs.setdefault(i, ("ngram", count / sizes[i]))
        for i in proposals(shingles):
            jaccard = len(test_shingles[i] & shingles) / len(test_shingles[i] | shingles)
            if jaccard >= near_jaccard:
                pairs.setdefault(i, ("near", jaccard))
        for i, (kind, share) in pairs.items():
            suite, test = tests[i]
            same = _answer(test.answer) == _answer(problem.answer)
            found[suite].append((i, j, Match(test=test.id, train=problem.id, kind=kind, share=share, same_answer=same)))
    return {suite: [match for _, _, match in sorted(rows, key=lambda row: row[:2])] for suite, rows in found.items()}


def flagged(matches: Sequence[Match]) -> dict[str, OverlapKind]:
    """The test problems that match, each with its strongest kind."""
    out: dict[str, OverlapKind] = {}
    for kind in KINDS:
        for match in matches:
            if match.kind == kind:
                out.setdefault(match.test, kind)
    return out


def marked(train: Sequence[Problem], found: Mapping[str, Sequence[Match]]) -> list[Problem]:
    """The training problems; `overlapping_suites` of each that matches a test problem names the suites that ask it."""
    suites: dict[str, list[str]] = defaultdict(list)
    for suite, matches in found.items():
        for problem in {match.train for match in matches}:
            suites[problem].append(suite)
    return [replace(p, overlapping_suites=suites[p.id]) if p.id in suites else p for p in train]


def summary(training_set: TrainingSet, suite: Suite, matches: Sequence[Match]) -> dict[str, Any]:
    """A JSON-able row of one training set and one suite: problems by kind, ids of all that match, the pairs."""
    kinds = flagged(matches)
    return {
        "training_set": training_set.name,
        "suite": suite.name,
        "role": training_set.role_of(suite.name) or "other",
        "problems": suite.size,
        **{kind: sum(k == kind for k in kinds.values()) for kind in KINDS},
        "same_answer": len({m.test for m in matches if m.same_answer}),
        "share": len(kinds) / suite.size,
        "flagged": list(kinds),
        "matches": [asdict(m) for m in matches],
    }


def _features(problem: Problem) -> tuple[str, set[str], set[str]]:
    """Normal form, 13-grams and shingles of a question."""
    question = unwrap(problem.text)
    words_T = [] if problem.overlap == "exact" else words(question)
    return normal_form(question), grams(words_T, NGRAM), grams(words_T, SHINGLE)


def _answer(answer: str) -> str:
    return "".join(plain(answer).split()).strip("$")


def _proposals(tests: Sequence[set[str]], jaccard: float) -> Callable[[set[str]], list[int]]:
    """From the shingles of a training question to the positions in `tests` that may be at least that similar."""
    if not any(tests):
        return lambda _: []
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        raise MissingError("the contamination check needs datasketch: pip install 'p2o-harness[local]'") from None

    empty = MinHash(num_perm=PERMUTATIONS, seed=SEED)

    def sketch(shingles: set[str]) -> MinHash:
        out = empty.copy()
        out.update_batch([shingle.encode() for shingle in shingles])
        return out

    # A pair that is missed costs more than one that is proposed in vain.
    index = MinHashLSH(threshold=jaccard, num_perm=PERMUTATIONS, weights=(0.02, 0.98))
    for i, shingles in enumerate(tests):
        if shingles:
            index.insert(i, sketch(shingles))
    return lambda shingles: index.query(sketch(shingles)) if shingles else []
