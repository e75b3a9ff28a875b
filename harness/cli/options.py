"""What several verbs of the command line share: types and options, the `--json` line."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.complete import offer
from harness.core.text import visible

if TYPE_CHECKING:
    from harness.core.settings import EvalConfig
    from harness.data.suites import Suite
    from harness.runs.result import Result

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class Names(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Names with commas between them, as a tuple."""

    name = "a,b,c"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        return value if isinstance(value, tuple) else tuple(x.strip() for x in str(value).split(","))


class Numbers(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Whole numbers with commas between them, as a tuple."""

    name = "0,1,2"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(x) for x in str(value).split(",") if value)
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of whole numbers, e.g. 0,1,2", param, ctx)


SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of output.")
data_dir = click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl and train/*.jsonl.")


def _include(ctx: click.Context, param: click.Parameter, places: tuple[Path, ...]) -> None:
    for place in places:
        from harness.registry import include

        include(place)


include_path = click.option(
    "--include-path",
    type=PATH,
    multiple=True,
    callback=_include,
    expose_value=False,
    help="Folder with suites and training sets of your own; repeatable.",
)
limit = click.option(
    "--limit", type=click.IntRange(min=1), help='Evaluate only the first N problems of each suite; marks it "not a result".'
)
configs = click.option("--config", "configs", type=PATH, multiple=True, help="YAML file of settings; repeatable.")
sets = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=offer("settings"),
    help="Change one setting, e.g. train.lr=1e-4; repeatable.",
)
recipe = click.option(
    "--recipe",
    shell_complete=offer("recipes"),
    help="A name from `harness list recipes`, or a YAML file.  [default: skills]",
)
bench = click.option(
    "--bench",
    default="ood",
    show_default=True,
    shell_complete=offer("benches"),
    help="Suites, groups, paths of suites, or id, ood, all; comma-separated.",
)
resume = click.option("--resume", is_flag=True, help="Continue the run in --out, or the latest one with the same settings.")
go_on = click.option(
    "--continue", "go_on", is_flag=True, help="Start the run in --out, or resume it; if it is finished, only show it."
)
dry_run = click.option("--dry-run", is_flag=True, help="Print what would be done and what it would cost; write nothing.")
offline = click.option("--offline", is_flag=True, help="Download nothing; fail early if something is missing.")
out_run = click.option("--out", type=PATH, help="Run folder.  [default: a new one under runs/]")
throughput = click.option(
    "--throughput",
    multiple=True,
    metavar="NAME=VALUE,...|RUN|GPU",
    help="Reckon time by your own numbers, those of a finished run, or another GPU (A100, H100, H200, ...); repeatable.",
)
alpha = click.option("--alpha", type=SHARE, default=0.05, show_default=True, help="Significance level.")


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order of `--help`."""

    def decorate(command: F) -> F:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def say(text: str, err: bool = False, nl: bool = True) -> None:
    """Print. Whatever is printed may hold what a file, a server or a user wrote, and none of that may steer a terminal."""
    click.echo(visible(text), err=err, nl=nl)


def echo_json(value: Any) -> None:
    """The line of `--json`."""
    say(json.dumps(value))


def go_offline() -> None:
    """What `--offline` tells the libraries that would download; before they are imported."""
    os.environ.update(OFFLINE)


def say_terms(suites: Sequence[Suite], cfg: EvalConfig) -> None:
    """How the suites from outside are asked, which no page of ours says."""
    for suite in suites:
        if suite.home is not None:
            say(f"  {suite.name}, from {suite.home}: {suite.terms(cfg)}")


def show_result(result: Result, json_wanted: bool) -> None:
    """The scores of a run or an evaluation that has just finished."""
    from harness.report.comparison import print_comparison
    from harness.report.sentences import comparison_sentences, with_sentences
    from harness.stats.comparison import compare
    from harness.stats.questions import load_questions

    found = compare([result], None, questions=[load_questions(result)])
    said = comparison_sentences(found)
    if json_wanted:
        from harness.runs.formats import tree

        keys = ("run", "method", "seeds", "suites", "macro", "ledger", "not_a_result")
        echo_json(with_sentences(tree({key: getattr(result, key) for key in keys}), said))
        return
    print_comparison(found)
    say_sentences(said)
    say(f"report: {result.run}/report.html")


def say_sentences(found: Sequence[object]) -> None:
    """Each on lines of its own, none over 80 columns."""
    for sentence in found:
        say(textwrap.fill(visible(str(sentence)), 78, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
