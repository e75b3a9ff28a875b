"""`harness suite`: suites of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options as o
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from harness.data.suites import Suite


@click.group()
def suite() -> None:
    """Write and check a suite of your own."""


@suite.command()
@click.argument("name")
@click.option("--from", "source", type=o.PATH, required=True, help="Data file: rows of id, problem and answer.")
@click.option("--out", type=o.PATH, default=Path("."), show_default=True, help="Folder to write the suite's folder into.")
@o.as_json
def new(name: str, source: Path, out: Path, as_json: bool) -> None:
    """Make a suite of a data file: its card, its lm-eval task, and the data, counted, hashed and checked.

    The exit code is 1 if a gold answer is rejected; the suite is written all the same.
    """
    from harness.data.authoring import new_suite

    _show([new_suite(name, source, out)], None, as_json, f"written: {out / name}")


@suite.command()
@click.argument("folder", type=o.PATH)
@click.option("--data-dir", type=o.PATH, help="Where the data are that do not lie beside their card.")
@o.as_json
def check(folder: Path, data_dir: Path | None, as_json: bool) -> None:
    """Check card, data and gold answers of a suite, or of a folder of suites.

    The exit code is 1 if a gold answer is rejected without a reason in its card.
    """
    from harness.data.authoring import read_folder

    _show(read_folder(folder), data_dir, as_json)


def _show(suites: list[Suite], data_dir: Path | None, as_json: bool, written: str | None = None) -> None:
    from harness.core.settings import EvalConfig
    from harness.data.authoring import to_fill_in
    from harness.grading.golds import check_golds
    from harness.grading.graders import check_answer_type
    from harness.report.checks import golds_failed, golds_lines

    for one in suites:
        check_answer_type(one.answer_type, f"suite {one.name!r}")
    found = {one.name: check_golds(one, data_dir) for one in suites}
    if as_json:
        rows: dict[str, Any] = {
            one.name: {"card": one.card(), "golds": found[one.name], "to_fill_in": to_fill_in(one)} for one in suites
        }
        o.echo_json({"suites": rows})
    else:
        for line in [written] if written else []:
            o.say(line)
        for one in suites:
            o.say(f"{one.name}: {one.size:,} problems, {one.terms(EvalConfig())}")
            o.say(f"  {one.file or 'generated'}, sha256 {one.sha256 or 'not pinned: runs are no results'}")
            if left := to_fill_in(one):
                o.say(f"  to fill in, in {one.home}/card.yaml: {', '.join(left)}")
        for line in golds_lines(found, []):
            o.say(line)
    if failed := golds_failed(found):
        raise HarnessError(failed)
