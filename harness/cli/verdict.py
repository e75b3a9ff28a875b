"""`harness compare`, `harness power` and `harness claim`: what runs say, and how many it takes to say it."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o
from harness.core.errors import HarnessError
from harness.stats.verdicts import MARGIN


@click.command()
@click.argument("runs", nargs=-1, required=True, type=o.PATH, metavar="RUN...")
@click.option("--baseline", help="Method or run to compare the others with.  [default: the grpo arm]")
@click.option("--out", type=o.PATH, help="Also write a file: .html (a page), .md, .csv, .tex, .json or .txt.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "json", "html"]),
    help="Format of --out, or of the output if there is no --out.  [default: from the suffix; terminal]",
)
@click.option(
    "--allow-different",
    "allow",
    multiple=True,
    metavar="FIELD",
    help="Compare although the runs differ in this field, or section, of the refusal, e.g. identity.version; repeatable.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0),
    help="The smallest difference that matters, in points: verdicts are gain, loss, equivalent or undecided.  [default: "
    f"{MARGIN:g}, or that of the board on which all runs are filed]",
)
@click.option(
    "--looks",
    type=o.Numbers(),
    default="",
    metavar="SEEDS,...",
    help="Numbers of seeds at which you look at the results, e.g. 3,5,8: together they keep the level.  [default: once]",
)
@o.as_json
def compare(
    runs: tuple[Path, ...],
    baseline: str | None,
    out: Path | None,
    form: str | None,
    allow: tuple[str, ...],
    margin: float | None,
    looks: tuple[int, ...],
    as_json: bool,
) -> None:
    """Compare runs: scores, intervals, tests, budgets."""
    from harness.report.comparison import print_comparison
    from harness.report.formats import render_comparison, write_comparison
    from harness.stats.comparison import compare_runs

    table = compare_runs(runs, baseline, allow, margin, looks)
    if out is not None:
        out = write_comparison(list(runs), table, out, form)
    page = render_comparison(list(runs), table, form) if form is not None and out is None and not as_json else None
    if as_json:
        o.echo_json(table.to_dict())
    elif page is not None:
        o.say(page, nl=False)
    else:
        print_comparison(table)
        if out is not None:
            o.say(f"written: {out}")


@click.command()
@click.option("--effect", "effects", type=float, multiple=True, required=True, help="Effect to detect, in points; repeatable.")
@click.option("--pilot", "pilots", type=o.PATH, multiple=True, metavar="RUN", help="Use the spread of this run; repeatable.")
@click.option(
    "--seed-sd", "seed_sds", type=float, multiple=True, help="Standard deviation between seeds, in points; repeatable."
)
@click.option(
    "--question-se",
    type=float,
    help="Standard error of a difference due to the choice of questions, in points.  [default: these questions only]",
)
@click.option("--scores", metavar="SUITE=PERCENT,...", help="Estimate --question-se from these expected scores instead.")
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    help="With --scores: how far the arms agree on which questions are hard.",
)
@o.alpha
@click.option("--power", "wanted", type=o.SHARE, default=0.8, show_default=True, help="Chance of detecting the effect.")
@click.option("--seeds", type=o.Numbers(), default="3,5,8", show_default=True, help="Also show the power at these seed counts.")
@o.as_json
def power(
    effects: tuple[float, ...],
    pilots: tuple[Path, ...],
    seed_sds: tuple[float, ...],
    question_se: float | None,
    scores: str | None,
    correlation: float,
    alpha: float,
    wanted: float,
    seeds: tuple[int, ...],
    as_json: bool,
) -> None:
    """Show how many seeds and questions an effect needs."""
    from harness.report.power import power_table
    from harness.report.tables import print_to_terminal
    from harness.stats.power import answer, designs

    found = designs(pilots, seed_sds, question_se, scores, correlation)
    rows = answer(found, effects, seeds, alpha, wanted)
    if as_json:
        o.echo_json({"alpha": alpha, "power": wanted, "rows": rows})
        return
    print_to_terminal(power_table(rows, seeds, alpha, wanted).to_rich(), width=150)


@click.group()
def claim() -> None:
    """Check published claims against runs."""


_folder = click.option("--claims", "folder", type=o.PATH, help="Folder of claim files.  [default: the package's]")


@claim.command(name="list")
@_folder
@o.as_json
def list_claims(folder: Path | None, as_json: bool) -> None:
    """List the claims."""
    from harness.cli.listing import columns
    from harness.stats.claims import load_claims

    claims = load_claims(folder)
    if as_json:
        o.echo_json([claim.model_dump(mode="json") for claim in claims.values()])
        return
    rows = [(name, f"+{claim.effect:g}", " ".join(claim.text.split())) for name, claim in claims.items()]
    o.say(columns(("claim", "points", "what it says"), "lrl", rows))


@claim.command()
@click.argument("words", nargs=-1, metavar="[CLAIM]...")
@click.option("--runs", multiple=True, metavar="RUN...", help="Runs, filed runs, or folders of them.")
@click.option("--junit", type=o.PATH, help="Also write the verdicts as JUnit XML.")
@click.option(
    "--alpha", type=o.SHARE, default=0.05, show_default=True, help="Significance level, of all looks at a claim together."
)
@_folder
@o.as_json
def check(
    words: tuple[str, ...], runs: tuple[str, ...], junit: Path | None, alpha: float, folder: Path | None, as_json: bool
) -> None:
    """Give a verdict on each claim.

    All claims are checked unless some are named. The exit code is 1 only where a claim file expects another verdict.
    """
    from harness.report import claims as render
    from harness.report.tables import print_to_terminal
    from harness.runs.files import write_text
    from harness.stats import assess, claims

    known = claims.load_claims(folder)
    names, more = claims.choose(known, words)
    given = [*map(Path, runs), *more]
    found = assess.check([known[n] for n in names or known], given, alpha)
    named = bool(names)
    if junit is not None:
        write_text(junit, render.junit(found, named))
    if as_json:
        o.echo_json(render.to_dict(found, named))
    else:
        print_to_terminal(render.claims_table(found).to_rich(), width=150)
    wrong = [a for a in found if a.as_expected(named) is False]
    if wrong:
        raise HarnessError("; ".join(f"{a.claim} is {a.verdict}, expected {a.expected}" for a in wrong))
