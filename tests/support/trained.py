"""Runs as the project's own loop over seeds makes them, of seeds whose work is drawn by their number and trains nothing."""

from msgspec.structs import replace

from harness.core.ledger import Ledger
from harness.core.seeds import stream
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.evaluation.evaluate import SuiteResult
from harness.evaluation.results import seed_result
from harness.execution import Inputs, each_seed, result_of_seeds
from harness.runs.files import append_jsonl, write_text
from harness.runs.result import FirstRollouts
from harness.runs.rundir import RunDir
from support.results import sample
from support.settings import resolve

SUITES = [load_suite(name) for name in ("tb-id", "tb-long")]


def train(path, seeds, sets=(), stopped=()):
    """A run as the project's own loop makes it of seeds whose work is drawn by their number alone."""
    spec = resolve("grpo", sets=sets, flags={"seeds": list(seeds), "eval": {"bench": "tb-id,tb-long", "limit": 3}})
    run = RunDir.new(spec, path)

    def work(seed, tick):
        rng = stream(seed, "test")
        append_jsonl(path / "metrics.jsonl", [{"seed": seed, "kind": "epoch", "epoch": 0, "rollouts": 4, "x": rng.random()}])
        for name in ("rollouts", "templates", "answers"):
            row = {"seed": seed, "epoch": 0, "batch": 0, "template": str(rng.random()), "selected": True}
            append_jsonl(path / name / f"s{seed}.jsonl", [row])
        write_text(run.final(seed) / "model.safetensors", str(rng.random()))
        write_text(path / "openrlhf" / f"s{seed}" / "driver.log", "said")
        results = []
        for suite in SUITES:
            k = suite.passes(spec.eval)[0][0]
            rows = [
                sample(suite=suite.name, problem=f"p{q}", index=i, seed=seed, score=float(rng.random() < 0.4))
                for q in range(3)
                for i in range(k)
            ]
            results.append(
                SuiteResult(suite=suite.name, n=3, k=k, temperature=0.6, max_new_tokens=32, limit=3, seed=1, samples=rows)
            )
        run.store_samples(seed, {r.suite: r.samples for r in results})
        ledger = Ledger(rollouts=rng.randrange(100), wall_seconds=rng.random())
        found = seed_result(results, {"engine": "a"}, {"tb-id": ["p1"]}, ledger, "NaN" if seed in stopped else None)
        return replace(found, first_rollouts=FirstRollouts(batch=f"b{seed}", epoch=f"e{seed}"))

    inputs = Inputs(
        training_set=load_training_set("testbed"),
        suites=SUITES,
        flagged={"tb-id": ["p1"]},
        data_dir=None,
        offline=True,
        units=1,
    )

    def summarise(seeds):
        found = result_of_seeds(spec, inputs, path, seeds, "grpo", "testbed")
        first = {seed: own.first_rollouts for seed, own in seeds.items()}
        return replace(found, first_rollouts=first, problems_sha256="f" * 64, reference="none")

    each_seed(spec, inputs, run, ["harness", "run", *map(str, seeds)], "test", work, summarise)
    return path
