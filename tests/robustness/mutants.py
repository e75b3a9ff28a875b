"""Whether the tests would notice: small changes to the code, one at a time, under the tests of its module.

mutmut makes the changes; forks.py runs the tests on each.

python tests/robustness/mutants.py [--minutes 60] [--again] [--show] [--sample 60] [MODULE ...]

Runs what has no verdict yet, module after module, until the time is up, then prints the table of all modules. Verdicts are
kept in build/mutants; a changed function loses those of its mutants. `--again` runs the survivors anew, after new tests, and
what ran out of time; `--show` runs nothing and prints the survivors that are not explained. `--sample N` runs N mutants of
each module at most, drawn with the seed printed, and the table is of those alone; with `--after M` it leaves out the first M,
whose survivors one has written tests for. Exit code 1 where a module that is done has less than 95% killed of the
mutants that can be killed; equivalent.toml has those that cannot, with the reasons.
"""

import argparse
import ast
import difflib
import json
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "mutants"
WANTED = 0.95
SEED = 0
EXPLAINED = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())["mutants"]
"""Mutants that are the same program, or differ in what is no promise; each with the reason."""

UNIT = "tests/unit"
GRADES = [
    "grading/test_compare.py",
    "grading/test_kinds.py::test_what_a_child_does_does_the_same_in_this_process",
    "grading/test_numbers.py",
    "grading/test_reading.py",
    "grading/test_steps.py",
    "grading/test_strict.py::test_forms",
    "grading/test_parity.py::test_what_a_child_does_does_the_same_in_this_process",
]
BOARD = [f"leaderboard/test_{name}.py" for name in ("checks", "declared", "filing", "independence", "pages", "readings")]
MODULES = {  # and the tests run on its mutants, of them those that reach the changed function; of equal tests, in one go
    "training/loss.py": ["training/test_loss.py", "training/test_advantages.py"],
    "core/advantages.py": ["training/test_loss.py", "training/test_advantages.py"],
    "evaluation/estimators.py": ["evaluation/test_estimators.py", "evaluation/test_scores.py"],
    "evaluation/scores.py": ["evaluation/test_scores.py", "evaluation/test_results.py"],
    "evaluation/results.py": ["evaluation/test_results.py"],
    "runs/rundir.py": ["runs/test_rundir.py", "runs/test_crash.py", "test_security.py"],
    "stats/intervals.py": ["stats/test_intervals.py"],
    "stats/scores.py": ["stats/test_scores.py", "stats/test_comparison.py"],
    "stats/contrasts.py": ["stats/test_contrasts.py", "stats/test_comparison.py"],
    "stats/questions.py": ["stats/test_questions.py"],
    "stats/comparison.py": ["stats/test_comparison.py", "stats/test_contrasts.py", "stats/test_scores.py"],
    "stats/power.py": ["stats/test_power.py"],
    "stats/chances.py": ["stats/test_chances.py"],
    "stats/noise.py": ["stats/test_noise.py", "stats/test_plans.py"],
    "stats/plans.py": ["stats/test_plans.py"],
    "stats/scenarios.py": ["stats/test_plans.py"],
    "stats/arms.py": ["stats/test_arms.py"],
    "stats/comparable.py": ["stats/test_comparable.py"],
    "stats/budgets.py": ["stats/test_budgets.py", "stats/test_claims.py"],
    "stats/claims.py": ["stats/test_claims.py"],
    "stats/needs.py": ["stats/test_needs.py"],
    "stats/assess.py": ["stats/test_claims.py"],
    "stats/judge.py": ["stats/test_claims.py"],
    "stats/evidence.py": ["stats/test_claims.py"],
    "stats/seeds.py": ["stats/test_seeds.py"],
    "stats/verdicts.py": ["stats/test_verdicts.py"],
    "stats/looks.py": ["stats/test_looks.py"],
    "stats/multiple.py": ["stats/test_multiple.py"],
    "leaderboard/ancestry.py": BOARD,
    "leaderboard/arms.py": [*BOARD, "leaderboard/test_board.py"],
    "report/ancestry.py": BOARD,
    "leaderboard/budget.py": BOARD,
    "leaderboard/build.py": BOARD,
    "leaderboard/checks.py": BOARD,
    "leaderboard/declared.py": BOARD,
    "leaderboard/entries.py": BOARD,
    "leaderboard/evidence.py": BOARD,
    "leaderboard/front.py": ["leaderboard/test_board.py"],
    "leaderboard/figures.py": ["leaderboard/test_figures.py"],
    "leaderboard/groups.py": BOARD,
    "leaderboard/independence.py": BOARD,
    "leaderboard/page.py": BOARD,
    "leaderboard/planted.py": ["leaderboard/test_planted.py"],
    "leaderboard/pull.py": ["leaderboard/test_pull.py"],
    "leaderboard/questions.py": BOARD,
    "leaderboard/readings.py": BOARD,
    "leaderboard/reproduce.py": BOARD,
    "leaderboard/submit.py": BOARD,
    "leaderboard/verify.py": BOARD,
    "grading/answers.py": GRADES,
    "grading/compare.py": GRADES,
    "grading/equal.py": GRADES,
    "grading/equivalence.py": GRADES,
    "grading/expressions.py": GRADES,
    "grading/golds.py": GRADES,
    "grading/graders.py": GRADES,
    "grading/layout.py": GRADES,
    "grading/numeric.py": GRADES,
    "grading/parity.py": GRADES,
    "grading/pool.py": ["grading/test_pool.py", "grading/test_graders.py"],
    "grading/quantities.py": GRADES,
    "grading/reading.py": GRADES,
    "grading/regions.py": ["grading/test_regions.py"],
    "grading/split.py": GRADES,
    "grading/strict.py": GRADES,
    "grading/units.py": ["grading/test_units.py"],
}
COPIED = ["methods", "benchmarks", "leaderboards", "docs", "README.md", "CONTRIBUTING.md"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"below harness/: {', '.join(MODULES)}")
    parser.add_argument("--minutes", type=float, default=300)
    parser.add_argument("--again", action="store_true", help="run the survivors anew, and what ran out of time")
    parser.add_argument("--show", action="store_true", help="print the survivors, run nothing")
    parser.add_argument("--sample", type=int, help="mutants of each module at most, drawn at random")
    parser.add_argument("--after", type=int, default=0, help="with --sample: without the first so many of it")
    args = parser.parse_args()
    if unknown := set(args.modules) - set(MODULES):
        parser.error(f"no module {', '.join(sorted(unknown))}")
    deadline = time.monotonic() + 60 * args.minutes
    wanted = args.modules or list(MODULES)
    if args.show:
        for module in wanted:
            show(module)
    else:
        for of_equal_tests in dict.fromkeys(tuple(x for x in wanted if x in partners(module)) for module in wanted):
            run(of_equal_tests, deadline, args.again, slice(args.after, args.sample))
    return report(slice(args.after, args.sample))


def partners(module: str) -> list[str]:
    """The modules that have the tests of this one: they share a folder, and one run of the tests without any mutant."""
    return [x for x, tests in MODULES.items() if tests == MODULES[module]]


def run(modules: Sequence[str], deadline: float, again: bool, sample: slice) -> None:
    """The mutants of modules of equal tests, until they are done or the time is up."""
    folder, tests = folder_of(modules[0]), MODULES[modules[0]]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["harness", "tests", *COPIED]:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    settings = {"source_paths": ["harness"], "only_mutate": [f"harness/{x}" for x in partners(modules[0])], "also_copy": COPIED}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{project}\n[tool.mutmut]\n{''.join(lines)}")
    if time.monotonic() >= deadline:
        return
    generate(folder)
    if again:
        of_each = [[*unexplained(x), *late(x)] for x in modules]
    else:
        of_each = [[name for name, verdict in drawn(x, sample).items() if verdict == "not checked"] for x in modules]
    names = [name for row in zip_longest(*of_each) for name in row if name]  # in turn: a run that is cut short has some of each
    if not names:
        return
    print(f"{', '.join(modules)}: {len(names)}, seed {SEED} ...", flush=True)
    found = folder / "verdicts.json"
    found.unlink(missing_ok=True)
    (folder / "asked.json").write_text(json.dumps({"names": names, "verdicts": str(found), "deadline": deadline}))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    env |= {"MUTANTS": str(folder / "asked.json"), "MUTANT_UNDER_TEST": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "forks", "-p", "no:cacheprovider"]
    command += [f"{UNIT}/{x}" for x in tests]
    try:
        with (folder / "log").open("w") as log:
            done = subprocess.run(command, cwd=folder / "mutants", env=env, stdout=log, stderr=log)
    finally:
        if found.exists():
            keep(modules, json.loads(found.read_text()))
    if done.returncode:
        raise SystemExit(f"the tests of {', '.join(modules)} did not run: see {folder / 'log'}")


def keep(modules: Sequence[str], found: Mapping[str, int]) -> None:
    """Write verdicts to where mutmut has them."""
    for module in modules:
        path = meta_of(module)
        tree = json.loads(path.read_text())
        tree["exit_code_by_key"] |= {name: code for name, code in found.items() if name in tree["exit_code_by_key"]}
        path.write_text(json.dumps(tree))


def meta_of(module: str) -> Path:
    return folder_of(module) / "mutants" / "harness" / f"{module}.meta"


def folder_of(module: str) -> Path:
    """Of modules with equal tests, the first one's."""
    return WORK / partners(module)[0].removesuffix(".py").replace("/", ".")


GENERATE = (
    "import mutmut.__main__ as m; m.copy_src_dir(); m.copy_also_copy_files(); m.setup_source_paths(); m.create_mutants(1)"
)


def generate(folder: Path) -> None:
    with (folder / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", GENERATE], cwd=folder, stdout=log, stderr=log, check=True)


def drawn(module: str, sample: slice) -> dict[str, str]:
    """A module's mutants with their verdicts, or those of a sample."""
    found = verdicts(module)
    names = sorted(found)
    random.Random(SEED).shuffle(names)  # and the first of them: a larger sample holds the smaller one
    return {name: found[name] for name in names[sample]}


def survivors(module: str) -> list[str]:
    return [name for name, verdict in verdicts(module).items() if verdict in ("survived", "no tests")]


def late(module: str) -> list[str]:
    return [name for name, verdict in verdicts(module).items() if verdict == "timeout"]


def show(module: str) -> None:
    """The changed lines of every survivor that is not explained."""
    for name, (_, was, now) in unexplained(module).items():
        print(f"{name}\n    - {was}\n    + {now}")


def unexplained(module: str) -> dict[str, tuple[str, str, str]]:
    """The survivors that EXPLAINED does not have: function, line before, line after."""
    if not (alive := set(survivors(module))):
        return {}
    found = {name: changed for name, changed in changes(module).items() if name in alive}
    known = {(x["function"], x["was"], now) for x in EXPLAINED if x["module"] == module for now in x["now"]}
    return {name: changed for name, changed in found.items() if changed not in known}


def changes(module: str) -> dict[str, tuple[str, str, str]]:
    """Every mutant's function, its line as it was and as it is, of the file in which mutmut keeps all of them as functions."""
    text = (folder_of(module) / "mutants" / "harness" / module).read_text()
    nodes = [x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.FunctionDef) and "__mutmut_" in x.name]
    lines = text.splitlines()
    bodies = {x.name: [line.strip() for line in lines[x.lineno : x.end_lineno]] for x in nodes}
    out = {}
    for name in verdicts(module):
        mutant = name.rpartition(".")[2]
        function = mutant.rpartition("__mutmut_")[0]
        diff = list(difflib.ndiff(bodies[f"{function}__mutmut_orig"], bodies[mutant]))
        was, now = (" ".join(line[2:] for line in diff if line.startswith(f"{sign} ")) for sign in "-+")
        out[name] = (re.sub(r"^x_?ǁ?", "", function).replace("ǁ", "."), was, now)
    return out


def verdicts(module: str) -> dict[str, str]:
    """Every mutant with what became of it."""
    from mutmut.stats import status_by_exit_code

    path = meta_of(module)
    if not path.exists():
        return {}
    return {name: status_by_exit_code[code] for name, code in json.loads(path.read_text())["exit_code_by_key"].items()}


def report(sample: slice) -> int:
    """The table of all mutants, or of a sample of each module's; 1 where a module that is done has too many survivors.

    The share is of mutants that a test could kill and that have a verdict: those that EXPLAINED says are the same program are
    left out, and those that ran out of time, which on a busy machine says nothing of the tests.
    """
    failed = 0
    print(
        "| module | mutants | killed | share | survived | explained | no test reaches | out of time | to do |\n|---|"
        + "---:|" * 8
    )
    for module in MODULES:
        own = drawn(module, sample)
        if not (found := Counter(own.values())):
            continue
        killed, late, rest, todo = (found[x] for x in ("killed", "timeout", "no tests", "not checked"))
        same = len(set(survivors(module)) & set(own) - set(unexplained(module)))
        done = found.total() - todo - late - same
        share = killed / done if done else 0.0
        counts = [f"{share:.1%}" if done else "", done - killed - rest, same, rest, late, todo]
        print(f"| {module} | {found.total()} | {killed} | {' | '.join(map(str, counts))} |")
        failed |= done > 0 and todo == 0 and share < WANTED
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
