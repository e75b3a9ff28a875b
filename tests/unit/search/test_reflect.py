"""The proposers: offline edits, the policy, a server, and a recording."""

from __future__ import annotations

import json
import random
import re

import pytest
from pydantic import ValidationError
from werkzeug import Response

from harness.core.errors import MissingError
from harness.core.ledger import Ledger
from harness.core.types import Context, Rollout, Sampling
from harness.search.asking import ReflectorConfig
from harness.search.reflect import (
    OfflineProposer,
    ReflectionRequest,
    cut_middle,
    make_proposer,
    reflection_prompt,
)

PIECES = ["one", "two words", "three", "four"]


def job(template="old rule", answers=("short",), question="What?"):
    keys = ("Inputs", "Generated Outputs", "Feedback")
    return ReflectionRequest(
        template, [dict(zip(keys, (question, a, f"Wrong {i}"), strict=True)) for i, a in enumerate(answers)]
    )


class ReflectingPolicy:
    """Answers a prompt with a fenced number and keeps the calls."""

    def __init__(self):
        self.calls = []

    def complete(self, prompts, sampling, seed, initial=False):
        self.calls.append((list(prompts), sampling, seed, initial))
        texts = [f"I think:\n```\nrule {len(self.calls)}.{i}\n```" for i in range(len(prompts))]
        return [Rollout(Context.plain(""), text, [0] * 5, [0.0] * 5, prompt_tokens=11) for text in texts]


def proposer(policy=None, pieces=(), seed=0, ledger=None, **config):
    return make_proposer(ReflectorConfig(**config), policy, pieces, seed, ledger if ledger is not None else Ledger())


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "openai"},
        {"kind": "policy", "model": "m"},
        {"kind": "policy", "base_url": "http://localhost"},
        {"kind": "replay"},
        {"kind": "policy", "path": "x"},
        {"kind": "replay", "path": "x", "record": "y"},
        {"kind": "offline", "record": "y"},
        {"kind": "book", "record": "y"},
        {"kind": "placebo", "record": "y"},
        {"kind": "teacher"},
        {"api_key": "secret"},
        {"max_retries": -1},
    ],
)
def test_contradictory_settings_are_refused(config):
    with pytest.raises(ValidationError):
        ReflectorConfig(**config)


def test_every_setting_has_a_one_line_help():
    for name, field in ReflectorConfig.model_fields.items():
        assert field.description and "\n" not in field.description, name


# --- offline ----------------------------------------------------------------------------------------------------------


def test_offline_edits_are_seeded_and_of_known_kinds():
    def run(seed):
        return proposer(kind="offline", pieces=PIECES, seed=seed).propose([job("x\ny"), job("")] * 200)

    children = run(3)
    assert children == run(3) != run(4)
    assert set(children[1::2]) == set(PIECES)  # the empty template only grows
    grown = {f"x\ny\n{p}" for p in PIECES} | {f"{p}\nx\ny" for p in PIECES}
    swapped = {f"x\n{p}" for p in PIECES} | {f"{p}\ny" for p in PIECES}
    assert set(children[::2]) == grown | swapped | {"x", "y"}


def test_offline_crossover_and_length_bound():
    search = OfflineProposer(["new"], 3, random.Random(0))
    children = search.propose([job("a\nb\nc"), job("x\ny\nz")] * 100)
    assert all(len(c.split("\n")) <= 3 for c in children)
    assert any(c[0] == "a" and c[-1] == "z" for c in children)
    assert {"b\nc\nnew", "new\na\nb"} <= set(children)
    with pytest.raises(ValueError, match="pieces"):
        proposer(kind="offline")


# --- the policy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["policy", "initial"])
def test_policy_reflects_for_the_whole_beam_in_one_call(kind):
    policy, ledger = ReflectingPolicy(), Ledger()
    writer = proposer(policy, ledger=ledger, kind=kind, max_new_tokens=64)
    assert writer.propose([job("a"), job("b")]) == ["rule 1.0", "rule 1.1"]
    assert writer.propose([job("c")]) == ["rule 2.0"]
    (prompts, sampling, seed, initial), (_, _, later_seed, _) = policy.calls
    assert sampling == Sampling(0.6, 64) and initial == (kind == "initial") and seed != later_seed
    assert "```\na\n```" in prompts[0] and "Wrong 0" in prompts[0] and "What?" in prompts[0]
    assert (ledger.reflection_calls, ledger.reflection_prompt_tokens, ledger.reflection_tokens) == (3, 33, 15)
    assert ledger.rollouts == 0 and not +writer.errors


def test_unfenced_answers_are_counted():
    class Chatty(ReflectingPolicy):
        def complete(self, prompts, sampling, seed, initial=False):
            texts = ("no fence", "```\nunclosed", "  ", "```\nok\n```")
            return [Rollout(Context.plain(""), text, [], [], 0) for text in texts]

    writer = proposer(Chatty(), kind="policy")
    assert writer.propose([job()] * 4) == ["no fence", "unclosed", "", "ok"]
    assert writer.errors == {"unfenced": 3}


def test_prompt_is_bounded_and_cuts_long_responses_in_the_middle():
    long = "A" * 5000 + "B" * 5000
    prompt = reflection_prompt(job(answers=(long, "short one", long[::-1])), 4000)
    assert 3990 <= len(prompt) <= 4000  # as much as fits
    assert "short one" in prompt and "AAA\n[...]\nBBB" in prompt and "BBB\n[...]\nAAA" in prompt
    assert "Wrong 2" in prompt and prompt.endswith("Provide the new instructions within ``` blocks.")
    whole = reflection_prompt(job(answers=(long,)), 92160)
    assert long in whole and "[...]" not in whole
    assert len(reflection_prompt(job(question="Q" * 9000), 1000)) == 1000
    assert [cut_middle("abcdefghijkl", n) for n in (12, 11, 9)] == ["abcdefghijkl", "ab\n[...]\nkl", "a\n[...]\nl"]
    assert all(len(cut_middle("x" * 50, n)) == n for n in range(50))


# --- a server ---------------------------------------------------------------------------------------------------------


def reply(text, prompt_tokens=100, tokens=20):
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@pytest.fixture
def key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HARNESS_REFLECTOR_KEY", "sk-secret")


def server_config(httpserver, **more):
    return {"kind": "openai", "model": "m", "base_url": httpserver.url_for("/v1"), "timeout_s": 20, **more}


def test_server_answers_in_order_with_usage(httpserver, key, tmp_path):
    bodies = []

    def answer(request):
        assert request.headers["Authorization"] == "Bearer sk-secret"
        body = request.get_json()
        bodies.append(body)
        [template] = re.findall(r"rule\d", body["messages"][0]["content"])
        return Response(json.dumps(reply(f"```\n{template}\n```")), mimetype="application/json")

    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(answer)
    ledger, record = Ledger(), tmp_path / "new" / "answers.jsonl"
    writer = proposer(ledger=ledger, **server_config(httpserver, concurrency=4, record=str(record)))
    jobs = [job(f"rule{i}") for i in range(6)]
    texts = writer.propose(jobs)
    assert texts == [f"rule{i}" for i in range(6)]
    assert all(b["model"] == "m" and b["temperature"] == 0.6 and b["max_tokens"] == 2048 for b in bodies)
    assert (ledger.reflection_calls, ledger.reflection_prompt_tokens, ledger.reflection_tokens) == (6, 600, 120)
    assert "secret" not in record.read_text()

    # The recording gives the same answers and the same bill, in any order of asking.
    again = Ledger()
    replay = proposer(ledger=again, kind="replay", path=str(record))
    assert replay.propose(jobs[3:]) + replay.propose(jobs[:3]) == texts[3:] + texts[:3]
    assert again == ledger
    with pytest.raises(MissingError, match="no answer left"):
        replay.propose(jobs[:1])


@pytest.mark.parametrize("status", [429, 500])
def test_server_failure_then_success(httpserver, key, status):
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_data("no", status, {"retry-after-ms": "1"})
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(reply("```\nnew\n```"))
    ledger = Ledger()
    assert proposer(ledger=ledger, **server_config(httpserver)).propose([job()]) == ["new"]
    assert (ledger.reflection_calls, ledger.reflection_tokens) == (1, 20)


def test_server_that_keeps_failing(httpserver, key):
    httpserver.expect_request("/v1/chat/completions").respond_with_data("quota of sk-secret", 429, {"retry-after-ms": "1"})
    with pytest.raises(MissingError, match="answered with status 429") as error:
        proposer(**server_config(httpserver, max_retries=2)).propose([job()])
    assert len(httpserver.log) == 3 and "secret" not in str(error.value)


def test_server_without_usage(httpserver, key):
    httpserver.expect_request("/v1/chat/completions").respond_with_json({**reply("x"), "usage": None})
    with pytest.raises(MissingError, match="no token usage"):
        proposer(**server_config(httpserver)).propose([job()])


def test_unreachable_server_and_missing_key(monkeypatch, key):
    config = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}
    with pytest.raises(MissingError, match="cannot be reached"):
        proposer(**config).propose([job()])
    monkeypatch.delenv("HARNESS_REFLECTOR_KEY")
    with pytest.raises(MissingError, match="cannot be reached"):
        proposer(**config).propose([job()])
    with pytest.raises(MissingError, match="needs a key in HARNESS_REFLECTOR_KEY or OPENAI_API_KEY"):
        proposer(**{**config, "base_url": None})


# --- a recording ------------------------------------------------------------------------------------------------------


def test_recorded_policy_answers_replay_in_order(tmp_path):
    path = tmp_path / "answers.jsonl"
    writer = proposer(ReflectingPolicy(), kind="policy", record=str(path))
    first, second = writer.propose([job()]), writer.propose([job()])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [set(row) for row in rows] == [{"prompt_sha256", "answer", "prompt_tokens", "tokens"}] * 2
    replay = proposer(kind="replay", path=str(path))
    assert (replay.propose([job()]), replay.propose([job()])) == (first, second) == (["rule 1.0"], ["rule 2.0"])
    with pytest.raises(MissingError, match="differs from the recorded one"):
        proposer(kind="replay", path=str(path)).propose([job("another")])


def test_an_answer_with_any_line_separator_is_replayed(tmp_path):
    """A recording was read with `splitlines`, which takes eight characters more than a newline for the end of a row."""
    text, path = "a\u2028b\x85c\x1cd\x0be", tmp_path / "answers.jsonl"

    class Policy(ReflectingPolicy):
        def complete(self, prompts, *args, **more):
            return [Rollout(Context.plain(""), text, [0] * 5, [0.0] * 5, prompt_tokens=11) for _ in prompts]

    first = proposer(Policy(), kind="policy", record=str(path)).propose([job()])
    assert proposer(kind="replay", path=str(path)).propose([job()]) == first == [text]


@pytest.mark.parametrize(
    "row",
    [
        "{}",
        "[1]",
        "null",
        '{"prompt_sha256": "x", "answer": null, "prompt_tokens": 1, "tokens": 1}',
        "[" * 100_000,
        '{"prompt_sha256": "x", "answer": "a", "prompt_tokens": "1", "tokens": 1}',
        '{"prompt_sha256": [], "answer": "a"}',
        '{"prompt_sha256": "x", "answer": "a", "prompt_tokens": 1, "tokens": -1}',
    ],
    ids=range(8),
)
def test_a_recording_of_other_rows_is_refused(tmp_path, row):
    (tmp_path / "x.jsonl").write_text(row + "\n")
    with pytest.raises(MissingError, match="x.jsonl cannot be read"):
        proposer(kind="replay", path=str(tmp_path / "x.jsonl"))


def test_unreadable_recording(tmp_path):
    with pytest.raises(MissingError, match="cannot be read"):
        proposer(kind="replay", path=str(tmp_path / "absent.jsonl"))
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(MissingError, match="cannot be read"):
        proposer(kind="replay", path=str(tmp_path / "broken.jsonl"))
