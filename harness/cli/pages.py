"""`harness report` and `harness export`: runs for people, and in the formats of others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.complete import offer
from harness.core.errors import UsageError


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
@click.argument(
    "form", type=click.Choice(["hf-eval-results", "model-card", "policy"]), metavar="hf-eval-results|model-card|policy"
)
@click.argument("run", type=o.PATH)
@click.option("--out", type=o.PATH, help="File to write, of policy the folder.  [default: standard output]")
@click.option("--url", help="Address of the page with the intervals and samples.")
@click.option("--dataset", "datasets", multiple=True, metavar="SUITE=ID[:TASK]", help="Hub dataset of a suite; repeatable.")
@click.option("--seed", type=int, help="policy: of which seed.  [default: the run's first]")
@click.option(
    "--push", "name", metavar="USER/NAME", help="policy: push it to this repository of the hub; a new one is private."
)
@click.option("--dry-run", is_flag=True, help="policy: show all files that would be pushed; push and write nothing.")
def export(
    form: str,
    run: Path,
    out: Path | None,
    url: str | None,
    datasets: tuple[str, ...],
    seed: int | None,
    name: str | None,
    dry_run: bool,
) -> None:
    """Write a run's scores in the hub's formats, or its policy as a folder for the hub.

    Nothing is pushed without --push.
    """
    if form == "policy":
        _export_policy(run, out, url, datasets, seed, name, dry_run)
        return
    for option, value in (("--seed", seed), ("--push", name), ("--dry-run", dry_run or None)):
        if value is not None:
            raise UsageError(f"{option} is for `harness export policy`")
    from harness.report.export import export as exported
    from harness.runs.files import write_text

    text = exported(form, run, url, datasets)
    if out is None:
        o.say(text, nl=False)
        return
    write_text(out, text)
    o.say(f"written: {out}")


def _export_policy(
    run: Path, out: Path | None, url: str | None, datasets: tuple[str, ...], seed: int | None, name: str | None, dry_run: bool
) -> None:
    from harness.report import hub

    if sum((out is not None, name is not None)) != 1 and not (dry_run and out is None):
        raise UsageError(
            "say what to do with the policy: --dry-run shows its files, --out DIR writes them, --push USER/NAME pushes"
        )
    if dry_run:
        if name is not None:
            hub.check_name(name)
        with tempfile.TemporaryDirectory() as folder:
            seed = hub.package(run, Path(folder), seed, url, datasets)
            files, card = hub.listing(Path(folder)), (Path(folder) / "README.md").read_text()
        where = f" would be pushed to {name}" if name else ""
        _show_files(f"the policy of seed {seed}{where}, {len(files)} files:", files)
        o.say("README.md:")
        o.say(card, nl=False)
    elif out is not None:
        _show_files(f"written: {out}", hub.write_package(run, out, seed, url, datasets))
    elif name is not None:
        o.say(f"pushed: {hub.push(run, name, seed, url, datasets)}")


def _show_files(title: str, files: list[tuple[str, int]]) -> None:
    o.say(title)
    for path, size in files:
        o.say(f"{size:>15,}  {path}")
