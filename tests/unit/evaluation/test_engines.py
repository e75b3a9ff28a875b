"""Who answers an evaluation: blocks, what is kept on the way, a server, and what makes results comparable."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.settings import EngineConfig, EvalConfig, ModelConfig
from harness.core.types import Context, Rollout, Sampling
from harness.data.suites import load_suite
from harness.data.training_sets import load_training_set
from harness.evaluation.engines import BackendEngine, Block, Completion, Server
from harness.evaluation.evaluate import complete, evaluate
from harness.evaluation.results import Checklist, combine, seed_result
from harness.stats.arms import check_identity
from support import results

HOT = Sampling(0.6, 16)


def answers(prompts, sampling, seed):
    return [Rollout(Context.plain(p), f"{p}/{seed}/{i}", [1] * len(p), [], 3) for i, p in enumerate(prompts)]


class Dies:
    """An engine of one turn a block that breaks down after `alive` answers; keeps what it was asked."""

    def __init__(self, alive=10**9):
        self.alive, self.asked, self.tick = alive, [], lambda n: None

    def block_size(self, sampling):
        return 1

    def complete(self, blocks, sampling):
        for i in reversed(range(len(blocks))):  # any order is allowed
            if len(self.asked) == self.alive:
                raise HarnessError("gone")
            self.asked.append(blocks[i].prompts[0])
            yield i, [Completion(f"{blocks[i].prompts[0]}/{blocks[i].seed}", 2, 3, False)]


def test_blocks_hold_turns_of_similar_length_and_order_is_kept():
    seen = []

    def generate(prompts, sampling, seed):
        seen.append(list(prompts))
        return answers(prompts, sampling, seed)

    prompts = ["ccc", "a", "dddd", "bb", "e"]
    out = complete(BackendEngine(generate, tokens=40), prompts, HOT, 7, None)  # 40 // 16 = 2 turns
    assert seen == [["a", "e"], ["bb", "ccc"], ["dddd"]]
    assert [c.text.split("/")[0] for c in out] == prompts and [c.tokens for c in out] == [3, 1, 4, 2, 1]
    assert len({c.text.split("/")[1] for c in out}) == 3, "a stream a block"
    whole = complete(BackendEngine(answers), prompts, HOT, 7, None)
    assert [c.text for c in whole] == [f"{p}/7/{i}" for i, p in enumerate(prompts)], "one block has the seed itself"


def test_an_interruption_loses_only_what_is_under_way(tmp_path):
    store, prompts = tmp_path / "s.jsonl", [f"p{i}" for i in range(6)]
    straight = complete(Dies(), prompts, HOT, 1, None)
    with pytest.raises(HarnessError, match="gone"):
        complete(Dies(alive=4), prompts, HOT, 1, store)
    store.write_text(store.read_text() + '{"key": "torn')  # killed while it wrote
    second, ticks = Dies(), []
    second.tick = ticks.append
    assert complete(second, prompts, HOT, 1, store) == straight
    assert sorted(second.asked) == ["p0", "p1"] and ticks[-1] == 6
    third = Dies(alive=0)
    assert complete(third, prompts, HOT, 1, store) == straight and not third.asked


@pytest.mark.parametrize(
    "change",
    [
        (["q0"], HOT, 1),
        (["p0"], Sampling(0.7, 16), 1),
        (["p0"], Sampling(0.6, 8), 1),
        (["p0"], HOT, 2),
    ],
)
def test_what_was_kept_serves_the_same_question_only(tmp_path, change):
    store = tmp_path / "s.jsonl"
    complete(Dies(), ["p0"], HOT, 1, store)
    again = Dies()
    complete(again, *change, store)
    assert again.asked == change[0]


def test_a_greedy_pass_stands_beside_the_samples():
    import dataclasses

    suite = dataclasses.replace(load_suite("tb-id"), greedy=True)
    gold = {p.text: p.answer for p in suite.problems(None)}

    def generate(prompts, sampling, seed):
        right = sampling.temperature == 0
        return [Rollout(Context.plain(p), f"ans {gold[p] if right else 'x'}", [1], [], 1) for p in prompts]

    [r] = evaluate([suite], BackendEngine(generate), lambda p: p.text, 0, None, EvalConfig(limit=3))
    f = r.figures()
    assert (r.n, r.k, f.avg, f.greedy, f.greedy_parity, f.generated_tokens) == (3, 4, 0.0, 1.0, None, 15)
    assert [row.greedy for row in r.samples] == [False] * 12 + [True] * 3
    [r] = evaluate(
        [suite], BackendEngine(generate), lambda p: p.text, 0, None, EvalConfig(limit=3, decoding={"kind": "greedy"})
    )
    assert (r.n, r.k, r.figures().avg, r.figures().greedy, r.temperature) == (3, 1, 1.0, None, 0.0)
    sampled = EvalConfig(decoding={"kind": "sampled", "k": 2})
    assert suite.passes(sampled) == [(2, Sampling(0.6, 32))], "one kind only where one is asked for"


# ---------------------------------------------------------------------- a server


def reply(text, tokens=5, finish="stop"):
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [message], "usage": usage}


@pytest.fixture
def server(httpserver, monkeypatch):
    monkeypatch.setenv("HARNESS_ENGINE_KEY", "secret")

    def make(model=None, **more):
        cfg = EngineConfig(name="openai", base_url=httpserver.url_for("/v1"), timeout_s=20, **more)
        return Server(model or ModelConfig(id="m"), cfg)

    return make


def test_server_is_asked_as_the_protocol_says(httpserver, server):
    from werkzeug import Response

    seen = []

    def answer(request):
        body = json.loads(request.data)
        seen.append(body)
        text = body["messages"][0]["content"]
        row = reply(text.upper(), finish="length" if text == "b" else "stop")
        return Response(json.dumps(row), mimetype="application/json")

    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(answer)
    engine = server(ModelConfig(id="m", chat_options={"enable_thinking": False}), extra={"top_k": -1})
    out = complete(engine, ["a", "b", "c"], HOT, 5, None)
    assert out == [Completion("A", 5, 7, False), Completion("B", 5, 7, True), Completion("C", 5, 7, False)]
    assert len({body["seed"] for body in seen}) == 3, "every completion has a stream of its own"
    for body in seen:
        assert (body["temperature"], body["top_p"], body["max_tokens"], body["n"]) == (0.6, 1.0, 16, 1)
        assert (body["top_k"], body["chat_template_kwargs"], body["model"]) == (-1, {"enable_thinking": False}, "m")


def test_server_that_recovers_and_server_that_does_not(httpserver, server, tmp_path):
    for status in (429, 500):
        httpserver.expect_ordered_request("/v1/chat/completions").respond_with_data("no", status, {"retry-after-ms": "1"})
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(reply("fine"))
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_data("no such model", 404)
    engine = server(concurrency=1, retries=2)
    with pytest.raises(HarnessError, match="failed for good.*--resume") as error:
        complete(engine, ["a", "b"], HOT, 5, tmp_path / "s.jsonl")
    assert "secret" not in str(error.value) and len(httpserver.log) == 4
    kept = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [row["completions"][0]["text"] for row in kept] == ["fine"]


def test_server_bounds_starts_a_minute(httpserver, server):
    import time

    httpserver.expect_request("/v1/chat/completions").respond_with_json(reply("x"))
    engine = server(requests_per_minute=600.0)
    start = time.monotonic()
    complete(engine, list("abcd"), HOT, 5, None)
    assert time.monotonic() - start >= 0.3, "three pauses of a tenth of a second"


def test_server_without_a_token_count(httpserver, server):
    httpserver.expect_request("/v1/chat/completions").respond_with_json({**reply("x"), "usage": None})
    with pytest.raises(HarnessError, match="token count"):
        complete(server(), ["a"], HOT, 5, None)


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_key_is_sent_where_there_is_one(httpserver, server, monkeypatch, key):
    monkeypatch.delenv("HARNESS_ENGINE_KEY")
    if key:
        monkeypatch.setenv("HARNESS_ENGINE_KEY", f"{key}\n")  # as files of keys end
    httpserver.expect_request("/v1/chat/completions").respond_with_json(reply("x"))
    complete(server(), ["a"], HOT, 5, None)
    [(request, _)] = httpserver.log
    assert request.headers.get("Authorization") == (key and f"Bearer {key}")


def test_fields_of_a_request_are_turned_off_by_null(httpserver, server):
    httpserver.expect_request("/v1/chat/completions").respond_with_json(reply("x"))
    engine = server(extra={"seed": None, "n": None, "temperature": None, "min_p": 0.1})
    complete(engine, ["a"], HOT, 5, None)
    [(request, _)] = httpserver.log
    assert set(request.get_json()) == {"model", "messages", "top_p", "max_tokens", "min_p"}
    assert engine.identity()["extra"]["temperature"] == "not sent", "which a comparison tells from a temperature that was sent"


# ---------------------------------------------------------------------- identity


def result(**more):
    identity = {"engine": "transformers", "version": "1", "rendering_sha256": "x"}
    return replace(results.result(name="s", data_sha256="d"), **{"identity": identity, **more})


@pytest.mark.parametrize("key", ["engine", "version", "rendering_sha256"])
def test_tables_refuse_to_mix_identities(key):
    other = result(identity={**result().identity, key: "other"})
    with pytest.raises(UsageError, match=f"identity.{key}"):
        check_identity([result(), other])
    check_identity([result(), result()])


def test_finished_policies_may_differ_in_model_and_chat_template_but_not_in_engine():
    one = result(spec={"engine": {"name": "vllm"}})
    two = replace(one, model="n", training_set="u", identity={**one.identity, "rendering_sha256": "y"})
    check_identity([one, two])
    with pytest.raises(UsageError, match="data of s"):
        check_identity([one, replace(two, suites={"s": replace(one.suites["s"], data_sha256="e")})])
    with pytest.raises(UsageError, match="identity.engine"):
        check_identity([one, replace(two, identity={**two.identity, "engine": "vllm"})])


def test_seeds_evaluated_under_different_conditions_are_not_averaged():
    suite = load_suite("tb-id")
    found = evaluate([suite], BackendEngine(answers, {"engine": "a"}), lambda p: p.text, 0, None, EvalConfig(limit=2))
    one, other = (seed_result(found, {"engine": name}, {}) for name in "ab")
    training_set = load_training_set("testbed")
    assert combine({0: one, 1: one}, [suite], training_set, {}).macro.id == 0.0
    with pytest.raises(HarnessError, match="engine"):
        combine({0: one, 1: other}, [suite], training_set, {})


def test_a_checklist_names_all_that_is_missing(tmp_path):
    check = Checklist([])
    for name in ("aime24", "math500"):
        assert check.get(lambda: load_suite(name).problems(tmp_path)) is None  # noqa: B023
    assert check.get(lambda: 3) == 3
    with pytest.raises(MissingError, match=r"aime24.jsonl.*math500.jsonl"):
        check.settle()


def test_a_block_is_hashable_by_what_it_asks():
    assert Block(("a",), 1) == Block(("a",), 1) != Block(("a",), 2)
