"""`harness leaderboard`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli import options as o


@click.group()
def leaderboard() -> None:
    """Publish results that anyone can recompute."""


_board = click.argument("board", type=o.PATH, default=Path("leaderboards"), metavar="[BOARD]")


@leaderboard.command()
@click.argument("run", type=o.PATH)
@click.option("--board", type=o.PATH, default=Path("leaderboards"), show_default=True, help="Folder of the boards.")
@click.option("--data-dir", type=o.PATH, help="Folder with eval/*.jsonl, to check prompts and gold answers too.")
@click.option("--numbers-only", is_flag=True, help="File no samples: nothing can be computed again.")
@click.option("--pilot", is_flag=True, help="Accept fewer seeds than the board asks for; shown apart from all comparisons.")
@click.option(
    "--allow-not-a-result", "allow_stamped", is_flag=True, help='Accept a run marked "not a result"; the mark is kept.'
)
@o.as_json
def add(
    run: Path, board: Path, data_dir: Path | None, numbers_only: bool, pilot: bool, allow_stamped: bool, as_json: bool
) -> None:
    """File a run whose scores its samples reproduce."""
    from harness.leaderboard.submit import add as file_run

    folder, new = file_run(run, board, numbers_only=numbers_only, allow_stamped=allow_stamped, pilot=pilot, data_dir=data_dir)
    if as_json:
        o.echo_json({"folder": str(folder), "new": new})
        return
    o.say(f"filed: {folder}" if new else f"already filed: {folder}")
    if new:
        o.say(f"next: harness leaderboard build {board}")


@leaderboard.command()
@click.argument("run", type=o.PATH)
@click.option("--out", type=o.PATH, required=True, help="Folder of the submission.")
@click.option("--board", type=o.PATH, default=Path("leaderboards"), show_default=True, help="The boards it is meant for.")
@click.option("--data-dir", type=o.PATH, help="Folder with eval/*.jsonl, to check prompts and gold answers too.")
@click.option("--pilot", is_flag=True, help="Accept fewer seeds than the board asks for; shown apart from all comparisons.")
@click.option(
    "--allow-not-a-result", "allow_stamped", is_flag=True, help='Accept a run marked "not a result"; the mark is kept.'
)
@o.as_json
def submit(run: Path, out: Path, board: Path, data_dir: Path | None, pilot: bool, allow_stamped: bool, as_json: bool) -> None:
    """Make a folder for a pull request.

    It holds the run as `add` files it, and PULL_REQUEST.md with a list of what was checked. The board stays as it is.
    """
    from harness.leaderboard.pull import TEXT, submission

    folder, verified = submission(run, board, out, allow_stamped=allow_stamped, pilot=pilot, data_dir=data_dir)
    if as_json:
        o.echo_json({"folder": str(folder), "text": str(out / TEXT), "samples": verified.samples, "figures": verified.figures})
        return
    o.say(f"filed: {folder}")
    o.say(f"{verified.figures} figures recomputed from {verified.samples:,} regraded samples; what is left to do: {out / TEXT}")


@leaderboard.command()
@_board
@o.as_json
def build(board: Path, as_json: bool) -> None:
    """Write tables and page of every board under BOARD (default: leaderboards), and the front page over all."""
    from harness.leaderboard.build import build as build_boards

    folders = build_boards(board)
    if as_json:
        o.echo_json({"boards": [str(folder) for folder in folders]})
        return
    for folder in folders:
        o.say(f"built: {folder}/index.html")
    if board not in folders:
        o.say(f"built: {board}/index.html")


@leaderboard.command()
@_board
@click.option("--data-dir", type=o.PATH, help="Folder with eval/*.jsonl, to check prompts and gold answers too.")
@o.as_json
def verify(board: Path, data_dir: Path | None, as_json: bool) -> None:
    """Recompute every published figure.

    Stops with exit code 1 at the first difference.
    """
    from harness.leaderboard.build import verify as verify_boards

    found = verify_boards(board, data_dir)
    if as_json:
        o.echo_json({"runs": [vars(v) for v in found]})
        return
    for v in found:
        held = [f"prompts and gold answers of {', '.join(v.golds)} match the suites"] if v.golds else []
        held += [f"those of {', '.join(v.listed)} the published lists"] if v.listed else []
        golds = ", ".join(held) or "prompts and gold answers not checked: no data"
        faults = f", {v.faults} of which the grader failed on when filed" if v.faults else ""
        again = f"{v.figures} figures recomputed from {v.samples:,} regraded samples{faults}; {golds}"
        o.say(f"{v.run}: {again if v.samples else 'numbers only, there are no samples to recompute them from'}")
    o.say(f"{len(found)} runs verified, and the tables, pages and readings built from them")


@leaderboard.command()
@click.argument("run", type=o.PATH)
@click.option("--seeds", type=o.Numbers(), help="Which seeds, e.g. 0,2.  [default: the first]")
@click.option(
    "--share", type=float, default=1.0, show_default=True, help="Below 1: the first part of the training, or of every suite."
)
@click.option("--checkpoints", type=o.PATH, help="A run directory with the policies: evaluate these, and train nothing.")
@click.option("--out", type=o.PATH, help="Directory of the second run.")
@click.option("--data-dir", type=o.PATH, help="Folder with eval/*.jsonl and train/*.jsonl.")
@o.offline
@o.as_json
def reproduce(
    run: Path,
    seeds: tuple[int, ...] | None,
    share: float,
    checkpoints: Path | None,
    out: Path | None,
    data_dir: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Run a part of a filed run again.

    Where it comes out the same, the second run is filed beside the first, whose evidence level rises.
    """
    if offline:
        o.go_offline()
    from harness.leaderboard.reproduce import reproduce as run_again

    found = run_again(run, seeds, share, checkpoints, out, data_dir, offline, ["harness", *sys.argv[1:]])
    if as_json:
        o.echo_json({"run": str(found.run), "folder": str(found.folder), "level": found.level, "text": found.text})
        return
    o.say(f"{found.level}: {found.text}")
    o.say(f"filed: {found.folder}")
    o.say(f"next: harness leaderboard build {run.parent}")


@leaderboard.command()
@click.option("--data-dir", type=o.PATH, required=True, help="Folder with eval/*.jsonl and train/*.jsonl.")
@o.as_json
def problems(data_dir: Path, as_json: bool) -> None:
    """Write the published list of every suite whose data are there.

    A list holds a hash per problem, so that `verify` can check runs without the data.
    """
    from harness.data.published import lists
    from harness.runs.files import write_text

    paths = [write_text(path, text) for path, text in lists(data_dir).items()]
    if as_json:
        o.echo_json({"lists": [str(path) for path in paths]})
        return
    for path in paths:
        o.say(f"written: {path}")
