"""What somebody wrote about a training set's boards: prose by hand, every figure from the tables beside it.

`reading.md` holds the prose and says where each figure stands; README.md is built from it. Files of studies whose runs are
not filed (`NAME.json`, as `harness study run` writes them) are shown as NAME.md. leaderboards/README.md has the syntax.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from math import isclose
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import msgspec
import numpy as np

from harness.core.errors import UNREADABLE, HarnessError, nearest, reason
from harness.core.text import visible
from harness.data.training_sets import solved_at
from harness.report.claims import claims_table
from harness.report.comparison import to_markdown
from harness.report.spreadsheet import HIGH, LOW, to_csv
from harness.report.tables import markdown_cell
from harness.runs.filed import read_rules
from harness.runs.packing import read_bytes, slug
from harness.stats import seeds
from harness.stats.comparison import Arm, Comparison
from harness.stats.contrasts import bounds
from harness.stats.intervals import PAIRED, Estimate
from harness.stats.verdicts import MARGIN, outcome

SOURCE = "reading.md"
BUILT = "README.md"
FROM = re.compile(r"\{from ([^{}]+)\}")
FIGURE = re.compile(r"\{([^{}]*)\}")
EXEMPT = re.compile(r"\{[^{}]*\}|(?<=\])\([^()\s]*\)")
"""Placeholders, and where links lead."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
"""Words with digits in them, as P2O and grpo-t1."""
ARM = "arm"
NOT_FILED = (
    "> **Self-reported.** The runs of this study are not filed: its tables follow from the study's file, and its means from "
    "the seeds' scores there, which nothing can compute again."
)
Rows = list[list[str]]
"""A table of text; the first row is its header."""


def render_readings(folder: Path, boards: Sequence[Path]) -> dict[str, str]:
    """The built files of a training set's folder, by name: README.md, and a page of every study's file. `boards` are its
    boards, which are built. Raises HarnessError, naming file and line, for a figure that is written by hand or stands
    nowhere."""
    studies = {p.stem: p for p in sorted(folder.glob("*.json"))}
    found = {name: _study(path, folder) for name, path in studies.items()}
    out = {f"{name}.md": page for name, (page, _) in found.items()}
    if taken := {SOURCE, BUILT} & out.keys():
        raise HarnessError(f"{folder / min(taken)}: is the reading's; name the study's file otherwise")
    if not (folder / SOURCE).exists():
        return out
    tables: dict[str, Rows] = {}
    for _, own in found.values():
        tables |= own
    for board in boards:
        for path in sorted(board.glob("scores*.csv")):
            tables[f"{board.name}/{path.stem}"] = _shown(read_bytes(path).decode())
    text = read_bytes(folder / SOURCE).decode(errors="replace")
    if "{from claims}" in text:
        tables["claims"] = _claims(folder)
    return {**out, BUILT: _fill(folder / SOURCE, text, tables)}


def check_readings(folder: Path, boards: Sequence[Path]) -> dict[str, str]:
    """What `render_readings` gives. Raises HarnessError as well for a file that was not built from anything."""
    built = render_readings(folder, boards)
    for path in sorted(folder.iterdir()):
        own = path in boards or path.name in built or path.name == SOURCE or path.suffix == ".json"
        if not own and not path.name.startswith("."):
            raise HarnessError(visible(f"{path}: nothing checks its figures; write {SOURCE}, from which {BUILT} is built"))
    return built


def _fill(path: Path, text: str, tables: Mapping[str, Rows]) -> str:
    """The reading with its figures."""
    out: list[str] = []
    source = ""
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if said := FROM.fullmatch(line.strip()):
                source = said[1]
                if source not in tables:
                    raise HarnessError(f"there is no table {source!r}{nearest(source, tables)}")
                continue
            _by_hand(line)
            rows = tables.get(source, [[]])
            for arm in dict.fromkeys(_column(rows, ARM)) if f"{{{ARM}}}" in line else [""]:
                out.append(FIGURE.sub(partial(_figure, rows, arm), line))
        except HarnessError as e:
            raise HarnessError(visible(f"{path}, line {number}: {e}")) from None
    head = f"<!-- Built from {SOURCE}, which is written by hand; every figure comes from the tables it names. -->"
    return "\n".join([head, "", *out])


def _by_hand(line: str) -> None:
    """Raises HarnessError for a figure that no table gave, or markup that could hide one."""
    for word in EXEMPT.sub(" ", line).split():
        if any(c.isnumeric() for c in NAME.sub("", word)):
            raise HarnessError(f"the figure {word!r} is written by hand; name the table, row and column that it stands in")
        if re.search(r"[<&{}]|!\[", word):
            raise HarnessError(f"{word!r}: a reading is prose, tables and links, without HTML or pictures")


def _figure(rows: Rows, arm: str, placeholder: re.Match[str]) -> str:
    """The cell that a placeholder names: the first cells of its row, then its column; `arm` is the arm of this line."""
    *keys, column = [part.strip() for part in placeholder[1].split(";")]
    if column == ARM and not keys:
        return markdown_cell(arm)
    keys = [arm if key == ARM else key for key in keys]
    found = [cell for row, cell in zip(rows[1:], _column(rows, column), strict=True) if row[: len(keys)] == keys]
    if not keys or len(found) != 1:
        raise HarnessError(f"{placeholder[0]} names {len(found)} rows, and must name one")
    return markdown_cell(found[0])


def _column(rows: Rows, name: str) -> list[str]:
    if name not in rows[0]:
        known = f"columns are {', '.join(rows[0])}" if rows[0] else "no {from TABLE} stands before it"
        raise HarnessError(f"there is no column {name!r}: {known}")
    return [row[rows[0].index(name)] for row in rows[1:]]


def _shown(text: str) -> Rows:
    """The rows of a comparison's CSV as prose has them: an interval in a column, solved seeds of all, multiples with ×."""
    names, *rows = csv.reader(StringIO(text))
    ends = [name.removesuffix(LOW) for name in names if name.endswith(LOW)]

    def cells(row: list[str]) -> list[str]:
        at = dict(zip(names, row, strict=True))
        between = [f"{at[name + LOW]} to {at[name + HIGH]}" if at[name + LOW] else "" for name in ends]
        if at.get("solved"):
            at["solved"] += f"/{at['seeds']}"
        if at.get("sampled tokens"):
            at["sampled tokens"] = f"×{at['sampled tokens']}"
        return [*at.values(), *between]

    return [[*names, *ends], *map(cells, rows)]


def _claims(folder: Path) -> Rows:
    """The verdicts on all claims about this training set, as `harness claim check` gives them together."""
    from harness.stats.assess import check
    from harness.stats.claims import load_claims

    table = claims_table(check([c for c in load_claims().values() if c.training_set == folder.name], [folder]))
    return [list(table.header), *map(list, table.rows)]


def _study(path: Path, folder: Path) -> tuple[str, dict[str, Rows]]:
    """The page of a study's file, and its tables by name, one a condition: verdicts are by the margin of its model's board in
    `folder`, whatever margin the file has. Raises HarnessError."""
    try:
        tree: Any = msgspec.json.decode(read_bytes(path))
        about = tree["study"]
        found = {name: Comparison.from_dict(c) for name, c in tree["results"]["comparisons"].items()}
        for name, c in found.items():
            _consistent(c)
            found[name] = _judged(c, (read_rules(folder / slug(Path(c.model).name)).margin or MARGIN) / 100)
        parts = [f"# {markdown_cell(about['title'])}\n", f"{markdown_cell(about['text'])}\n", f"{NOT_FILED}\n"]
        parts += [to_markdown(c, name or "Comparison") for name, c in found.items()]
        tables = {"/".join(filter(None, (path.stem, name))): _shown(to_csv(c)) for name, c in found.items()}
    except (*UNREADABLE, AttributeError) as e:
        raise HarnessError(visible(f"{path} is no study's file: {reason(e)}")) from None
    return "\n".join(parts), tables


def _consistent(c: Comparison) -> None:
    """Raises ValueError unless all that follows from the seeds' scores does: means, spreads, solved seeds; differences, their
    intervals on these questions, p and verdicts."""
    if not 0 < c.alpha <= 0.05:
        raise ValueError(f"alpha is {c.alpha}, and intervals are 95% or wider")
    for arm in c.arms:
        for key, s in arm.scores.items():
            values = list(s.per_seed.values())
            mean = fmean(values)
            want = {"mean": (s.mean, mean)}
            want |= {"sd": (s.sd, stdev(values))} if s.sd is not None else {}
            want |= {"solved": (s.solved.count, sum(v >= s.solved.at for v in values))} if s.solved else {}
            if x := arm.contrasts.get(key):
                want["difference"] = (x.difference, mean - fmean(c.arms[c.baseline].scores[key].per_seed.values()))
                if x.fixed:
                    e = _estimate(c, arm, key)
                    ends = bounds(e, c.alpha)
                    want |= {"low": (x.fixed.low, ends.low), "high": (x.fixed.high, ends.high), "p": (x.p or 0.0, e.p())}
                    verdict = outcome(e, c.margin, c.alpha)
                    if x.verdict != verdict:
                        raise ValueError(f"verdict of {arm.label} on {key} is {x.verdict}, its seeds give {verdict}")
            for name, (said, found) in want.items():
                if not isclose(said, found, abs_tol=1e-9):
                    raise ValueError(f"{name} of {arm.label} on {key} is {said}, its seeds give {found}")


def _estimate(c: Comparison, arm: Arm, key: str) -> Estimate:
    """The difference of an arm from the baseline, from the scores of all arms' seeds. Seeds are paired if the file says so."""
    arms = [np.array(list(other.scores[key].per_seed.values())) for other in c.arms]
    own = next(m for m in c.measures if m.key == key)
    suites = [own] if own.protocol else [m for m in c.measures if m.protocol and m.role == own.role]
    floor = seeds.resolution([(m.protocol["n"], m.protocol["k"]) for m in suites if m.protocol])
    said = c.spreads[key].split if key in c.spreads else None  # that it was declared depends on settings the file has not
    spread = seeds.spread_of(arms, floor, solved_at([c.training_set]) if said and said.declared else None)
    at = next(i for i, other in enumerate(c.arms) if other is arm)
    return seeds.difference(arms[at], arms[c.baseline], spread, paired=arm.contrasts[key].rule == PAIRED)


def _judged(c: Comparison, margin: float) -> Comparison:
    """The same with verdicts by another margin, a share."""
    arms = []
    for arm in c.arms:
        verdicts = {key: outcome(_estimate(c, arm, key), margin, c.alpha) for key, x in arm.contrasts.items() if x.fixed}
        contrasts = {k: replace(x, verdict=verdicts[k]) if k in verdicts else x for k, x in arm.contrasts.items()}
        arms.append(replace(arm, contrasts=contrasts))
    return replace(c, arms=arms, margin=margin)
