"""What a page says of one arm, on a click: its contrast in a sentence, suites, seeds, settings, and what all that rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.kinds import Kind
from harness.leaderboard.entries import Entry
from harness.report.pages import excerpt
from harness.report.sentences import averages, difference_sentence, score_sentence
from harness.report.standings import short
from harness.report.tables import Table, compact, interval, points
from harness.stats.budgets import BUDGET
from harness.stats.comparable import differing, settings_of
from harness.stats.comparison import Arm, Comparison
from harness.stats.judge import Assessment
from harness.stats.scores import Measure


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where the page of a board leads, relative to it: `claims` is the folder of the claims, `found` what was found of those
    about its runs. A page that is no board's has none."""

    home: str = ""
    """The front page."""
    runs: bool = False
    """Whether the runs lie beside it."""
    claims: str = ""
    found: Sequence[Assessment] = ()


NOWHERE = Links()
MOST_SETTINGS = 40
"""Settings that differ, of which a page shows no more."""


def arm_details(c: Comparison, entries: Sequence[Entry], i: int, links: Links = NOWHERE) -> dict[str, Any]:
    """What the template shows below the row of the arm with index `i`."""
    arm, entry = c.arms[i], entries[i]
    return {
        "sentences": [str((score_sentence if i == c.baseline else difference_sentence)(c, arm, m)) for m in averages(c)],
        "tables": [suites_table(c, arm, entry), seeds_table(c, arm), *settings_tables(c, entries, i)],
        "facts": [*_facts(c, arm, entry, links)],
    }


def suites_table(c: Comparison, arm: Arm, entry: Entry) -> Table:
    """A row per suite, those out of distribution first; intervals stand below what they are of."""
    header = ["suite", "score", *(["difference"] if arm.contrasts else []), "tokens", "cut", "unparsed"]
    rows = []
    for m in sorted((m for m in c.measures if m.protocol), key=lambda m: m.role != "ood"):
        s, x, facts = arm.scores[m.key], arm.contrasts.get(m.key), entry.result.suites[m.key]
        ends = "" if s.low is None or s.high is None else f"\n{interval(s.low, s.high)}"
        row = [f"{m.key}\n{_role(m)}", points(s.mean) + ends]
        if x:
            under = interval(x.fixed.low, x.fixed.high, sign=True) if x.fixed else x.note
            row.append(f"{points(x.difference, sign=True)}\n{under}")
        tokens = compact(facts.generated_tokens / facts.drawn(len(arm.seeds)))
        rows.append((*row, tokens, points(facts.truncated), points(facts.unparsed)))
    note = "Below scores: 95% intervals for new questions; below differences: for these questions. Tokens per sample; cut: % "
    note += "of samples at the token limit; unparsed: % without an answer to be found."
    return Table(f"Suites of {arm.label}", tuple(header), "l" + "r" * (len(header) - 1), rows, (note,))


def _role(m: Measure) -> str:
    return {"id": "ID", "ood": "OOD"}.get(m.role, m.role)


def seeds_table(c: Comparison, arm: Arm) -> Table:
    """A row per seed: its averages, then its suites."""
    measures = [*averages(c), *(m for m in c.measures if m.protocol and m not in averages(c))]
    header = ("seed", *(m.key if m.protocol else short(m) for m in measures))
    rows = [(str(seed), *(points(arm.scores[m.key].per_seed[seed]) for m in measures)) for seed in arm.seeds]
    return Table(f"Seeds of {arm.label}", header, "r" * len(header), rows)


def settings_tables(c: Comparison, entries: Sequence[Entry], i: int) -> list[Table]:
    """The settings that differ from the baseline's, where there are some."""
    if i == c.baseline:
        return []
    own, theirs = entries[i].result, entries[c.baseline].result
    kinds = (Kind.POLICY, Kind.PROTOCOL, Kind.ARM)
    keys = [key for key in differing(own.spec, theirs.spec, kinds) if key != "method"]
    mine, other = settings_of(own.spec), settings_of(theirs.spec)
    rows: list[tuple[str, ...]] = [(key, _said(mine, key), _said(other, key)) for key in keys[:MOST_SETTINGS]]
    notes = (f"{len(keys) - MOST_SETTINGS} more differ.",) if len(keys) > MOST_SETTINGS else ()
    title = f"Settings of {c.arms[i].label} that differ from the baseline's"
    return [Table(title, ("setting", c.arms[i].label, c.arms[c.baseline].label), "lll", rows, notes)] if rows else []


def _said(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "unset" if value is None else excerpt(text, 200)


def _facts(c: Comparison, arm: Arm, entry: Entry, links: Links) -> list[dict[str, Any]]:
    """Terms and what stands beside them, each a text with where it leads."""
    name, base = entry.folder.name, c.arms[c.baseline]
    home = f"{name}/manifest.json" if links.runs else ""
    code = entry.code
    commit = code.commit[:12] + (" and local changes" if code.dirty else "") if code else ""
    spent = ", ".join(f"{title} {compact(arm.budget[key])}" for key, title in BUDGET.items())
    pairs = ""
    if arm.pairs is not None:
        pairs = f"with those of {base.label}, the whole first epoch in {arm.pairs} of {len(arm.seeds)}"
    elif arm.unpaired:
        pairs = f"none with {base.label}: {arm.unpaired}"
    about = [a for a in links.found if name in (Path(run).name for run in a.runs.values())]
    claims = [(f"{a.claim}: {a.verdict}", f"{links.claims}/{a.claim}.yaml") for a in about]
    found: list[tuple[str, list[tuple[str, str]]]] = [
        ("run", [(name, home)]),
        ("not a result", [(arm.not_a_result or "", "")]),
        ("evidence", [(f"{entry.evidence or 'not filed'}{'; ' if entry.again else ''}{entry.again}", "")]),
        ("claims", claims),
        ("seeds", [(", ".join(map(str, arm.seeds)), "")]),
        ("pairs of seeds", [(pairs, "")]),
        ("a seed spent", [(spent, "")]),
        ("recipe", [(entry.result.recipe, "")]),
        ("teacher", [(entry.result.teacher or "", "")]),
        ("code", [(commit, "")]),
        ("started", [((entry.started or "")[:10], "")]),
        ("settings", [(f"{entry.result.spec_hash[:12]} (hash)", "")]),
    ]
    facts = [(term, [{"text": text, "to": to} for text, to in parts if text]) for term, parts in found]
    return [{"term": term, "parts": parts} for term, parts in facts if parts]
