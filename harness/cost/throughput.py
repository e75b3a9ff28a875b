"""`--throughput`: a kind of GPU, a finished run, or numbers of one's own in the place of the assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.config import RunSpec
from harness.core.errors import UsageError, nearest
from harness.core.ledger import Ledger
from harness.core.method import Search
from harness.cost.assumptions import CPU, GPUS, Assumptions, assumptions, check
from harness.cost.estimate import SILENT, cost_of, work_of_ledger, writer_of
from harness.runs.result import is_finished, load_result
from harness.search.prompt_search import EvolveConfig


def given(spec: RunSpec, words: Sequence[str]) -> Assumptions:
    """The assumptions of a run under all `--throughput` words, the later ones stronger. Raises UsageError for what is neither
    a GPU, nor a finished run of the same model, nor NAME=VALUE,..., and as `check`."""
    gpu: str | None = None
    values: dict[str, float] = {}
    runs: list[Path] = []
    for word in words:
        if "=" in word and not Path(word).exists():
            values |= _values(word)
        elif word.upper() in (*GPUS, CPU):
            gpu = word.upper()
        elif is_finished(Path(word)):
            runs.append(Path(word))
        elif Path(word).exists():
            raise UsageError(f"--throughput: {word} holds no finished run")
        else:
            raise UsageError(f"--throughput: {word!r} is no run and no GPU{nearest(word.upper(), [*GPUS, CPU])}; or NAME=VALUE")
    if gpu == CPU and spec.backend.name == "openrlhf":
        raise UsageError("--throughput CPU: backend openrlhf trains on GPUs")
    found = assumptions(spec, gpu, values.get("parameters"))
    for run in runs:
        found = measured(spec, run, found)
    return found.changed(values, "--throughput")


def _values(word: str) -> dict[str, float]:
    out: dict[str, float] = {}
    for item in word.split(","):
        name, equals, text = (part.strip() for part in item.partition("="))
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"--throughput takes NAME=VALUE,..., e.g. sample=43000,train=63000, not {item!r}") from None
        check(name, value)
        out[name] = value
    return out


def measured(spec: RunSpec, run: Path, a: Assumptions) -> Assumptions:
    """The lengths that a finished run saw, and all speeds by the factor that makes the time of its training what it was.

    Raises UsageError for a run of another model, or one that trained nothing or timed nothing.
    """
    result = load_result(run)
    if result.is_evaluation or not result.ledger.rollouts or not result.ledger.wall_seconds:
        raise UsageError(f"--throughput: {run} trained nothing from which a speed could be taken")
    if result.model != spec.model.id:
        raise UsageError(f"--throughput: {run} trained {result.model}, not {spec.model.id}")
    theirs = RunSpec.model_validate(result.spec)
    total, where = result.ledger, f"measured by {run.name}"
    answer = total.generated_tokens / total.rollouts
    values = {"answer": answer, "searched": answer}
    if total.reflection_calls and writer_of(theirs) not in (None, *SILENT):
        values["read"] = total.reflection_prompt_tokens / total.reflection_calls
        values["written"] = max(1.0, total.reflection_tokens / total.reflection_calls)
    a = a.changed(values, where)
    if a.lacking:
        raise UsageError(f"--throughput: a run tells nothing of {spec.model.id} without {', '.join(a.lacking)}=VALUE")
    factor = ratio(theirs, list(result.ledgers.values()), a)
    speeds = {name: float(f"{a[name] * factor:.3g}") for name in ("sample", "stream", "train")}
    return a.changed({**speeds, "batch": a["batch"] / factor}, where)


def ratio(spec: RunSpec, ledgers: Sequence[Ledger], a: Assumptions) -> float:
    """The time that the training of these seeds is estimated at, by the time it took."""
    search = search_of(spec)
    planned = 0.0
    for ledger in ledgers:
        hours = cost_of(
            spec, work_of_ledger(spec, ledger, search), a.changed({"start": 0}, "not in the ledger's seconds")
        ).hours
        planned += 3600 * sum(hours.values())
    return planned / sum(ledger.wall_seconds for ledger in ledgers)


def search_of(spec: RunSpec) -> Search | None:
    """A search of a method that has settings for one, at its largest."""
    if "evolve" not in spec.method_config:
        return None
    c = EvolveConfig(**spec.method_config["evolve"])
    return Search(c.budget(c.dev_size), c.dev_size, c.minibatch, c.width)
