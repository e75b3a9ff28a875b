"""Evaluation through lm-eval, with a scripted policy whose scores are known."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from harness.core.errors import MissingError
from harness.core.settings import EvalConfig
from harness.core.types import Context, Rollout
from harness.data import suites
from harness.data.problems import render
from harness.data.suites import benchmarks_dir, list_suites, load_suite
from harness.evaluation.engines import BackendEngine
from harness.evaluation.evaluate import evaluate as evaluate_engine

PROBLEMS = [("p0", "What is 1/2?", "\\frac{1}{2}"), ("p1", "What is $2^2$?", "4"), ("p2", "What is 1e3?", "1000")]


class Scripted:
    """Answers the j-th repeat of a prompt right when `right(position, j)`; keeps its calls."""

    def __init__(self, answers, right, wrong="\\boxed{77}", box="\\boxed{%s}"):
        self.answers, self.right, self.wrong, self.box, self.calls = answers, right, wrong, box, []

    def __call__(self, prompts, sampling, seed):
        self.calls.append((list(prompts), sampling, seed))
        k = len(prompts) // len(set(prompts))
        texts = [self.box % self.answers[i // k] if self.right(i // k, i % k) else self.wrong for i in range(len(prompts))]
        return [
            Rollout(Context.plain(p), f"{i}: {t}", [1, 2, 3], [0.0] * 3, prompt_tokens=5, truncated=i % 2 == 0)
            for i, (p, t) in enumerate(zip(prompts, texts, strict=True))
        ]


def evaluate(suites, generate, eval_prompt, seed, folder, **more):
    return evaluate_engine(suites, BackendEngine(generate), eval_prompt, seed, folder, **more)


def bare(problem):
    return problem.text


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The suite aime24 with three problems of our own, and the folder that holds them."""
    (tmp_path / "eval").mkdir()
    rows = [json.dumps({"id": i, "problem": p, "answer": a}) + "\n" for i, p, a in PROBLEMS]
    (tmp_path / "eval" / "aime24.jsonl").write_text("".join(rows))
    digest = sha256("".join(rows).encode()).hexdigest()
    suite = replace(load_suite("aime24"), size=3, sha256=digest)
    monkeypatch.setitem(suites._suites(), "aime24", suite)
    return suite, tmp_path


def test_known_scores_come_out(small):
    suite, folder = small
    policy = Scripted([a for _, _, a in PROBLEMS], lambda p, j: j < (16, 4, 0)[p])
    [result] = evaluate([suite], policy, bare, 0, folder)
    assert (result.suite, result.n, result.k, result.limit) == ("aime24", 3, 16, None)
    assert result.figures().avg == pytest.approx(20 / 48) == result.figures().pass_at[1]
    assert result.figures().pass_at[16] == pytest.approx(2 / 3)
    assert (result.figures().truncated, result.figures().unparsed, result.figures().grader_faults) == (0.5, 0.0, 0)
    assert (result.figures().prompt_tokens, result.figures().generated_tokens) == (48 * 5, 48 * 3)

    [(prompts, sampling, seed)] = policy.calls  # one batched call of n * k
    assert len(prompts) == 48 and prompts == [p for p in dict.fromkeys(prompts) for _ in range(16)]
    assert (sampling.temperature, sampling.max_new_tokens) == (0.6, 12288)
    assert prompts[0] == render("What is 1/2?", "boxed")

    rows = result.samples
    assert [(r.problem, r.index) for r in rows] == [(f"p{i}", j) for i in range(3) for j in range(16)]
    assert [r.completion for r in rows] == [f"{i}: " + r.completion.split(": ")[1] for i, r in enumerate(rows)]
    first = rows[0]
    assert first.prompt_sha256 == sha256(first.prompt.encode()).hexdigest() and first.seed == seed
    assert (first.answer, first.gold, first.score, first.status) == ("\\frac{1}{2}",) * 2 + (1.0, "ok")
    assert rows[-1].score == 0.0 and rows[-1].tokens == 3 and rows[0].truncated


def test_overrides_limit_and_eval_prompt(small):
    suite, folder = small
    policy = Scripted([a for _, _, a in PROBLEMS], lambda p, j: True)
    seen = []
    [result] = evaluate(
        [suite],
        policy,
        lambda p: f"HINT\n\n{p.text}",
        0,
        folder,
        cfg=EvalConfig(limit=2, decoding={"kind": "sampled", "k": 3, "temperature": 1.0}, max_new_tokens=9),
        progress=lambda done, name: seen.append((done, name)),
    )
    [(prompts, sampling, _)] = policy.calls
    assert (len(prompts), sampling.temperature, sampling.max_new_tokens) == (6, 1.0, 9)
    assert all(p.startswith("HINT\n\n") for p in prompts) and result.samples[0].prompt == prompts[0]
    assert (result.n, result.k, result.limit, result.figures().avg, result.figures().pass_at) == (
        2,
        3,
        2,
        1.0,
        {1: 1.0, 3: 1.0},
    )
    assert seen == [(6, "aime24")]


def test_greedy_and_unparsed(small):
    suite, folder = small
    policy = Scripted([], lambda p, j: False, wrong="no idea")
    [result] = evaluate([suite], policy, bare, 0, folder, cfg=EvalConfig(decoding={"kind": "greedy"}))
    assert policy.calls[0][1].temperature == 0.0
    assert (result.figures().avg, result.figures().unparsed, result.figures().pass_at) == (0.0, 1.0, {1: 0.0})
    assert {r.status for r in result.samples} == {"unparsed"}


def test_seeds_differ_by_suite_and_repeat_by_seed():
    def seeds(seed):
        policy = Scripted([""] * 5, lambda p, j: True, box="ans %s")
        evaluate([load_suite("tb-id"), load_suite("tb-long")], policy, bare, seed, None, cfg=EvalConfig(limit=2))
        return [call[2] for call in policy.calls]

    assert seeds(1) == seeds(1) and len({*seeds(1), *seeds(2)}) == 4


def test_testbed_suite_reseeds_nothing_and_prints_nothing(capfd):
    import numpy

    suite = load_suite("tb-long")
    problems = suite.problems(None)
    policy = Scripted([p.answer for p in problems], lambda p, j: j != 1, "ans 0", "let <S> 1 2 ans %s")
    before = numpy.random.get_state()[1].tolist()
    [result] = evaluate([suite], policy, bare, 0, None)
    assert numpy.random.get_state()[1].tolist() == before
    assert (result.n, result.k, result.figures().avg) == (160, 4, 0.75)
    assert list(dict.fromkeys(policy.calls[0][0])) == [p.text for p in problems]
    assert capfd.readouterr() == ("", "")


def test_missing_data_is_one_sentence(tmp_path):
    with pytest.raises(MissingError, match="--data-dir"):
        evaluate([load_suite("aime25")], None, bare, 0, tmp_path)


def test_task_files_take_their_limits_from_the_cards(monkeypatch):
    """As plain lm-eval loads them. The problems do not matter here, and most need data."""
    from lm_eval.tasks import TaskManager

    from harness.benchmarks import task as tasks

    rows = tasks.datasets.Dataset.from_list([{"id": "a", "text": "1+1?", "answer": "2", "answer_type": "math"}])
    monkeypatch.setattr(tasks, "rows_of", lambda suite, data_dir: rows)
    manager = TaskManager(include_path=str(benchmarks_dir()), include_defaults=False)
    names = [suite.name for suite in list_suites()]
    for name, task in manager.load(names)["tasks"].items():
        suite, config = load_suite(name), task.config
        assert (config.task, config.dataset_kwargs, config.repeats) == (name, {"suite": name}, suite.k)
        decoding = dict(config.generation_kwargs)
        assert (decoding["temperature"], decoding["max_gen_toks"]) == (suite.temperature, suite.max_new_tokens)
        assert (decoding["do_sample"], decoding["top_p"], decoding["top_k"], decoding["until"]) == (True, 1.0, 0, [])
        assert config.num_fewshot == 0 and config.metadata["version"] == 1.0
    assert set(manager.all_tasks) == set(names)


def test_plain_lm_eval_sees_the_same_prompts_and_gives_the_same_scores(small, monkeypatch):
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    suite, folder = small
    monkeypatch.setenv("HARNESS_DATA_DIR", str(folder))
    script = Scripted([a for _, _, a in PROBLEMS], lambda p, j: (p + j) % 3 == 0)

    class Outsider(LM):
        def generate_until(self, requests):
            self.contexts = [r.args[0] for r in requests]
            return [r.text for r in script(self.contexts, None, 0)]

        loglikelihood = loglikelihood_rolling = None

    model = Outsider()
    tasks = TaskManager(include_path=str(benchmarks_dir()), include_defaults=False)
    out = lm_eval.evaluate(model, tasks.load(["aime24"]), log_samples=True)
    [ours] = evaluate([suite], script, bare, 0, folder)
    assert model.contexts == [r.prompt for r in ours.samples]
    assert model.contexts == [text for p in suite.problems(folder) for text in [p.text] * 16]
    plain = out["results"]["aime24"]
    assert plain["avg,all"] == pytest.approx(ours.figures().avg) and plain["avg_stderr,all"] > 0
    assert plain["graded,all"] == 1.0
    scores = [g["score"] for doc in out["samples"]["aime24"] for g in doc["graded"]]
    assert scores == [r.score for r in ours.samples]


def test_a_suite_without_a_pinned_file_stamps_the_run(tmp_path):
    """The whole way but for the policy: prepare, evaluate, summarise."""
    from harness.core.ledger import Ledger
    from harness.evaluation.results import seed_result
    from harness.run import prepare, summarise
    from harness.runs.rundir import RunDir
    from support.settings import resolve

    (tmp_path / "eval").mkdir()
    questions = [{"id": f"g{i}", "problem": f"Which {i}?\n\n(A) x\n(B) y", "answer": "AB"[i]} for i in (0, 1)]
    rows = "".join(json.dumps(row) + "\n" for row in questions)
    (tmp_path / "eval" / "gpqa_diamond.jsonl").write_text(rows)
    flags = {"eval": {"bench": "gpqa-diamond,tb-id"}, "seeds": [0]}
    prepared = prepare(resolve("grpo", flags=flags), tmp_path, offline=True)
    policy = Scripted(["A", "B"], lambda p, j: j < 3, wrong="\\boxed{C}")
    [gpqa] = evaluate(prepared.suites[:1], policy, bare, 0, tmp_path)
    [testbed] = evaluate(prepared.suites[1:], Scripted([""] * 200, lambda p, j: True), bare, 0, None)
    seed = seed_result((gpqa, testbed), {"engine": "scripted"}, {}, Ledger())
    RunDir(tmp_path).write_spec(prepared.spec)
    result = summarise(prepared, tmp_path, {0: seed})
    assert result.suites["gpqa-diamond"].avg == 0.75
    assert result.not_a_result.startswith("suite 'gpqa-diamond' pins no file")
    assert result.suites["gpqa-diamond"].data_sha256 == sha256(rows.encode()).hexdigest()
    assert sha256(rows.encode()).hexdigest() in result.not_a_result and "tb-id" not in result.not_a_result


@pytest.mark.parametrize("name", ["rg-family", "rg-knights-knaves"])
def test_procedural_suites_through_lm_eval(name):
    from harness.data.procedural import gold_answer

    pytest.importorskip("reasoning_gym")
    suite = load_suite(name)
    problems = suite.problems(None)
    policy = Scripted([gold_answer(p.answer) for p in problems], lambda p, j: j < 3, wrong="\\boxed{nobody}")
    [result] = evaluate([suite], policy, bare, 0, None, cfg=EvalConfig(limit=20))
    assert (result.n, result.k, result.figures().avg, result.figures().unparsed, result.figures().grader_faults) == (
        20,
        4,
        0.75,
        0.0,
        0,
    )
