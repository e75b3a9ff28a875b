"""Evaluation: a policy on suites, run through lm-eval's own task machinery with the task files of benchmarks/.

The same files under plain lm-eval give the same scores. Imports lm-eval inside functions only.
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import MissingError
from harness.core.seeds import derive
from harness.core.settings import EvalConfig
from harness.core.types import Problem, Sampling
from harness.data.suites import Suite, benchmarks_dir
from harness.evaluation.engines import Block, Completion, Engine
from harness.evaluation.estimators import avg_at_k, mean_or_none, pass_at_k
from harness.runs.files import append_jsonl, mend, read_jsonl

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task


@dataclass
class SuiteResult:
    """Scores of one suite over n problems with k samples each.

    `avg` is avg@k in [0, 1], `pass_at` unbiased pass@1 and pass@k; `truncated` and `unparsed` are shares of the n * k
    samples, `grader_faults` counts timeouts and errors of the grader, tokens are sums. `parity_avg` is the mean under
    the parity grader and `disagreement` the share of samples that the two graders judge differently, both None where
    there is no second grader. `greedy` and `greedy_parity` are the means of a greedy pass beside the samples, where the
    card asks for one. `limit` is None for a whole suite. `samples`: a row per sample, problem by problem, with the text
    and its grades; those of the greedy pass come last and have `greedy` true.
    """

    suite: str
    n: int
    k: int
    temperature: float
    max_new_tokens: int
    limit: int | None
    seed: int
    avg: float
    pass_at: dict[int, float]
    truncated: float
    unparsed: float
    grader_faults: int
    parity_avg: float | None
    disagreement: float | None
    greedy: float | None
    greedy_parity: float | None
    prompt_tokens: int
    generated_tokens: int
    samples: list[dict[str, Any]]


def evaluate(
    suites: Sequence[Suite],
    engine: Engine,
    eval_prompt: Callable[[Problem], str],
    seed: int,
    data_dir: Path | None,
    cfg: EvalConfig | None = None,
    store: Path | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> list[SuiteResult]:
    """Run the suites, in order, as their cards say where `cfg` does not.

    `engine` gets n * k user turns (k in a row per problem), which `eval_prompt` makes of a problem, with seeds derived
    from `seed` and the suite's name. Completions are kept in the folder `store` as they come, so that the same call goes
    on after an interruption; nothing is read from there that another prompt, seed or way of sampling has made.
    `progress` gets the samples done so far and the suite. Raises MissingError without lm-eval or the data, UsageError
    when the data are not the pinned ones, and what the engine raises.
    """
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        raise MissingError("evaluation needs lm-eval: pip install 'p2o-harness[local]'") from None
    cfg = cfg or EvalConfig()
    results: list[SuiteResult] = []
    done = 0
    for suite in suites:
        (k, sampling), *more = suite.passes(cfg)
        rows: list[dict[str, Any]] = []
        for repeats, how in [(k, sampling), *more]:
            stream = derive(seed, "eval", suite.name, *(["greedy"] if rows else []))
            policy = _policy(engine, eval_prompt, stream, store and store / f"{suite.name}.jsonl")
            rows += _run(suite, policy, repeats, how, data_dir, cfg.limit, greedy=bool(rows))
            done += len(policy.prompts)
            if progress:
                progress(done, suite.name)
        results.append(
            SuiteResult(
                suite=suite.name,
                n=sum(not row["greedy"] for row in rows) // k,
                k=k,
                temperature=sampling.temperature,
                max_new_tokens=sampling.max_new_tokens,
                limit=cfg.limit,
                seed=derive(seed, "eval", suite.name),
                **sample_metrics(rows, k),
                samples=rows,
            )
        )
    return results


def _run(
    suite: Suite, policy: Any, k: int, sampling: Sampling, data_dir: Path | None, limit: int | None, greedy: bool
) -> list[dict[str, Any]]:
    """One pass over a suite: a row per sample."""
    from lm_eval import evaluate as run_tasks  # not simple_evaluate: that one reseeds random, numpy and torch

    with _quiet():
        task = _load_task(suite, data_dir)
        task.set_config("repeats", k)
        # All three at once: do_sample false would win over a temperature.
        decoding = {
            "do_sample": sampling.temperature > 0,
            "temperature": sampling.temperature,
            "max_gen_toks": sampling.max_new_tokens,
        }
        task.set_config("generation_kwargs", decoding, update=True)
        out = run_tasks(policy, {"tasks": {suite.name: task}}, limit=limit, bootstrap_iters=0, log_samples=True)
    docs = sorted(out["samples"][suite.name], key=lambda doc: doc["doc_id"])
    return _rows(suite.name, docs, k, policy, greedy)


def _load_task(suite: Suite, data_dir: Path | None) -> Task:
    from lm_eval.tasks import TaskManager

    metadata = {"data_dir": str(data_dir)} if data_dir else None
    manager = TaskManager(include_path=str(benchmarks_dir()), include_defaults=False, metadata=metadata)
    return manager.load([suite.name])["tasks"][suite.name]


def _policy(engine: Engine, eval_prompt: Callable[[Problem], str], seed: int, store: Path | None) -> Any:
    """`engine` as an lm-eval model; after a run it holds `prompts`, `completions` and `seed`."""
    from lm_eval.api.model import LM

    class Policy(LM):
        def __init__(self) -> None:
            super().__init__()
            self.seed = seed
            self.prompts: list[str] = []
            self.completions: list[Completion] = []

        def generate_until(self, requests: list[Instance]) -> list[str]:
            decoding = requests[0].args[1]
            sampling = Sampling(decoding["temperature"], decoding["max_gen_toks"])
            self.prompts = [eval_prompt(Problem(**r.doc)) for r in requests]
            self.completions = complete(engine, self.prompts, sampling, seed, store)
            return [c.text for c in self.completions]

        def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
            raise NotImplementedError("the suites generate")

        def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
            raise NotImplementedError("the suites generate")

    return Policy()


def complete(engine: Engine, prompts_N: Sequence[str], sampling: Sampling, seed: int, store: Path | None) -> list[Completion]:
    """One completion per user turn, in order; block by block, each kept in the file `store` once it is done.

    A single block has the stream of `seed`, several have one each, derived from it; turns of similar length share a
    block. The engine's `tick` counts what was kept before too.
    """
    size = engine.block_size(sampling) or len(prompts_N)
    order = list(range(len(prompts_N)))
    if size < len(prompts_N):
        order.sort(key=lambda i: len(prompts_N[i]))
    members = [order[i : i + size] for i in range(0, len(order), size)]
    blocks = [
        Block(tuple(prompts_N[i] for i in group), derive(seed, b) if len(members) > 1 else seed)
        for b, group in enumerate(members)
    ]
    keys = [sha256(repr((block, sampling)).encode()).hexdigest() for block in blocks]
    kept = {}
    if store:
        mend(store)
        kept = {row["key"]: [Completion(**c) for c in row["completions"]] for row in read_jsonl(store)}
    found = [kept.get(key) for key in keys]
    missing = [b for b, completions in enumerate(found) if completions is None]
    before, tick = len(prompts_N) - sum(len(blocks[b].prompts) for b in missing), engine.tick
    drawn = 0

    def count(done: int) -> None:
        tick(before + drawn + (done if size > 1 else 0))

    engine.tick = count
    try:
        for at, completions in engine.complete([blocks[b] for b in missing], sampling):
            b = missing[at]
            found[b] = completions
            drawn += len(completions)
            if store:
                append_jsonl(store, [{"key": keys[b], "completions": [asdict(c) for c in completions]}])
            tick(before + drawn)
    finally:
        engine.tick = tick
    out: dict[int, Completion] = {}
    for group, completions in zip(members, found, strict=True):
        out |= zip(group, completions, strict=True)  # type: ignore[arg-type]
    return [out[i] for i in range(len(prompts_N))]


def _rows(suite: str, docs: Sequence[dict[str, Any]], k: int, policy: Any, greedy: bool) -> list[dict[str, Any]]:
    """One row per sample from lm-eval's logged documents and our completions (document by document, k in a row)."""
    rows = []
    for i, doc in enumerate(docs):
        for j, grade in enumerate(doc["graded"]):
            prompt, completion = policy.prompts[i * k + j], policy.completions[i * k + j]
            assert doc["resps"][0][j] == completion.text
            rows.append(
                {
                    "suite": suite,
                    "problem": doc["doc"]["id"],
                    "index": j,
                    "greedy": greedy,
                    "prompt": prompt,
                    "completion": completion.text,
                    "answer": grade["answer"],
                    "gold": doc["doc"]["answer"],
                    "score": grade["score"],
                    "parity": grade.get("parity"),
                    "status": grade["status"],
                    "truncated": completion.truncated,
                    "prompt_tokens": completion.prompt_tokens,
                    "tokens": completion.tokens,
                    "prompt_sha256": sha256(prompt.encode()).hexdigest(),
                    "seed": policy.seed,
                }
            )
    return rows


def sample_metrics(all_rows: Sequence[dict[str, Any]], k: int) -> dict[str, Any]:
    """Every metric of a SuiteResult, from the rows of one suite and one seed: problem by problem, k in a row.

    Rows of a greedy pass beside the samples count in `greedy`, `greedy_parity` and the tokens alone.
    """
    rows, greedy = ([row for row in all_rows if row.get("greedy", False) == which] for which in (False, True))
    groups = [[row["score"] for row in rows[i : i + k]] for i in range(0, len(rows), k)]
    correct = [sum(s >= 1.0 for s in scores_K) for scores_K in groups]
    statuses = Counter(row["status"] for row in rows)
    both = [(row["score"], row["parity"]) for row in rows if row.get("parity") is not None]
    return {
        "avg": statistics.fmean(avg_at_k(scores_K) for scores_K in groups),
        "pass_at": {m: statistics.fmean(pass_at_k(k, c, m) for c in correct) for m in sorted({1, k})},
        "truncated": statistics.fmean(row["truncated"] for row in rows),
        "unparsed": statuses["unparsed"] / len(rows),
        "grader_faults": statuses["timeout"] + statuses["error"],
        "parity_avg": statistics.fmean(parity for _, parity in both) if both else None,
        "disagreement": statistics.fmean(score != parity for score, parity in both) if both else None,
        "greedy": mean_or_none(row["score"] for row in greedy),
        "greedy_parity": mean_or_none(row["parity"] for row in greedy),
        "prompt_tokens": sum(row["prompt_tokens"] for row in all_rows),
        "generated_tokens": sum(row["tokens"] for row in all_rows),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Errors only from lm-eval, and none of its progress bars: both would run through ours."""
    import lm_eval.api.task as tasks

    logger = logging.getLogger("lm_eval")
    level, bar = logger.level, tasks.tqdm
    logger.setLevel(logging.ERROR)
    tasks.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        logger.setLevel(level)
        tasks.tqdm = bar
