"""`harness report` and `harness export`: runs for people, and in the formats of others."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.complete import offer


@click.command()
@click.argument("runs", nargs=-1, required=True, type=o.PATH, metavar="RUN|STUDY...", shell_complete=offer("runs"))
@click.option("--out", type=o.PATH, help="The page.  [default: report.html in the run or folder]")
@o.as_json
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write one page about runs or a folder of runs."""
    from harness.leaderboard.page import write_page

    path = write_page(runs, out)
    if as_json:
        o.echo_json({"page": str(path)})
    else:
        o.say(f"written: {path}")


@click.command()
@click.argument("form", type=click.Choice(["hf-eval-results", "model-card"]), metavar="hf-eval-results|model-card")
@click.argument("run", type=o.PATH)
@click.option("--out", type=o.PATH, help="File to write.  [default: standard output]")
@click.option("--url", help="Address of the page with the intervals and samples.")
@click.option("--dataset", "datasets", multiple=True, metavar="SUITE=ID[:TASK]", help="Hub dataset of a suite; repeatable.")
def export(form: str, run: Path, out: Path | None, url: str | None, datasets: tuple[str, ...]) -> None:
    """Write a run's scores in the hub's formats."""
    from harness.report.export import export as exported
    from harness.runs.files import write_text

    text = exported(form, run, url, datasets)
    if out is None:
        o.say(text, nl=False)
        return
    write_text(out, text)
    o.say(f"written: {out}")
