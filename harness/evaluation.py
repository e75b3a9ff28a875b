"""Evaluation: a policy on suites, run through lm-eval's own task machinery with the task files of benchmarks/.

The same files under plain lm-eval give the same scores. Imports lm-eval inside functions only.
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MissingError
from harness.estimators import avg_at_k, pass_at_k
from harness.seeds import derive
from harness.suites import Suite, benchmarks_dir
from harness.types import Problem, Rollout, Sampling

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

Generate = Callable[[list[str], Sampling, int], list[Rollout]]
"""(user turns, sampling, seed) -> one ungraded completion per user turn."""


@dataclass
class SuiteResult:
    """Scores of one suite over n problems with k samples each.

    `avg` is avg@k in [0, 1], `pass_at` unbiased pass@1 and pass@k; `truncated` and `unparsed` are shares of the n * k
    samples, `grader_faults` counts timeouts and errors of the grader, tokens are sums. `parity_avg` is the mean under
    the parity grader and `disagreement` the share of samples that the two graders judge differently, both None where
    there is no second grader. `limit` is None for a whole suite. `samples`: a row per sample, problem by problem, with
    the text and its grades.
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
    prompt_tokens: int
    generated_tokens: int
    samples: list[dict[str, Any]]


def evaluate(
    suites: Sequence[Suite],
    generate: Generate,
    eval_prompt: Callable[[Problem], str],
    seed: int,
    data_dir: Path | None,
    limit: int | None = None,
    k: int | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> list[SuiteResult]:
    """Run the suites, in order; `k`, `temperature` and `max_new_tokens` replace the cards' values where given.

    `generate` is called once per suite with all n * k user turns (k in a row per problem) and a seed derived from
    `seed` and the suite's name; `eval_prompt` makes the user turn of a problem. `limit`: first problems only.
    `progress` gets the samples done so far and the suite. Raises MissingError without lm-eval or the data, UsageError
    when the data are not the pinned ones.
    """
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        raise MissingError("evaluation needs lm-eval: pip install 'p2o-harness[local]'") from None
    results: list[SuiteResult] = []
    for suite in suites:
        sampling = Sampling(
            suite.temperature if temperature is None else temperature, max_new_tokens or suite.max_new_tokens
        )
        result = _evaluate(suite, generate, eval_prompt, seed, data_dir, limit, k or suite.k, sampling)
        results.append(result)
        if progress:
            progress(sum(len(r.samples) for r in results), suite.name)
    return results


def _evaluate(
    suite: Suite, generate: Generate, eval_prompt: Callable[[Problem], str], seed: int, data_dir: Path | None,
    limit: int | None, k: int, sampling: Sampling,
) -> SuiteResult:  # fmt: skip
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
        policy = _policy(generate, eval_prompt, derive(seed, "eval", suite.name))
        out = run_tasks(policy, {"tasks": {suite.name: task}}, limit=limit, bootstrap_iters=0, log_samples=True)
    docs = sorted(out["samples"][suite.name], key=lambda doc: doc["doc_id"])
    rows = _rows(suite.name, docs, k, policy.prompts, policy.rollouts, policy.seed)
    return _result(suite, k, sampling, limit, policy, rows)


def _load_task(suite: Suite, data_dir: Path | None) -> Task:
    from lm_eval.tasks import TaskManager

    metadata = {"data_dir": str(data_dir)} if data_dir else None
    manager = TaskManager(include_path=str(benchmarks_dir()), include_defaults=False, metadata=metadata)
    return manager.load([suite.name])["tasks"][suite.name]


def _policy(generate: Generate, eval_prompt: Callable[[Problem], str], seed: int) -> Any:
    """`generate` as an lm-eval model; after a run it holds `prompts`, `rollouts` and `seed`."""
    from lm_eval.api.model import LM

    class Policy(LM):
        def __init__(self) -> None:
            super().__init__()
            self.seed = seed
            self.prompts: list[str] = []
            self.rollouts: list[Rollout] = []

        def generate_until(self, requests: list[Instance]) -> list[str]:
            decoding = requests[0].args[1]
            sampling = Sampling(decoding["temperature"], decoding["max_gen_toks"])
            self.prompts = [eval_prompt(Problem(**r.doc)) for r in requests]
            self.rollouts = generate(self.prompts, sampling, seed)
            return [r.text for r in self.rollouts]

        def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
            raise NotImplementedError("the suites generate")

        def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
            raise NotImplementedError("the suites generate")

    return Policy()


def _rows(
    suite: str, docs: Sequence[dict[str, Any]], k: int, prompts: Sequence[str], rollouts: Sequence[Rollout], seed: int
) -> list[dict[str, Any]]:
    """One row per sample from lm-eval's logged documents and our rollouts (document by document, k in a row)."""
    rows = []
    for i, doc in enumerate(docs):
        for j, grade in enumerate(doc["graded"]):
            rollout = rollouts[i * k + j]
            assert doc["resps"][0][j] == rollout.text
            rows.append({
                "suite": suite, "problem": doc["doc"]["id"], "index": j, "prompt": prompts[i * k + j],
                "completion": rollout.text, "answer": grade["answer"], "gold": doc["doc"]["answer"],
                "score": grade["score"], "parity": grade.get("parity"), "status": grade["status"],
                "truncated": rollout.truncated, "prompt_tokens": rollout.prompt_tokens, "tokens": len(rollout.tokens_T),
                "prompt_sha256": sha256(prompts[i * k + j].encode()).hexdigest(), "seed": seed,
            })  # fmt: skip
    return rows


def _result(
    suite: Suite, k: int, sampling: Sampling, limit: int | None, policy: Any, rows: list[dict[str, Any]]
) -> SuiteResult:
    return SuiteResult(
        suite=suite.name, n=len(rows) // k, k=k, temperature=sampling.temperature,
        max_new_tokens=sampling.max_new_tokens, limit=limit, seed=policy.seed, **sample_metrics(rows, k), samples=rows,
    )  # fmt: skip


def sample_metrics(rows: Sequence[dict[str, Any]], k: int) -> dict[str, Any]:
    """Every metric of a SuiteResult, from the rows of one suite and one seed: problem by problem, k in a row."""
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
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "generated_tokens": sum(row["tokens"] for row in rows),
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
