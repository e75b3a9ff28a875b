"""Evaluation: a policy on suites, run through lm-eval's own task machinery, each as the task that its card makes.

The task files of benchmarks/ make the same tasks, and give the same scores, under plain lm-eval. Imports lm-eval inside
functions only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import MissingError
from harness.core.seeds import derive
from harness.core.settings import EvalConfig
from harness.core.types import Problem, Sampling
from harness.data.suites import Suite
from harness.evaluation.engines import Block, Completion, Engine
from harness.evaluation.scores import score_seed
from harness.registry import load_object
from harness.runs.files import append_jsonl, mend, read_jsonl
from harness.runs.result import Figures
from harness.runs.samples import OVERLONG, SampleRow

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task


@dataclass
class SuiteResult:
    """What one suite gave: k samples of each of n problems, problem by problem.

    `limit` is None for a whole suite. Samples of a greedy pass, where the card asks for one, come last. `seed` is that of
    the suite's random stream.
    """

    suite: str
    n: int
    k: int
    temperature: float
    max_new_tokens: int
    limit: int | None
    seed: int
    samples: list[SampleRow]

    def figures(self, flagged: Collection[str] = ()) -> Figures:
        """Its scores; `flagged` as in `score_seed`."""
        return score_seed(self.samples, self.k, flagged)


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
        rows: list[SampleRow] = []
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
                n=sum(not row.greedy for row in rows) // k,
                k=k,
                temperature=sampling.temperature,
                max_new_tokens=sampling.max_new_tokens,
                limit=cfg.limit,
                seed=derive(seed, "eval", suite.name),
                samples=rows,
            )
        )
    return results


def _run(
    suite: Suite, policy: Any, k: int, sampling: Sampling, data_dir: Path | None, limit: int | None, greedy: bool
) -> list[SampleRow]:
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
    """As its card makes it; a task file makes the same one for plain lm-eval."""
    made: Task = load_object("harness.benchmarks.task:CardTask", "the task of a suite").of(suite, data_dir)
    return made


def _policy(engine: Engine, eval_prompt: Callable[[Problem], str], seed: int, store: Path | None) -> Any:
    """`engine` as an lm-eval model; after a run it holds `prompts`, `completions` and `seed`."""
    from lm_eval.api.model import LM

    class Policy(LM):  # type: ignore[misc]
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
    for group, block in zip(members, found, strict=True):
        assert block is not None
        out.update(zip(group, block, strict=True))
    return [out[i] for i in range(len(prompts_N))]


def _rows(suite: str, docs: Sequence[dict[str, Any]], k: int, policy: Any, greedy: bool) -> list[SampleRow]:
    """One row per sample from lm-eval's logged documents and our completions (document by document, k in a row).

    `seed` is that of the stream, like `eval_seed`: which training seed the policy has is known to the run directory.
    """
    rows = []
    for i, doc in enumerate(docs):
        for j, grade in enumerate(doc["graded"]):
            prompt, completion = policy.prompts[i * k + j], policy.completions[i * k + j]
            assert doc["resps"][0][j] == completion.text
            rows.append(
                SampleRow(
                    suite=suite,
                    problem=doc["doc"]["id"],
                    index=j,
                    greedy=greedy,
                    prompt=prompt,
                    completion=completion.text,
                    answer=grade["answer"],
                    gold=doc["doc"]["answer"],
                    score=grade["score"],
                    parity=grade.get("parity"),
                    status=OVERLONG if completion.overlong else grade["status"],
                    truncated=completion.truncated,
                    prompt_tokens=completion.prompt_tokens,
                    tokens=completion.tokens,
                    prompt_sha256=sha256(prompt.encode()).hexdigest(),
                    seed=policy.seed,
                    eval_seed=policy.seed,
                )
            )
    return rows


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
