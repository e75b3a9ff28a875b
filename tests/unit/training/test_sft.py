"""The supervised arm: which answers are kept, and what is paid."""

import hashlib
import json

import pytest

from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.core.method import Finetuned
from harness.core.types import Problem
from harness.registry import load_method
from support.settings import resolve

PROBLEMS = [Problem(f"p{i}", f"q{i}", f"{i} {i}", "testbed", f"let <S> {i} ans {i} {i}") for i in range(4)]


class Taught:
    def __init__(self):
        self.examples = None

    def count_tokens(self, text):
        return len(text.split())

    def finetune(self, examples, lr, epochs, batch, seed):
        self.examples = examples
        return Finetuned(0.5, 7, 70)


def made(*sets, problems=PROBLEMS):
    spec = resolve("sft-teacher", sets=sets)
    cls = load_method("sft-teacher")
    cls.check(spec.typed_method_config(), spec.train)
    return cls(spec.typed_method_config(), spec.train, problems, 0)


def test_reference_solutions_as_the_teacher():
    wrong = Problem("p9", "q9", "9 9", "testbed", "ans 1 1")
    unsolved = Problem("p8", "q8", "8 8", "testbed")
    method, policy, ledger = made(problems=[*PROBLEMS, wrong, unsolved]), Taught(), Ledger()
    metrics = method.end_epoch(0, [], policy, ledger, last=True).metrics
    assert policy.examples == [(p.text, p.solution) for p in PROBLEMS]
    assert (metrics["teacher_answers"], metrics["accepted"], metrics["solved_problems"]) == (5, 4, 4)
    assert ledger.reflection_tokens == 4 * 6 + 3 and ledger.reflection_calls == 5, "the rejected one is paid, too"
    assert (ledger.optimiser_steps, ledger.trained_tokens, ledger.rollouts) == (7, 70, 0)


def test_a_teachers_answers_are_sampled_graded_and_kept_once(tmp_path):
    """Recorded answers, three a problem: right, right again in the same words, wrong; problem 3 never right."""
    rows = []
    for i, p in enumerate(PROBLEMS):
        for text in ([f"so ans {i} {i}"] * 2 + ["ans 7 7"]) if i < 3 else ["ans 7 7"] * 3:
            key = hashlib.sha256(p.text.encode()).hexdigest()
            rows.append({"prompt_sha256": key, "answer": text, "prompt_tokens": 5, "tokens": 10})
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    method = made(f"sft-teacher.teacher={{kind: replay, path: {path}}}", "sft-teacher.samples=3")
    policy, ledger = Taught(), Ledger()
    metrics = method.end_epoch(0, [], policy, ledger, last=True).metrics
    assert policy.examples == [(f"q{i}", f"so ans {i} {i}") for i in range(3)]
    assert (metrics["teacher_answers"], metrics["accepted"], metrics["solved_problems"]) == (12, 3, 3)
    assert ledger.reflection_tokens == 120 and ledger.reflection_prompt_tokens == 60 and method.reference == "none"


def test_refusals():
    with pytest.raises(UsageError, match="needs reference solutions"):
        made(problems=[Problem("p", "q", "1")])
    with pytest.raises(ValueError, match="neither the policy nor a book of phrases teaches the policy"):
        made("sft-teacher.teacher.kind=policy")
