"""Whether the world of skills resolves what it should: a table of what it must hold, measured with the harness's own runs.

    python tests/checks/skills_acceptance.py --out runs/skills-acceptance [--seeds 16] [--policy-seeds 0,1] [--set KEY=VALUE]

For every policy seed it runs GRPO (16 seeds) and the placebo (half as many; P2O whose search knows neutral phrases only, which
loses by construction), resuming what is there, and then judges: truth within 2 points of what is known; seeds that scatter by
2.4 points at most, none beyond four standard deviations; no malformed completion; the placebo found to be behind with 5 seeds;
and effects of 0, 2 and 5 points, planted in one half of GRPO's seeds and judged against the other half. Ends with 1 if anything
is missed.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.runs.result import Result, load_result
from harness.runs.samples import iter_samples, samples_path
from harness.skills.policy import PolicyConfig, ensure
from harness.skills.truth import measure
from harness.skills.world import SUITES, suite_problems, well_formed
from harness.stats import seeds
from harness.stats.questions import load_questions
from harness.stats.scores import scores_array
from harness.stats.verdicts import outcome

SD, FAR, TRUTH, MARGIN = 2.4, 4.0, 2.0, 1.0
"""Percent points, standard deviations, percent points, percent points."""
FEW = 5
"""Seeds that must find the placebo behind."""
ARMS = {"grpo": ["--method", "grpo"], "placebo": ["--method", "p2o", "--set", "skills.lift=0"]}
Row = tuple[str, str, str, bool]
"""What, as required, as found, and whether it holds."""


def ran(out: Path, arm: str, policy_seed: int, count: int, sets: list[str]) -> tuple[Result, float]:
    """The result of a cell, run or resumed if it is not there, and the seconds that it took now."""
    folder = out / f"{arm}-p{policy_seed}"
    began = time.monotonic()
    if not (folder / "result.json").exists():
        command = [sys.executable, "-c", "from harness.cli import main; main()", "run"]
        command += [*ARMS[arm], "--recipe", "skills", "--bench", "id,ood", "--out", str(folder)]
        command += ["--seeds", ",".join(map(str, range(count))), "--set", f"skills.policy_seed={policy_seed}"]
        command += [word for item in sets for word in ("--set", item)]
        command += ["--resume"] if (folder / "spec.json").exists() else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return load_result(folder), time.monotonic() - began


def truth_rows(policy_seed: int) -> Iterator[Row]:
    found = measure(ensure(PolicyConfig(seed=policy_seed), Path("unused")))
    yield (
        f"policy {policy_seed}: known - found, the worst of 92 cells",
        f"<= {TRUTH}",
        f"{100 * found.worst:.2f}",
        100 * found.worst <= TRUTH,
    )
    yield f"policy {policy_seed}: malformed, untrained", "0", f"{found.malformed:.2%}", found.malformed < 0.001


def spread_rows(name: str, result: Result) -> Iterator[Row]:
    for suite in SUITES:
        scores = 100 * scores_array(result, suite)
        sd = float(scores.std(ddof=1))
        far = max(abs(x - others.mean()) for x, others in _each(scores)) / SD
        yield f"{name} {suite}: mean, seed sd", "", f"{scores.mean():.1f}, {sd:.2f}", True
        yield f"{name} {suite}: farthest seed from the others, in sds of {SD}", f"<= {FAR:g}", f"{far:.1f}", far <= FAR
    odd = malformed(result)
    yield f"{name}: malformed completions, trained", "< 0.1%", f"{odd:.3%}", odd < 0.001


def _each(scores: NDArray[np.float64]) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Every score, and the others."""
    for i in range(len(scores)):
        yield float(scores[i]), np.delete(scores, i)


def malformed(result: Result) -> float:
    """Share of the evaluation's completions that are not a way and a symbol for every row (`well_formed`)."""
    odd = total = 0
    for suite in SUITES:
        problems = {p.id: p for p in suite_problems(suite, result.suites[suite].n)}
        for row in iter_samples(samples_path(Path(result.run), suite)):
            odd += not well_formed(problems[row.problem], row.completion)
            total += 1
    return odd / total


def out_of_distribution(result: Result) -> NDArray[np.float64]:
    """[seeds, questions, samples] of every suite, joined over questions."""
    found = load_questions(result)
    return np.concatenate([found[name].scores_S_Q for name in SUITES if name != "sk-id"], 1)


def planted_rows(name: str, result: Result, reps: int = 400) -> Iterator[Row]:
    """GRPO's seeds in two halves, all ways; in one half wrong answers become right at random, as many as the effect says."""
    scores_S_Q = out_of_distribution(result)
    rng = np.random.default_rng(0)
    count = len(scores_S_Q)
    halves = list(itertools.combinations(range(count), count // 2))
    for effect in (0.0, 2.0, 5.0):
        found = []
        for _ in range(reps):
            arm = list(halves[rng.integers(len(halves))])
            rest = [i for i in range(count) if i not in arm]
            chance = effect / 100 / (1 - scores_S_Q.mean())
            raised = scores_S_Q[arm] + (1 - scores_S_Q[arm]) * rng.binomial(4, chance, scores_S_Q[arm].shape) / 4
            e = seeds.difference(raised.mean(-1), scores_S_Q[rest].mean(-1))
            found.append(str(outcome(e, MARGIN / 100)))
        shares = {word: found.count(word) / reps for word in ("gain", "loss", "equivalent", "undecided")}
        said = ", ".join(f"{word} {share:.0%}" for word, share in shares.items() if share)
        wrong = shares["loss"] + (shares["gain"] if not effect else shares["equivalent"])
        required = "gain in 80%, wrong in 5% at most" if effect == 5 else "wrong in 5% at most"
        holds = wrong <= 0.05 and (effect < 5 or shares["gain"] >= 0.8)
        yield f"{name}: {effect:g} points planted, {count // 2} seeds against {count - count // 2}", required, said, holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--policy-seeds", default="0,1")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    args = parser.parse_args()
    began, spent = time.process_time(), 0.0
    rows: list[Row] = []
    variances = []
    for policy_seed in map(int, args.policy_seeds.split(",")):
        rows += truth_rows(policy_seed)
        results = {}
        for arm, count in (("grpo", args.seeds), ("placebo", args.seeds // 2)):
            results[arm], seconds = ran(args.out, arm, policy_seed, count, args.sets)
            spent += seconds
            rows += spread_rows(f"policy {policy_seed} {arm}", results[arm])
            variances += [(100 * scores_array(results[arm], suite)).var(ddof=1) for suite in SUITES]
        few = {arm: out_of_distribution(result)[:FEW].mean(-1) for arm, result in results.items()}
        e = seeds.difference(few["placebo"], few["grpo"])
        low, high = (100 * float(x) for x in e.interval())
        found = str(outcome(e, MARGIN / 100))
        said = f"{found}: {100 * float(e.value):+.1f}, {low:+.1f} to {high:+.1f}"
        rows.append((f"policy {policy_seed}: placebo - grpo, {FEW} seeds, out of distribution", "loss", said, found == "loss"))
        rows += planted_rows(f"policy {policy_seed}", results["grpo"])
    pooled = float(np.sqrt(np.mean(variances)))
    rows.append(("pooled seed sd of a suite, points", f"<= {SD}", f"{pooled:.2f}", pooled <= SD))
    print("| | required | found | |\n|---|---|---|---|")
    for what, required, found, holds in rows:
        print(f"| {what} | {required} | {found} | {'' if holds else 'MISSED'} |")
    print(f"\n{spent:.0f} s of runs in this call, {time.process_time() - began:.0f} CPU s of measuring")
    sys.exit(not all(holds for *_, holds in rows))


if __name__ == "__main__":
    main()
