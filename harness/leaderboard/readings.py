"""What somebody wrote about a training set's boards: prose by hand, every figure from the tables beside it.

`reading.md` holds the prose and says where each figure stands; README.md is built from it. Files of studies whose runs are
not filed (`NAME.json`, as `harness study run` writes them) are shown as NAME.md. leaderboards/README.md has the syntax.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from functools import partial
from io import StringIO
from math import isclose
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import msgspec

from harness.core.errors import UNREADABLE, HarnessError, nearest, reason
from harness.core.text import visible
from harness.report.claims import claims_table
from harness.report.comparison import to_csv, to_markdown
from harness.report.tables import markdown_cell
from harness.runs.packing import read_bytes
from harness.stats.comparison import Comparison

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
    found = {name: _study(path) for name, path in studies.items()}
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
            tables[f"{board.name}/{path.stem}"] = _rows(read_bytes(path).decode())
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


def _rows(text: str) -> Rows:
    return list(csv.reader(StringIO(text)))


def _claims(folder: Path) -> Rows:
    """The verdicts on all claims about this training set, as `harness claim check` gives them together."""
    from harness.stats.assess import check
    from harness.stats.claims import load_claims

    return _rows(claims_table(check([c for c in load_claims().values() if c.training_set == folder.name], [folder])).to_csv())


def _study(path: Path) -> tuple[str, dict[str, Rows]]:
    """The page of a study's file, and its tables by name, one a condition. Raises HarnessError."""
    try:
        tree: Any = msgspec.json.decode(read_bytes(path))
        about = tree["study"]
        found = {name: Comparison.from_dict(c) for name, c in tree["results"]["comparisons"].items()}
        for c in found.values():
            _consistent(c)
        parts = [f"# {markdown_cell(about['title'])}\n", f"{markdown_cell(about['text'])}\n", f"{NOT_FILED}\n"]
        parts += [to_markdown(c, name or "Comparison") for name, c in found.items()]
        tables = {"/".join(filter(None, (path.stem, name))): _rows(to_csv(c)) for name, c in found.items()}
    except (*UNREADABLE, AttributeError) as e:
        raise HarnessError(visible(f"{path} is no study's file: {reason(e)}")) from None
    return "\n".join(parts), tables


def _consistent(c: Comparison) -> None:
    """Raises ValueError unless means, spreads, solved seeds and differences are those of the seeds' scores."""
    for arm in c.arms:
        for key, s in arm.scores.items():
            values = list(s.per_seed.values())
            mean = fmean(values)
            want = {"mean": (s.mean, mean)}
            want |= {"sd": (s.sd, stdev(values))} if s.sd is not None else {}
            want |= {"solved": (s.solved.count, sum(v >= s.solved.at for v in values))} if s.solved else {}
            if x := arm.contrasts.get(key):
                want["difference"] = (x.difference, mean - fmean(c.arms[c.baseline].scores[key].per_seed.values()))
            for name, (said, found) in want.items():
                if not isclose(said, found, abs_tol=1e-9):
                    raise ValueError(f"{name} of {arm.label} on {key} is {said}, its seeds give {found}")
