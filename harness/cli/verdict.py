"""`harness compare`, `harness power` and `harness claim`: what runs say, and how many it takes to say it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.complete import offer
from harness.core.errors import HarnessError, UsageError
from harness.stats.verdicts import MARGIN


@click.command()
@click.argument("runs", nargs=-1, required=True, type=o.PATH, metavar="RUN...", shell_complete=offer("runs"))
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
@click.option(
    "--paired",
    is_flag=True,
    help="Pair seed with seed where two runs have the same seeds and each began with the same batch of rollouts.",
)
@o.full
@o.as_json
def compare(
    runs: tuple[Path, ...],
    baseline: str | None,
    out: Path | None,
    form: str | None,
    allow: tuple[str, ...],
    margin: float | None,
    looks: tuple[int, ...],
    paired: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Compare runs: scores, intervals, tests, budgets."""
    from harness.report.brief import print_comparison
    from harness.report.formats import render_comparison, to_json, write_comparison
    from harness.stats.comparison import compare_runs

    table = compare_runs(runs, baseline, allow, margin, looks, paired)
    if out is not None:
        out = write_comparison(list(runs), table, out, form)
    if as_json:
        o.echo_json(to_json(table))
    elif out is None and form is not None and form != "terminal":
        o.say(render_comparison(list(runs), table, form), nl=False)
    else:
        print_comparison(table, full)
        if out is not None:
            o.say(f"written: {out}")


@click.command()
@click.option(
    "--effect",
    "effects",
    type=float,
    multiple=True,
    help="Effect to detect, in points; with --claim, what is true; repeatable.",
)
@click.option(
    "--claim",
    "claim_file",
    metavar="CLAIM",
    shell_complete=offer("claims"),
    help="Plan for the rule of this claim: a name, or its YAML file.",
)
@click.option(
    "--solved",
    multiple=True,
    metavar="SHARE,SHARE",
    help="Shares of seeds of the baseline and the arm that solve the suites, e.g. 1/8,3/8; repeatable.",
)
@click.option(
    "--pilot",
    "pilots",
    type=o.PATH,
    multiple=True,
    metavar="RUN",
    help="Use the spread of this run; with --claim also of a folder of runs; repeatable.",
)
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
    help="With --scores or --claim: how far the arms agree on which questions are hard.",
)
@click.option(
    "--margin", type=click.FloatRange(0), help=f"The smallest difference that matters, in points.  [default: {MARGIN:g}]"
)
@o.alpha
@click.option("--power", "wanted", type=o.SHARE, default=0.8, show_default=True, help="Chance of detecting the effect.")
@click.option(
    "--seeds", type=o.Numbers(), help="Also show the power at these seed counts.  [default: 3,5,8; with --claim also 16]"
)
@o.as_json
def power(
    effects: tuple[float, ...],
    claim_file: str | None,
    solved: tuple[str, ...],
    pilots: tuple[Path, ...],
    seed_sds: tuple[float, ...],
    question_se: float | None,
    scores: str | None,
    correlation: float,
    margin: float | None,
    alpha: float,
    wanted: float,
    seeds: tuple[int, ...] | None,
    as_json: bool,
) -> None:
    """Show how many seeds and questions an effect needs, or a claim.

    Give one of --effect, --claim and --solved (--claim may have --effect, too).
    """
    from harness.report import power as render
    from harness.report import terminal
    from harness.report.sentences import Sentence, with_sentences
    from harness.stats import power as planner
    from harness.stats.plans import plan_runs

    if bool(solved) + bool(claim_file) + (bool(effects) and not claim_file) != 1:
        raise UsageError("give one of --effect POINTS, --claim CLAIM and --solved SHARE,SHARE")
    smallest = MARGIN if margin is None else margin
    said: list[Sentence] = []
    if claim_file:
        if margin is not None or seed_sds or question_se is not None:
            raise UsageError(
                "a claim has its own margin and seed_sd: --claim goes with --effect, --pilot, --scores and --seeds"
            )
        plan = plan_runs(claim_file, pilots, effects, seeds or (3, 5, 8, 16), alpha, wanted, scores, correlation)
        tables, tree = render.plan_tables(plan), asdict(plan) | {"claim": plan.claim.name}
    elif solved:
        if pilots or seed_sds or question_se is not None or scores:
            raise UsageError("--solved goes with --margin, --alpha, --power and --seeds alone")
        counts = seeds or (3, 5, 8, 16, 48)
        rows = planner.of_solved(solved, counts, alpha, wanted, smallest)
        tables, tree = [render.solved_table(rows, counts, alpha, wanted)], {"rows": rows}
    else:
        counts = seeds or (3, 5, 8)
        found = planner.designs(pilots, seed_sds, question_se, scores, correlation)
        rows = planner.answer(found, effects, counts, alpha, wanted, smallest)
        said = render.power_sentences(rows, wanted)
        tables, tree = [render.power_table(rows, counts, alpha, wanted)], {"rows": rows}
    if as_json:
        o.echo_json(with_sentences({"alpha": alpha, "power": wanted, **tree}, said))
        return
    if said:
        o.say_sentences(said)
        o.say("")
    terminal.show(*tables)


@click.group()
def claim() -> None:
    """Check published claims against runs."""


_folder = click.option("--claims", "folder", type=o.PATH, help="Folder of claim files.  [default: the package's]")


@claim.command(name="list")
@_folder
@o.as_json
def list_claims(folder: Path | None, as_json: bool) -> None:
    """List the claims."""
    from harness.stats.claims import load_claims

    claims = load_claims(folder)
    if as_json:
        o.echo_json([claim.model_dump(mode="json") for claim in claims.values()])
        return
    rows = [(name, claim.claimed, claim.budgets, " ".join(claim.text.split())) for name, claim in claims.items()]
    o.say_table(("claim", "claimed", "budget", "what it says"), "lrll", rows)


@claim.command()
@click.argument("word", metavar="CLAIM|FILE", shell_complete=offer("claims"))
@o.as_json
def show(word: str, as_json: bool) -> None:
    """Show what a claim says, and what checking it would take."""
    from harness.report.claims import claim_lines
    from harness.stats.claims import find_claim
    from harness.stats.needs import needs

    found = find_claim(word)
    if as_json:
        o.echo_json({**found.model_dump(mode="json"), "needs": needs(found)})
        return
    for line in claim_lines(found, needs(found)):
        o.say(line)


@claim.command()
@click.argument("words", nargs=-1, metavar="[CLAIM]...", shell_complete=offer("claims"))
@click.option("--runs", multiple=True, metavar="RUN...", help="Runs, filed runs, or folders of them.")
@click.option("--junit", type=o.PATH, help="Also write the verdicts as JUnit XML.")
@click.option(
    "--alpha", type=o.SHARE, default=0.05, show_default=True, help="Significance level, of all looks at a claim together."
)
@click.option("--planted", is_flag=True, help="Judge planted runs too (harness plant); their true difference is shown beside.")
@_folder
@o.full
@o.as_json
def check(
    words: tuple[str, ...],
    runs: tuple[str, ...],
    junit: Path | None,
    alpha: float,
    planted: bool,
    folder: Path | None,
    full: bool,
    as_json: bool,
) -> None:
    """Give a verdict on each claim.

    All claims are checked unless some are named. The exit code is 1 only where a claim file expects another verdict.
    """
    from harness.report import claims as render
    from harness.report import terminal
    from harness.report.sentences import claim_sentences
    from harness.runs.files import write_text
    from harness.stats import assess, claims

    known = claims.load_claims(folder)
    names, more = claims.choose(known, words)
    given = [*map(Path, runs), *more]
    found = assess.check([known[n] for n in names or known], given, alpha, planted)
    named = bool(names)
    if junit is not None:
        write_text(junit, render.junit(found, named))
    if as_json:
        o.echo_json(render.to_dict(found, named))
    else:
        o.say_sentences(claim_sentences(found))
        o.say("")
        terminal.show(render.claims_table(found) if full else render.brief_claims_table(found))
    wrong = [a for a in found if a.as_expected(named) is False]
    if wrong:
        raise HarnessError("; ".join(f"{a.claim} is {a.verdict}, expected {a.expected}" for a in wrong))
