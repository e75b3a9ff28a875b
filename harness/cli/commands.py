"""What the verbs of the command line do, once click has read their options."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.config import RunSpec, resolve, resolve_eval
from harness.core.errors import HarnessError
from harness.runs.files import write_text
from harness.runs.formats import tree
from harness.runs.result import Result
from harness.runs.rundir import RunDir

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
REHEARSAL = {"rehearse": True, "nodes": 1, "gpus_per_node": 1, "tensor_parallel": 1}
"""The same path on one pretended GPU."""


def run_command(
    method: str,
    bench: str,
    recipe: str,
    model: str | None,
    backend: str | None,
    seeds: tuple[int, ...] | None,
    out: Path | None,
    data_dir: Path | None,
    limit: int | None,
    configs: Sequence[Path],
    sets: Sequence[str],
    match_budget: Path | None,
    resume: bool,
    dry_run: bool,
    offline: bool,
    rehearse: bool,
    as_json: bool,
) -> None:
    """`harness run`."""
    flags: dict[str, Any] = {"eval": {"bench": bench}}
    if limit is not None:
        flags["eval"]["limit"] = limit
    if model is not None:
        flags["model"] = {"id": model}
    if backend is not None:
        flags["backend"] = {"name": backend}
    if rehearse:
        flags["backend"] = {**flags.get("backend", {}), **REHEARSAL}
    if seeds is not None:
        flags["seeds"] = list(seeds)
    if match_budget is not None:
        from harness.plan import matched

        flags["train"] = matched(match_budget)
    spec = resolve(method, recipe, configs, sets, flags)
    if offline:
        os.environ.update(OFFLINE)
    from harness.run import execute, prepare

    prepared = prepare(spec, data_dir, offline)
    if dry_run:
        _show_plan(spec, prepared.plan, prepared.translation, as_json)
        return

    run = RunDir.resume(spec, out) if resume else RunDir.new(spec, out)
    result = execute(prepared, run, ["harness", *sys.argv[1:]])
    _show_result(result, as_json)


def _show_result(result: Result, as_json: bool) -> None:
    if as_json:
        keys = ("run", "method", "seeds", "suites", "macro", "ledger", "not_a_result")
        click.echo(json.dumps(tree({key: getattr(result, key) for key in keys})))
        return
    from harness.report.comparison import print_comparison
    from harness.stats.comparison import compare

    print_comparison(compare([result], None))
    click.echo(f"report: {result.run}/report.html")


def eval_command(
    model: str,
    bench: str,
    engine: str | None,
    base_url: str | None,
    train_set: str | None,
    seeds: tuple[int, ...] | None,
    out: Path | None,
    data_dir: Path | None,
    limit: int | None,
    configs: Sequence[Path],
    sets: Sequence[str],
    resume: bool,
    dry_run: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """`harness eval`."""
    if offline:
        os.environ.update(OFFLINE)
    from harness.evalrun import describe_model, execute_eval, prepare_eval

    served = {"name": "openai", "base_url": base_url} if base_url else {}
    flags: dict[str, Any] = {"eval": {"bench": bench}, "engine": {**served, **({"name": engine} if engine else {})}}
    if limit is not None:
        flags["eval"]["limit"] = limit
    if train_set is not None:
        flags["train_set"] = train_set
    if seeds is not None:
        flags["seeds"] = list(seeds)
    spec = resolve_eval(configs, sets, describe_model(model), flags)
    prepared = prepare_eval(spec, data_dir, offline)
    if dry_run:
        cost = vars(prepared.cost)
        if as_json:
            click.echo(json.dumps({"spec": spec.model_dump(mode="json"), "hash": spec.hash(), "plan": cost}))
            return
        click.echo(f"{spec.model.id}, engine {spec.engine.name}: spec {spec.hash()[:8]}")
        names = ", ".join(s.name for s in prepared.suites)
        click.echo(f"  {cost['problems']:,} problems of {names}")
        click.echo(f"  {cost['samples']:,} completions a seed, at most {cost['tokens']:,} tokens; seeds {len(spec.seeds)}")
        return
    run = RunDir.resume(spec, out) if resume else RunDir.new(spec, out)
    _show_result(execute_eval(prepared, run, ["harness", *sys.argv[1:]]), as_json)


def _show_plan(spec: RunSpec, plan: Any, translation: Sequence[str], as_json: bool) -> None:
    if as_json:
        row = {"spec": spec.model_dump(mode="json"), "hash": spec.hash(), "plan": vars(plan)}
        click.echo(json.dumps({**row, "translation": list(translation)}))
        return
    what = f"{spec.method}, recipe {spec.recipe}, model {spec.model.id}, backend {spec.backend.name}"
    click.echo(f"{what}: spec {spec.hash()[:8]}")
    for line in [*plan.lines(), *translation]:
        click.echo(f"  {line}")


def compare_command(runs: Sequence[Path], baseline: str | None, out: Path | None, form: str | None, as_json: bool) -> None:
    """`harness compare`."""
    from harness.report.comparison import print_comparison
    from harness.report.formats import render_comparison, write_comparison
    from harness.stats.comparison import compare_runs

    table = compare_runs(runs, baseline)
    if out is not None:
        out = write_comparison(list(runs), table, out, form)
    if as_json:
        click.echo(json.dumps(table.to_dict()))
    elif form is not None and out is None:
        click.echo(render_comparison(list(runs), table, form), nl=False)
    else:
        print_comparison(table)
        if out is not None:
            click.echo(f"written: {out}")


def study_plan_command(
    file: str, seeds: tuple[int, ...] | None, only: tuple[str, ...] | None, data_dir: Path | None, as_json: bool
) -> None:
    """`harness study plan`."""
    from harness.report.tables import print_to_terminal
    from harness.study import load_study, plan_table, prepare_study

    study = load_study(file)
    cells = prepare_study(study, data_dir, seeds, only)
    if as_json:
        click.echo(json.dumps({"title": study.title, "cells": [cell.to_dict() for cell in cells]}))
        return
    print_to_terminal(plan_table(study, cells).to_rich(), width=150)


def study_run_command(
    file: str,
    seeds: tuple[int, ...] | None,
    only: tuple[str, ...] | None,
    data_dir: Path | None,
    as_json: bool,
    out: Path,
    jobs: int | None,
) -> None:
    """`harness study run`; raises HarnessError where a run failed, once all others are done."""
    from harness.report.tables import print_to_terminal
    from harness.study import StudyDir, load_study, prepare_study, summary_table

    study = load_study(file)
    folder = StudyDir(out, study, prepare_study(study, data_dir, seeds, only, out), data_dir)
    failed = folder.run(jobs)
    results = folder.write_results()
    if as_json:
        click.echo(json.dumps({"study": str(out), **results}))
    elif results["summary"]:
        print_to_terminal(summary_table(results["summary"]).to_rich(), width=150)
        click.echo(f"report: {out}/study.html")
    if failed:
        raise HarnessError("; ".join(f"{name}: {why}" for name, why in failed.items()))


def power_command(
    effects: Sequence[float],
    pilots: Sequence[Path],
    seed_sds: Sequence[float],
    question_se: float | None,
    scores: str | None,
    correlation: float,
    alpha: float,
    wanted: float,
    seeds: Sequence[int],
    as_json: bool,
) -> None:
    """`harness power`."""
    from harness.report.power import power_table
    from harness.report.tables import print_to_terminal
    from harness.stats.power import answer, designs

    found = designs(pilots, seed_sds, question_se, scores, correlation)
    rows = answer(found, effects, seeds, alpha, wanted)
    if as_json:
        click.echo(json.dumps({"alpha": alpha, "power": wanted, "rows": rows}))
        return
    print_to_terminal(power_table(rows, seeds, alpha, wanted).to_rich(), width=150)


def claim_list_command(folder: Path | None, as_json: bool) -> None:
    """`harness claim list`."""
    from harness.core.text import visible
    from harness.stats.claims import load_claims

    claims = load_claims(folder)
    if as_json:
        click.echo(json.dumps([claim.model_dump(mode="json") for claim in claims.values()]))
        return
    for name, claim in claims.items():
        click.echo(visible(f"{name:<20} +{claim.effect:<5g} {' '.join(claim.text.split())}"))


def claim_check_command(
    words: Sequence[str], runs: Sequence[str], junit_file: Path | None, alpha: float, folder: Path | None, as_json: bool
) -> None:
    """`harness claim check`; raises HarnessError where a claim expects another verdict."""
    from harness.report.claims import claims_table, junit, to_dict
    from harness.report.tables import print_to_terminal
    from harness.stats.assess import check
    from harness.stats.claims import choose, load_claims

    known = load_claims(folder)
    names, more = choose(known, words)
    found = check([known[n] for n in names or known], [*map(Path, runs), *more], alpha)
    named = bool(names)
    if junit_file is not None:
        write_text(junit_file, junit(found, named))
    if as_json:
        click.echo(json.dumps(to_dict(found, named)))
    else:
        print_to_terminal(claims_table(found).to_rich(), width=150)
    wrong = [a for a in found if a.as_expected(named) is False]
    if wrong:
        raise HarnessError("; ".join(f"{a.claim} is {a.verdict}, expected {a.expected}" for a in wrong))


def fetch_command(name: str, data_dir: Path, source: str | None, revision: str | None, as_json: bool) -> None:
    """`harness fetch`."""
    from harness.data.fetch import fetch, find

    record = fetch(find(name), data_dir, source, revision)
    if as_json:
        click.echo(json.dumps(record))
        return
    click.echo(f"{data_dir / record['file']}: {record['rows']:,} of {record['of']:,} rows, revision {record['revision']}")
    click.echo(f"sha256 {record['sha256']}")


def contamination_command(train_sets: Sequence[str], bench: str, data_dir: Path | None, as_json: bool) -> None:
    """`harness check contamination`."""
    from harness.core.settings import TestbedConfig
    from harness.data import contamination
    from harness.data.suites import list_training_sets, load_training_set, resolve_bench
    from harness.report.checks import contamination_table
    from harness.report.tables import print_to_terminal

    chosen = [load_training_set(name) for name in dict.fromkeys(train_sets)] or list_training_sets()
    benches = [resolve_bench(bench, training_set) for training_set in chosen]
    rows, notes = [], [contamination.METHOD]
    for training_set, suites in zip(chosen, benches, strict=True):
        problems = training_set.whole(TestbedConfig(), data_dir)
        found = contamination.find(problems, {suite.name: suite.problems(data_dir) for suite in suites})
        rows += [contamination.summary(training_set, suite, found[suite.name]) for suite in suites]
        notes += [note] if (note := training_set.deviation(data_dir)) else []
    if as_json:
        click.echo(json.dumps({"method": contamination.METHOD, "pairs": rows}))
        return
    print_to_terminal(contamination_table(rows, notes).to_rich())


def regrade_command(run: Path, as_json: bool) -> None:
    """`harness regrade`."""
    from harness.evaluation.regrade import regrade
    from harness.report.checks import regrade_table
    from harness.report.tables import print_to_terminal

    found = regrade(run)
    if as_json:
        click.echo(json.dumps({"run": str(run), **tree(found)}))
        return
    print_to_terminal(regrade_table(found).to_rich(), width=160)
    click.echo(f"written: {run / 'regrade.json'}")


def board_add_command(run: Path, board: Path, evidence: str, allow_stamped: bool, as_json: bool) -> None:
    """`harness leaderboard add`."""
    from harness.leaderboard.submit import add

    folder, new = add(run, board, evidence, allow_stamped)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "new": new}))
        return
    click.echo(f"filed: {folder}" if new else f"already filed: {folder}")
    if new:
        click.echo(f"next: harness leaderboard build {board}")


def board_build_command(board: Path, as_json: bool) -> None:
    """`harness leaderboard build`."""
    from harness.leaderboard.build import build

    folders = build(board)
    if as_json:
        click.echo(json.dumps({"boards": [str(folder) for folder in folders]}))
        return
    for folder in folders:
        click.echo(f"built: {folder}/index.html")


def board_verify_command(board: Path, data_dir: Path | None, as_json: bool) -> None:
    """`harness leaderboard verify`; raises HarnessError at the first difference."""
    from harness.core.text import visible
    from harness.leaderboard.build import verify

    found = verify(board, data_dir)
    if as_json:
        click.echo(json.dumps({"runs": [vars(v) for v in found]}))
        return
    for v in found:
        golds = f"golds of {', '.join(v.golds)} are the suites' own" if v.golds else "golds not held against data"
        faults = f", {v.faults} with a failure of the grader when filed" if v.faults else ""
        again = f"{v.figures} figures from {v.samples:,} samples graded again{faults}; {golds}"
        click.echo(visible(f"{v.run}: {again if v.samples else 'numbers alone, there is nothing to compute them from'}"))
    click.echo(f"{len(found)} runs verified, and the tables and pages built from them")


def report_command(runs: Sequence[Path], out: Path | None, as_json: bool) -> None:
    """`harness report`."""
    from harness.leaderboard.page import write_page

    path = write_page(runs, out)
    click.echo(json.dumps({"page": str(path)}) if as_json else f"written: {path}")


def export_command(form: str, run: Path, out: Path | None, url: str | None, datasets: Sequence[str]) -> None:
    """`harness export`."""
    from harness.report.export import export

    text = export(form, run, url, datasets)
    if out is None:
        click.echo(text, nl=False)
        return
    write_text(out, text)
    click.echo(f"written: {out}")


def check_golds_command(bench: str | None, data_dir: Path | None, as_json: bool) -> None:
    """`harness check golds`; raises HarnessError for a rejection that no card explains."""
    from harness.data.suites import list_suites, resolve_bench
    from harness.grading.golds import at_hand, check_golds
    from harness.report.checks import golds_lines

    suites = list_suites()
    chosen = resolve_bench(bench, None) if bench else at_hand(suites, data_dir)
    found = {suite.name: check_golds(suite, data_dir) for suite in chosen}
    left_out = [] if bench else [suite.name for suite in suites if suite.name not in found]
    if as_json:
        click.echo(json.dumps({"suites": found, "left_out": left_out}))
    else:
        for line in golds_lines(found, left_out):
            click.echo(line)
    unexplained = sum(not row["reason"] for s in found.values() for row in s["rejected"])
    if unexplained:
        raise HarnessError(f"{unexplained} gold answers are rejected by their own grader and not listed in a card")
