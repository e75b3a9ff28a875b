"""The command line. Imports nothing heavy: every verb imports what it needs when it runs.

Exit codes: 0 all planned work done; 1 a run or check failed; 2 usage or settings; 3 data, model or backend missing;
130 interrupted (the run can be resumed).
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from harness.core.errors import HarnessError

PATH = click.Path(path_type=Path)
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""The disk's errors, which are the user's to mend."""
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line of standard output.")


class _Names(click.ParamType):
    name = "a,b,c"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        return value if isinstance(value, tuple) else tuple(x.strip() for x in str(value).split(","))


class _Lists(click.ParamType):
    name = "a,b,c"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        try:
            return tuple(int(x) for x in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of whole numbers, e.g. 0,1,2", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "HARNESS"})
@click.version_option(package_name="p2o-harness", prog_name="harness")
def cli() -> None:
    """A referee for RLVR methods: trains them on equal terms, evaluates in and out of distribution."""


@cli.command()
@click.option("--method", required=True, help="A name of `harness list methods`.")
@click.option("--bench", default="ood", show_default=True, help="Suites, or the roles id, ood, all; comma-separated.")
@click.option("--recipe", default="testbed", show_default=True, help="A name of `harness list recipes`.")
@click.option("--model", help="A name of `harness list models`, a Hugging Face id, or a folder.")
@click.option("--backend", type=click.Choice(["local", "openrlhf"]), help="Where it runs.  [default: the recipe's]")
@click.option("--seeds", type=_Lists(), help="Training seeds, e.g. 0,1,2.  [default: the recipe's]")
@click.option("--out", type=PATH, help="Run directory.  [default: a new one below runs/]")
@click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl and train/*.jsonl.")
@click.option("--limit", type=click.IntRange(min=1), help='Problems per suite; stamps the run "not a result".')
@click.option("--config", "configs", type=PATH, multiple=True, help="YAML on top of the recipe; repeatable.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. train.lr=1e-4; repeatable.")
@click.option("--match-budget", type=PATH, metavar="RUN", help="Stop at the tokens that RUN's seeds wrote on average.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, or the newest one of this very spec.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and what it would take; write nothing.")
@click.option("--rehearse", is_flag=True, help="With --backend openrlhf: the same path without a GPU, tiny and slow.")
@click.option("--offline", is_flag=True, help="Fetch nothing; fail early if something is missing.")
@as_json
def run(**options: Any) -> None:
    """Train a method and evaluate it."""
    from harness.cli.commands import run_command

    run_command(**options)


@cli.command(name="eval")
@click.argument("model")
@click.option("--bench", default="ood", show_default=True, help="Suites, groups, or roles; comma-separated.")
@click.option("--engine", type=click.Choice(["transformers", "vllm", "openai"]), help="Who answers.  [default: transformers]")
@click.option("--base-url", help="Of an OpenAI-compatible server that holds MODEL; implies --engine openai.")
@click.option("--train-set", help="Whose roles id and ood are meant.  [default: the run's own, else deepscaler]")
@click.option("--seeds", type=_Lists(), help="Evaluation seeds, or a run's training seeds.  [default: 0, or all of the run's]")
@click.option("--out", type=PATH, help="Directory of the result.  [default: a new one below runs/]")
@click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl.")
@click.option("--limit", type=click.IntRange(min=1), help='Problems per suite; stamps the result "not a result".')
@click.option("--config", "configs", type=PATH, multiple=True, help="YAML with settings; repeatable.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="E.g. eval.decoding.kind=greedy; repeatable.")
@click.option("--resume", is_flag=True, help="Go on with the evaluation in --out, or the newest of this very spec.")
@click.option("--dry-run", is_flag=True, help="Print what would be done; write nothing.")
@click.option("--offline", is_flag=True, help="Fetch nothing; fail early if something is missing.")
@as_json
def eval_(**options: Any) -> None:
    """Evaluate MODEL: a name, a Hugging Face id, a folder, a run directory, or what a server holds."""
    from harness.cli.commands import eval_command

    eval_command(**options)


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--baseline", help="Method or run that the others are compared with.  [default: the grpo arm]")
@click.option("--out", type=PATH, help="Also write FILE: .html (a page), .md, .csv, .tex, .json or .txt.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "json", "html"]),
    help="Of --out, or of standard output without it.  [default: by suffix; terminal]",
)
@as_json
def compare(runs: tuple[Path, ...], baseline: str | None, out: Path | None, form: str | None, as_json: bool) -> None:
    """Set runs beside each other: differences with two intervals and their tests, ties, budgets."""
    from harness.cli.commands import compare_command

    compare_command(runs, baseline, out, form, as_json)


@cli.command()
@click.option("--effect", "effects", type=float, multiple=True, required=True, help="Points to be seen; repeatable.")
@click.option("--pilot", "pilots", type=PATH, multiple=True, metavar="RUN", help="Take the spreads of these runs; repeatable.")
@click.option("--seed-sd", "seed_sds", type=float, multiple=True, help="Points between training seeds; repeatable.")
@click.option("--question-se", type=float, help="Points, of a difference, from questions.  [default: these questions only]")
@click.option("--scores", metavar="SUITE=PERCENT,...", help="Instead: expected scores, for a model of the question SE.")
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    help="With --scores: of the arms' difficulties.",
)
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True)
@click.option("--power", "wanted", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.8, show_default=True)
@click.option("--seeds", type=_Lists(), default="3,5,8", show_default=True, help="For the power at given numbers of seeds.")
@as_json
def power(**options: Any) -> None:
    """Seeds and questions needed to see an effect."""
    from harness.cli.commands import power_command

    power_command(**options)


@cli.group()
def study() -> None:
    """Many runs as one: arms x conditions x seeds, in a YAML file."""


def _study_options(command: Any) -> Any:
    options = (
        click.argument("file", metavar="FILE"),
        click.option("--seeds", type=_Lists(), help="Training seeds, e.g. 0,1,2.  [default: the study's]"),
        click.option("--only", type=_Names(), metavar="ARM,...", help="Of the study's arms."),
        click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl and train/*.jsonl."),
        as_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


@study.command(name="plan")
@_study_options
def study_plan(**options: Any) -> None:
    """Print what FILE, a name of `harness list studies` or a path, would take."""
    from harness.cli.commands import study_plan_command

    study_plan_command(**options)


@study.command(name="run")
@_study_options
@click.option("--out", type=PATH, required=True, help="Directory of the study; one that is begun is gone on with.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at once.  [default: the cores, at most 4; openrlhf 1]")
def study_run(**options: Any) -> None:
    """Run what is not done of FILE, a name of `harness list studies` or a path; the same command again goes on."""
    from harness.cli.commands import study_run_command

    study_run_command(**options)


@cli.group()
def claim() -> None:
    """Published claims, and what runs say about them."""


claims_folder = click.option("--claims", "folder", type=PATH, help="Folder of claims.  [default: the package's]")


@claim.command(name="list")
@claims_folder
@as_json
def list_claims(folder: Path | None, as_json: bool) -> None:
    """Show the claims."""
    from harness.cli.commands import claim_list_command

    claim_list_command(folder, as_json)


@claim.command(name="check")
@click.argument("words", nargs=-1, metavar="[CLAIM]...")
@click.option("--runs", multiple=True, metavar="RUN...", help="Runs, filed ones too, or folders of them.")
@click.option("--junit", type=PATH, help="Also write JUnit XML.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help=".0294 for each of two planned looks.",
)
@claims_folder
@as_json
def check_claims(
    words: tuple[str, ...], runs: tuple[str, ...], junit: Path | None, alpha: float, folder: Path | None, as_json: bool
) -> None:
    """Give each claim (all by default) its verdict; exit code 1 only where a claim expects another one."""
    from harness.cli.commands import claim_check_command

    claim_check_command(words, runs, junit, alpha, folder, as_json)


@cli.command()
@click.argument("name", metavar="NAME")
@click.option("--data-dir", type=PATH, required=True, help="Where its file goes, below train/ or eval/.")
@click.option("--source", help="Another dataset id, or a folder.  [default: its own]")
@click.option("--revision", help="Of the dataset.  [default: the pinned one, else the newest; the record says which]")
@as_json
def fetch(name: str, data_dir: Path, source: str | None, revision: str | None, as_json: bool) -> None:
    """Write the file of a training set or a suite from the hub."""
    from harness.cli.commands import fetch_command

    fetch_command(name, data_dir, source, revision, as_json)


@cli.command()
@click.argument("run", type=PATH)
@as_json
def regrade(run: Path, as_json: bool) -> None:
    """Grade the stored samples of a run again, without a model; old and new side by side."""
    from harness.cli.commands import regrade_command

    regrade_command(run, as_json)


@cli.group()
def leaderboard() -> None:
    """Published results that anyone can recompute."""


boards_folder = click.argument("board", type=PATH, default=Path("leaderboards"), metavar="[BOARD]")


@leaderboard.command()
@click.argument("run", type=PATH)
@click.option("--board", type=PATH, default=Path("leaderboards"), show_default=True, help="Folder of the boards.")
@click.option(
    "--evidence",
    type=click.Choice(["reported", "recomputed", "re-evaluated", "retrained"]),
    default="recomputed",
    show_default=True,
    help="Whose work the scores rest on; reported: numbers alone, without samples.",
)
@click.option("--allow-not-a-result", "allow_stamped", is_flag=True, help="File a run that is stamped so, with its stamp.")
@as_json
def add(run: Path, board: Path, evidence: str, allow_stamped: bool, as_json: bool) -> None:
    """File a finished run, if its scores come out of its samples again."""
    from harness.cli.commands import board_add_command

    board_add_command(run, board, evidence, allow_stamped, as_json)


@leaderboard.command()
@boards_folder
@as_json
def build(board: Path, as_json: bool) -> None:
    """Write tables and the page of every board below BOARD (default: leaderboards)."""
    from harness.cli.commands import board_build_command

    board_build_command(board, as_json)


@leaderboard.command()
@boards_folder
@click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl: gold answers are held against it.")
@as_json
def verify(board: Path, data_dir: Path | None, as_json: bool) -> None:
    """Compute every published figure again; exit code 1 at the first difference."""
    from harness.cli.commands import board_verify_command

    board_verify_command(board, data_dir, as_json)


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN|STUDY...")
@click.option("--out", type=PATH, help="The page.  [default: report.html in the run or folder]")
@as_json
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write one page about a run, or about several runs or all those below a folder."""
    from harness.cli.commands import report_command

    report_command(runs, out, as_json)


@cli.command()
@click.argument("form", type=click.Choice(["hf-eval-results", "model-card"]), metavar="hf-eval-results|model-card")
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, help="File to write.  [default: standard output]")
@click.option("--url", help="Of the page that holds the intervals and samples.")
@click.option(
    "--dataset", "datasets", multiple=True, metavar="SUITE=ID[:TASK]", help="Dataset of a suite on the hub; repeatable."
)
def export(form: str, run: Path, out: Path | None, url: str | None, datasets: tuple[str, ...]) -> None:
    """Write a run's scores in the hub's formats."""
    from harness.cli.commands import export_command

    export_command(form, run, out, url, datasets)


@cli.group()
def check() -> None:
    """Checks of the data and graders that scores rest on."""


@check.command()
@click.option("--bench", help="Suites, comma-separated.  [default: all whose data are at hand]")
@click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl.")
@as_json
def golds(bench: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Grade every gold answer against itself; exit code 1 for a rejection that no card explains."""
    from harness.cli.commands import check_golds_command

    check_golds_command(bench, data_dir, as_json)


@check.command()
@click.option("--train-set", "train_sets", multiple=True, metavar="NAME", help="Repeatable.  [default: every one]")
@click.option("--bench", default="all", show_default=True, help="Suites, or the roles id, ood, all; comma-separated.")
@click.option("--data-dir", type=PATH, help="Folder with eval/*.jsonl and train/*.jsonl.")
@as_json
def contamination(train_sets: tuple[str, ...], bench: str, data_dir: Path | None, as_json: bool) -> None:
    """Find test questions in training sets; exit code 0 whether or not there are any."""
    from harness.cli.commands import contamination_command

    contamination_command(train_sets, bench, data_dir, as_json)


@cli.command(name="list")
@click.argument("what", type=click.Choice(["methods", "benches", "models", "backends", "recipes", "studies", "runs"]))
@as_json
def list_(what: str, as_json: bool) -> None:
    """Show what there is."""
    from harness.cli.listing import LISTS

    rows = LISTS[what]()
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        name, *rest = row.values()
        texts = (", ".join(x) if isinstance(x, list) else str(x) for x in rest if x not in (None, "", []))
        click.echo(f"{name:<24} " + "  ".join(texts))


def main() -> None:
    """Entry point: turns errors into one sentence and a documented exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads cost up to tenfold on a busy machine
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except HarnessError as e:
        click.echo(f"error: {e}", err=True)
        code = e.exit_code
    except OSError as e:
        if e.errno not in UNWRITABLE:
            raise
        click.echo(
            f"error: {e.strerror}: {e.filename or 'a file being written'}; what was written before is kept, and "
            "the same command with --resume goes on from there",
            err=True,
        )
        code = 1
    except (KeyboardInterrupt, click.Abort):
        how = "" if "study" in sys.argv[1:2] else " with --resume"
        click.echo(f"interrupted; the same command{how} goes on from the last checkpoint", err=True)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
