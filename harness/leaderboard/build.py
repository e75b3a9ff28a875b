"""Building the tables and page of a board from its filed runs, and checking that what is published follows from them.

What is built is a pure function of the runs: the same bytes for the same runs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from harness.core.errors import UNREADABLE, HarnessError, reason
from harness.core.text import visible
from harness.leaderboard.arms import Links
from harness.leaderboard.declared import check_declared
from harness.leaderboard.entries import boards, load_filed, second_runs
from harness.leaderboard.evidence import levels
from harness.leaderboard.front import CLAIMS, FRONT, Board, assessed, front_page
from harness.leaderboard.groups import ComparableRuns, group, titles
from harness.leaderboard.page import page, per_suite, pilots_table, runs_table
from harness.leaderboard.readings import check_readings, render_readings
from harness.leaderboard.verify import Verified, verify_run
from harness.report import plots
from harness.report.comparison import tables, to_latex
from harness.report.pages import every_seed
from harness.report.sentences import comparison_sentences, main_measure, markdown_lines
from harness.report.spreadsheet import to_csv
from harness.report.tables import Table, markdown_cell
from harness.runs.filed import (
    REPRODUCTIONS,
    RULES,
    BoardIndex,
    Manifest,
    Rules,
    check_files,
    read_index,
    read_manifest,
    read_rules,
)
from harness.runs.files import write_text
from harness.runs.formats import tree
from harness.runs.packing import read_bytes
from harness.stats.comparable import of_policy
from harness.stats.verdicts import MARGIN

UNSEEN = (
    "No check can see that a model wrote the samples: whoever makes up completions and has them graded passes, and so do "
    "settings that are not those of the run. A run that was reproduced or retrained rests on more, as far as its second run "
    "goes (docs/boards.md)."
)


def build(root: Path) -> list[Path]:
    """Write the tables and the page of every board below `root`, the readings beside them, and the front page over all;
    returns the boards' folders. Raises as `read_board` and `render_readings` do."""
    found = {folder: read_board(folder, runs) for folder, runs in boards(root).items()}
    for folder, board in found.items():
        built = _files(board)
        for stale in set(_built(folder)) - set(built):
            (folder / stale).unlink()
        for name, text in built.items():
            write_text(folder / name, text)
    for above, own in _beside(root, found).items():
        for name, text in render_readings(above, own).items():
            write_text(above / name, text)
    if _is_root(root, found):
        write_text(root / FRONT, front_page(root, list(found.values())))
    return list(found)


def _is_root(root: Path, folders: Iterable[Path]) -> bool:
    """Whether `root` is what all boards lie in, and no board itself: a front page stands there."""
    return root not in folders


def _beside(root: Path, folders: Iterable[Path]) -> dict[Path, list[Path]]:
    """Boards by the folder of their training set, where that lies below `root`."""
    return {
        above: [f for f in folders if f.parent == above] for above in {f.parent: 0 for f in folders if f.parent != root.parent}
    }


def _built(folder: Path) -> list[str]:
    """The files of a board, its runs and its rules apart."""
    return sorted(p.name for p in folder.iterdir() if not p.is_dir() and p.name != RULES)


def read_board(folder: Path, runs: Sequence[Path]) -> Board:
    """A board with its runs compared. Raises HarnessError, naming run and field, if a filed run cannot be read or contradicts
    its settings."""
    again, rules = second_runs(folder), read_rules(folder)
    manifests = {run: read_manifest(run) for run in runs}
    for run, manifest in manifests.items():
        check_files(run, manifest)
        check_declared(run, manifest)
    _check_together(manifests)
    suites = max(len(m.suites) for m in manifests.values())
    found = levels(runs, again)
    entries = []
    for run in runs:
        level, text = found[run]
        entries.append(replace(load_filed(run, per_suite(len(runs), suites)), evidence=level, again=text))
    whole = [e for e in entries if len(e.result.seeds) >= rules.least_seeds]
    few = [e for e in entries if len(e.result.seeds) < rules.least_seeds]
    with _readable(folder):
        groups = group(whole, rules.margin or MARGIN)
        index = BoardIndex(matplotlib=version("matplotlib"), manifests=_hashes(runs), reproductions=_hashes(again))
        return Board(folder=folder, rules=rules, groups=groups, pilots=few, claims=assessed(folder), index=index)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as e:
        raise HarnessError(
            f"{folder} cannot be built, `harness leaderboard verify` says which run is wrong: {reason(e)}"
        ) from None


def _files(board: Board) -> dict[str, str]:
    """The files of a board by name: README.md, index.html, index.json, and scores*.csv, .tex and .svg for each set of runs
    that can be compared. Raises HarnessError."""
    groups, margin = board.groups, margin_line(board.rules)
    with _readable(board.folder):
        pilots = pilots_table(board.pilots, board.rules.least_seeds) if board.pilots else None
        links = Links(home=f"../../{FRONT}", runs=True, claims=f"../../{CLAIMS}", found=board.claims)
        notes = [margin, UNSEEN]
        out = {
            "README.md": _markdown(f"{board.training_set}, {board.model}", groups, pilots, margin),
            "index.html": page(board.title, board.kind, groups, pilots, notes, board.question, links),
        }
        for i, (comparison, _) in enumerate(groups):
            suffix = _suffix(i)
            out[f"scores{suffix}.svg"] = plots.picture(every_seed(comparison, [main_measure(comparison)]))
            out[f"scores{suffix}.csv"] = to_csv(comparison)
            out[f"scores{suffix}.tex"] = to_latex(comparison)
    return {**out, "index.json": _index(board.index)}


def _hashes(runs: Sequence[Path]) -> dict[str, str]:
    return {run.name: hashlib.sha256((run / "manifest.json").read_bytes()).hexdigest() for run in runs}


def _check_together(manifests: Mapping[Path, Manifest]) -> None:
    """The runs of a board share training set and model, and those of equal settings their training problems. Raises
    HarnessError."""
    known: dict[str, tuple[Path, str | None]] = {}
    for run, m in manifests.items():
        first = next(iter(manifests.values()))
        for key in ("training_set", "model"):
            if getattr(m, key) != getattr(first, key):
                said = f"{key} is {getattr(m, key)!r}, that of the board {getattr(first, key)!r}"
                raise HarnessError(visible(f"{run / 'manifest.json'}: {said}"))
        if m.problems_sha256 is None:
            continue
        settings = json.dumps({k: v for k, v in of_policy(m.spec, m.training_set).items() if k != "train_set"}, sort_keys=True)
        other, problems = known.setdefault(settings, (run, m.problems_sha256))
        if problems != m.problems_sha256:
            said = f"problems_sha256 is {m.problems_sha256!r}, that of {other.name} {problems!r}"
            raise HarnessError(visible(f"{run / 'manifest.json'}: {said}, of the same training set"))


def _index(index: BoardIndex) -> str:
    return json.dumps(tree(index), indent=1) + "\n"


def verify(root: Path, data_dir: Path | None = None) -> list[Verified]:
    """Recompute every published figure below `root`, then check that the built files follow from the runs.

    Readings, the pages of studies beside a board and the front page are built again too. Raises HarnessError at the first
    difference, with the file, what it says and what it should say.
    """
    out = []
    found, read = boards(root), {}
    for folder, runs in found.items():
        again = second_runs(folder)
        _check_folders(folder, runs)
        out += [verify_run(run, data_dir) for run in runs]
        for run in again:
            verify_run(run, data_dir, again=True)
        _check_index(folder, runs, again)
        read[folder] = read_board(folder, runs)
        _check_built(folder, _files(read[folder]))
    for above, own in _beside(root, found).items():
        for name, should in check_readings(above, own).items():
            if (said := read_bytes(above / name).decode(errors="replace")) != should:
                _name_difference(above / name, said, should)
    if _is_root(root, found):
        _check_front(root, front_page(root, list(read.values())))
    return out


def _check_front(root: Path, should: str) -> None:
    path = root / FRONT
    if not path.exists():
        raise HarnessError(f"{path} is missing: `harness leaderboard build` writes it")
    if (said := read_bytes(path).decode(errors="replace")) != should:
        _name_difference(path, said, should)


def _check_folders(folder: Path, runs: Sequence[Path]) -> None:
    """A board holds runs, second runs and what was built. Raises HarnessError for any other folder, or a link."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or (path.is_dir() and path not in runs and path.name != REPRODUCTIONS):
            raise HarnessError(visible(f"{path}: does not belong to this board"))


def _check_index(folder: Path, runs: Sequence[Path], again: Sequence[Path]) -> None:
    """Check the hash of every manifest in index.json; nothing else protects a date, or a second run."""
    path = folder / "index.json"
    if not path.exists():
        raise HarnessError(f"{path} is missing: `harness leaderboard build` writes it")
    index = read_index(folder)
    for said, own, within in ((index.manifests, runs, folder), (index.reproductions, again, folder / REPRODUCTIONS)):
        for name, found in _hashes(own).items():
            if said.get(name) != found:
                raise HarnessError(
                    f"{within / name / 'manifest.json'}: SHA-256 is {found}, index.json says {said.get(name)!r}; build it "
                    "after adding a run"
                )
        if gone := sorted(set(said) - {run.name for run in own}):
            raise HarnessError(visible(f"{path}: names the run {gone[0]!r}, which is not there"))


def _check_built(folder: Path, built: Mapping[str, str]) -> None:
    found = {name: read_bytes(folder / name).decode(errors="replace") for name in _built(folder)}
    index = read_index(folder)
    drawn_alike = index.matplotlib == version("matplotlib")
    for name in sorted(set(built) | set(found)):
        said, should = found.get(name), built.get(name)
        if said is None or should is None:
            raise HarnessError(f"{folder / name}: " + ("is missing" if said is None else "does not belong to this board"))
        if not drawn_alike and name == "index.json":
            should = _index(index)  # its hashes were held against the manifests
        elif not drawn_alike:  # another version draws the same numbers with other strokes
            said, should = _undrawn(said), _undrawn(should)
        if said != should:
            _name_difference(folder / name, said, should)


def _name_difference(path: Path, said: str, should: str) -> None:
    pairs = itertools.zip_longest(said.split("\n"), should.split("\n"), fillvalue="")
    line, (a, b) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = (text[max(0, at - 20) : at + 40] for text in (a, b))
    raise HarnessError(visible(f"{path}, line {line}: published {a!r}, its runs give {b!r}"))


def _undrawn(text: str) -> str:
    import re

    return re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


def _suffix(number: int) -> str:
    """The file name suffix of a board's n-th set of runs."""
    return f"-{number + 1}" if number else ""


def margin_line(rules: Rules) -> str:
    """What a board's verdicts take for the smallest difference that matters, and why."""
    why = rules.why.strip() or "The harness's own margin, since the board has no rule of its own."
    return f"The smallest difference that matters on this board is {rules.margin or MARGIN:g} points. {why}"


def _markdown(title: str, groups: Sequence[ComparableRuns], pilots: Table | None, margin: str) -> str:
    parts = [f"# {markdown_cell(title)}\n", f"{markdown_cell(margin)}\n"]
    for i, (what, (comparison, entries)) in enumerate(zip(titles(groups), groups, strict=True)):
        if len(groups) > 1:
            parts.append(f"## {markdown_cell(what)}\n")
        measure = markdown_cell(main_measure(comparison).title)
        parts.append(f"![{measure}: every seed of every arm, and the mean](scores{_suffix(i)}.svg)\n")
        parts += [f"> **Not a result.** {markdown_cell(stamp)}\n" for stamp in comparison.stamps]
        parts.append(markdown_lines(comparison_sentences(comparison)))
        parts += [t.to_markdown() for t in (runs_table(comparison, entries), *tables(comparison))]
    parts += [pilots.to_markdown()] if pilots else []
    parts.append(f"{UNSEEN}\n")
    return "\n".join(parts)
