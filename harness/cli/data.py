"""`harness list`, `harness fetch`, `harness check` and `harness regrade`: what there is, and what scores rest on."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.listing import LISTS
from harness.core.errors import HarnessError


@click.command(name="list")
@click.argument("what", type=click.Choice(list(LISTS)))
@o.include_path
@o.as_json
def list_things(what: str, as_json: bool) -> None:
    """List methods, suites, models, recipes, runs, ..."""
    listing = LISTS[what]
    rows = listing.rows()
    if as_json:
        o.echo_json(rows)
        return
    if not rows:
        o.say(f"no {what} here")
        return
    o.say_table(*listing.table(rows))


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--data-dir", type=o.PATH, required=True, help="Data folder; the file goes into its train/ or eval/.")
@click.option("--source", help="Another dataset id, or a folder.  [default: the dataset's own]")
@click.option("--revision", help="Revision of the dataset.  [default: the pinned one, else the latest]")
@o.as_json
def fetch(name: str, data_dir: Path, source: str | None, revision: str | None, as_json: bool) -> None:
    """Download the data of a training set or a suite.

    Where its card pins no hash yet, the line to pin it with is printed: runs on it are "not a result" until it stands there.
    """
    from harness.data.fetch import card_of, find, pin_lines
    from harness.data.fetch import fetch as fetched

    target = find(name)
    record = fetched(target, data_dir, source, revision)
    lines = pin_lines(target, record)
    if as_json:
        o.echo_json({**record, "card": str(card_of(target)), "pin": lines})
        return
    o.say(f"{data_dir / record['file']}: {record['rows']:,} of {record['of']:,} rows, revision {record['revision']}")
    o.say(f"sha256 {record['sha256']}{'' if lines else ', as pinned'}")
    if lines:
        o.say(f'not pinned: runs on it are "not a result" until {card_of(target)} says under {target.name}')
        for line in lines:
            o.say(f"  {line}")


@click.command()
@click.argument("run", type=o.PATH)
@o.as_json
def regrade(run: Path, as_json: bool) -> None:
    """Grade a run's stored samples again.

    Needs no model. Prints old and new scores next to each other and writes regrade.json into the run.
    """
    from harness.evaluation.regrade import regrade as regraded
    from harness.report import terminal
    from harness.report.checks import regrade_sentence, regrade_table
    from harness.report.sentences import with_sentences
    from harness.runs.formats import tree

    found = regraded(run)
    said = [regrade_sentence(found)]
    if as_json:
        o.echo_json(with_sentences({"run": str(run), **tree(found)}, said))
        return
    o.say_sentences(said)
    o.say("")
    terminal.show(regrade_table(found))
    o.say(f"written: {run / 'regrade.json'}")


@click.group()
def check() -> None:
    """Check the data and graders that scores rest on."""


@check.command()
@click.option("--bench", help="Suites, comma-separated.  [default: all whose data is there]")
@click.option("--data-dir", type=o.PATH, help="Folder with eval/*.jsonl.")
@o.include_path
@o.as_json
def golds(bench: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Grade every gold answer against itself, and name those that are no answers.

    The exit code is 1 if one is rejected, is a raw row or has unbalanced brackets, without a reason in the suite's card
    (rejected_golds). One that is read as text only is named, and no failure.
    """
    from harness.data.suites import list_suites
    from harness.data.training_sets import resolve_bench
    from harness.grading.golds import at_hand, check_golds
    from harness.report.checks import golds_failed, golds_lines

    suites = list_suites()
    chosen = resolve_bench(bench, None) if bench else at_hand(suites, data_dir)
    found = {suite.name: check_golds(suite, data_dir) for suite in chosen}
    left_out = [] if bench else [suite.name for suite in suites if suite.name not in found]
    if as_json:
        o.echo_json({"suites": found, "left_out": left_out})
    else:
        for line in golds_lines(found, left_out):
            o.say(line)
    if failed := golds_failed(found):
        raise HarnessError(failed)


@check.command()
@click.option(
    "--train-set",
    "train_sets",
    multiple=True,
    metavar="NAME",
    help="Training set; repeatable.  [default: all but those still to be fetched]",
)
@click.option(
    "--bench", default="all", show_default=True, help="Suites, groups, paths of suites, or id, ood, all; comma-separated."
)
@o.data_dir
@o.include_path
@o.as_json
def contamination(train_sets: tuple[str, ...], bench: str, data_dir: Path | None, as_json: bool) -> None:
    """Look for test questions in training sets.

    The exit code is 0 whether or not there are any.
    """
    from harness.data import contamination as overlaps
    from harness.data.training_sets import list_training_sets, load_training_set, resolve_bench
    from harness.registry import named
    from harness.report import terminal
    from harness.report.checks import contamination_table

    chosen = [load_training_set(named(name, training_set=True)) for name in dict.fromkeys(train_sets)]
    left_out = [t.name for t in list_training_sets() if not chosen and t.to_fetch(data_dir)]
    chosen = chosen or [t for t in list_training_sets() if t.name not in left_out]
    benches = [resolve_bench(bench, training_set) for training_set in chosen]
    rows, notes = [], [overlaps.METHOD]
    for training_set, suites in zip(chosen, benches, strict=True):
        problems = training_set.whole(None, data_dir)
        found = overlaps.find(problems, {suite.name: suite.problems(data_dir) for suite in suites})
        rows += [overlaps.summary(training_set, suite, found[suite.name]) for suite in suites]
        notes += [note] if (note := training_set.deviation(data_dir)) else []
    if as_json:
        o.echo_json({"method": overlaps.METHOD, "pairs": rows, "left_out": left_out})
        return
    notes += [f"Left out, still to be fetched: {', '.join(left_out)}."] if left_out else []
    terminal.show(contamination_table(rows, notes))
