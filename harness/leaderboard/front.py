"""The front page over all boards and claims of a folder: what each asks, its answer in sentences, what it rests on.

A pure function of the boards and claims, with relative links alone, so that the folder can be published as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.training_sets import load_training_set
from harness.leaderboard.entries import Entry
from harness.leaderboard.groups import ComparableRuns, apart_by
from harness.report.pages import render
from harness.report.standings import answer, question
from harness.report.tables import interval, points
from harness.runs.filed import EVIDENCE, BoardIndex, Rules
from harness.stats.assess import check
from harness.stats.claims import load_claims
from harness.stats.judge import Assessment
from harness.stats.verdicts import MARGIN

FRONT = "index.html"
CLAIMS = "claims"
STATES = {
    "reproduced": "reproduced",
    "gain, below the claim": "a gain, smaller than claimed",
    "no gain": "refuted: no gain",
    "contradicted": "refuted: a loss",
    "undecided": "undecided",
    "not assessable": "not assessable",
}
"""The verdicts on a claim, in the order and words of the page."""
NOT_RUN = "not yet run"


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with its runs compared: `groups` of comparable runs, `pilots` of too few seeds, what was found of the claims
    about its training set."""

    folder: Path
    rules: Rules
    groups: Sequence[ComparableRuns]
    pilots: Sequence[Entry]
    claims: Sequence[Assessment]
    index: BoardIndex

    @property
    def entries(self) -> list[Entry]:
        """All its runs."""
        return [*(e for _, own in self.groups for e in own), *self.pilots]

    @property
    def training_set(self) -> str:
        return self.entries[0].result.training_set

    @property
    def model(self) -> str:
        return self.entries[0].result.model

    @property
    def title(self) -> str:
        """The title of its training set."""
        return load_training_set(self.training_set).title

    @property
    def kind(self) -> str:
        """What it is, in small print."""
        return f"Leaderboard: training set {self.training_set}, model {self.model}"

    @property
    def question(self) -> str:
        """What it asks, of its first set of comparable runs; "" where all are pilots."""
        own = load_training_set(self.training_set).policy == self.model
        policy = "the world's own policy" if own else self.model
        return question(self.groups[0][0], policy, self.training_set) if self.groups else ""


def assessed(folder: Path) -> list[Assessment]:
    """What the runs of a board say about the claims on its training set, which lie beside all boards; none where there are no
    claims. Raises as `check` and `load_claims` do."""
    above, root = folder.resolve().parents[:2]
    return check([c for c in _claims(root).values() if c.training_set == above.name], [folder])


def _claims(root: Path) -> Mapping[str, Any]:
    return load_claims(root / CLAIMS) if (root / CLAIMS).is_dir() else {}


def front_page(root: Path, boards: Sequence[Board]) -> str:
    """The page over the boards below `root` and its claims. Raises as `check` and `load_claims` do."""
    claims = _claims(root)
    found = {a.claim: a for board in boards for a in board.claims if not a.missing}
    found |= {a.claim: a for a in check([claim for name, claim in claims.items() if name not in found], [])}
    home = {a.claim: board for board in boards for a in board.claims if not a.missing}
    rows = [_claim_row(a, claims[name].source, root, home.get(name)) for name, a in sorted(found.items(), key=_order)]
    return render(
        "front.html.j2",
        title="Leaderboards",
        boards=[_card(root, board) for board in boards],
        tally=_tally([row["state"] for row in rows]),
        checked=[row for row in rows if row["state"] != NOT_RUN],
        open=[row for row in rows if row["state"] == NOT_RUN],
    )


def _order(item: tuple[str, Assessment]) -> tuple[int, str]:
    return list(STATES).index(item[1].verdict), item[0]


def _card(root: Path, board: Board) -> dict[str, Any]:
    """What the page says of a board."""
    at = board.folder.relative_to(root).as_posix()
    entries = board.entries
    days = sorted(e.started[:10] for e in entries if e.started)
    counts = Counter(str(e.evidence) for e in entries)
    seeds = sorted({len(e.result.seeds) for _, own in board.groups for e in own})
    facts = [f"{len(entries)} run{'s' * (len(entries) > 1)}"]
    facts += [f"{' or '.join(map(str, seeds))} seed{'s' * (seeds != [1])} each"] if seeds else []
    facts += [f"{len(board.pilots)} of them pilots"] if board.pilots else []
    facts += ["; ".join(f"{counts[level]} {level}" for level in EVIDENCE if counts[level])]
    facts += [days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"] if days else []
    facts += [f"differences matter from {board.rules.margin or MARGIN:g} points on"]
    links = {"page": f"{at}/index.html", "all tables": f"{at}/README.md"}
    if (board.folder.parent / "README.md").exists() and board.folder.parent != root:
        links["reading"] = f"{board.folder.parent.relative_to(root).as_posix()}/README.md"
    sets = [
        {"apart": apart, "answer": answer(c), "to": f"{at}/index.html#set-{i}"}
        for i, (apart, (c, _)) in enumerate(zip(apart_by(board.groups), board.groups, strict=True))
    ]
    return {"title": board.title, "question": board.question, "sets": sets, "facts": facts, "links": links, "kind": board.kind}


def _tally(states: Sequence[str]) -> str:
    """How many claims have which verdict."""
    counts = Counter(states)
    order = [*STATES.values(), NOT_RUN]
    parts = [f"{counts[state]} {state}" for state in order if counts[state]]
    return f"{len(states)} claims: {', '.join(parts)}." if states else ""


def _claim_row(a: Assessment, source: str, root: Path, board: Board | None) -> dict[str, Any]:
    """What the page says of a claim."""
    measured = "" if a.difference is None else points(a.difference / 100, sign=True)
    ends = "" if a.fixed is None else interval(a.fixed.low / 100, a.fixed.high / 100, sign=True)
    if a.tokens is not None:
        low, high = (100 * x for x in a.tokens)
        ends = f"{ends}; {low:.0f} to {high:.0f}% of the tokens"
    at = board.folder.relative_to(root).as_posix() if board else ""
    runs = {side: Path(run).name for side, run in a.runs.items()} if board else {}
    return {
        "name": a.claim,
        "text": a.text,
        "source": source,
        "state": NOT_RUN if a.missing else STATES[a.verdict],
        "kind": {"reproduced": "ahead", "no gain": "behind", "contradicted": "behind"}.get(a.verdict, ""),
        "expected": "" if a.expected is None or a.missing else "as expected" if a.expected == a.verdict else "not as expected",
        "claimed": a.claimed,
        "measured": measured,
        "ends": ends,
        "seeds": ", ".join(map(str, a.seeds.values())) if len(a.seeds) == 2 else "",
        "runs": [{"side": side, "text": name, "to": f"{at}/{name}/manifest.json"} for side, name in runs.items()],
        "notes": [f"{name}: {why}" for name, why in a.modifiers.items()] + ([] if a.missing else _plain(a.reasons, board)),
        "needs": list(a.needs),
        "to": f"{CLAIMS}/{a.claim}.yaml",
    }


def _plain(reasons: Sequence[str], board: Board | None) -> list[str]:
    """Reasons without the folder in which the board lies here."""
    return [reason.replace(f"{board.folder}/", "") if board else reason for reason in reasons]
