"""Servers that refuse, talk nonsense or hang: bounded attempts, a clean stop, and a resume that pays nothing twice."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from werkzeug import Response

from harness.core import chat
from harness.core.chat import Chat, ChatError
from harness.core.errors import HarnessError, MissingError
from harness.core.ledger import Ledger
from harness.core.method import EpochReport
from harness.core.settings import EngineConfig, ModelConfig
from harness.core.types import Context, Group, Problem, Rollout, Sampling
from harness.evaluation.engines import Server
from harness.evaluation.evaluate import complete
from harness.methods.grpo import GRPO
from harness.runs.files import append_jsonl, read_jsonl
from harness.runs.rundir import RunDir
from harness.search.answers import Answers, current, keep_answers
from harness.search.asking import ReflectorConfig
from harness.search.reflect import ReflectionRequest, make_proposer
from harness.training.loop import train_epochs
from harness.training.seedlog import SeedLog
from support.settings import resolve

URL = "/v1/chat/completions"
KEY = "sk-planted-secret"


def reply(text, **more):
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage, **more}


FINE = json.dumps(reply("```\nfine\n```"))
NONSENSE = {
    "html": "<html>Bad gateway</html>",
    "cut": FINE[: len(FINE) // 2],
    "nothing": "",
    "list": "[1, 2]",
    "null": "null",
    "empty": "{}",
    "no choice": json.dumps(reply("", choices=[])),
    "choice null": json.dumps(reply("", choices=[None])),
    "not text": json.dumps(reply({"a": 1})),
    "bad count": json.dumps(reply("x", usage={"prompt_tokens": -1, "completion_tokens": 1})),
    "text count": json.dumps(reply("x", usage={"prompt_tokens": "9", "completion_tokens": 1})),
    "10 MB": json.dumps(reply("x" * 10_000_000)),
    "deep": "[" * 100_000,
    "binary": b"\xff\xfe\x00",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(chat, "PAUSE_S", (0.001, 0.002))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HARNESS_REFLECTOR_KEY", KEY)
    monkeypatch.setenv("HARNESS_ENGINE_KEY", KEY)


def client(httpserver, retries=2, timeout_s=20.0):
    return Chat(httpserver.url_for("/v1"), KEY, "m", timeout_s, retries)


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_asked_again_and_then_given_up(httpserver, what):
    httpserver.expect_ordered_request(URL).respond_with_data(NONSENSE[what])
    httpserver.expect_ordered_request(URL).respond_with_data(FINE)
    assert client(httpserver).ask("q", 0.6, 64).text == "```\nfine\n```" and len(httpserver.log) == 2
    httpserver.clear()
    httpserver.expect_request(URL).respond_with_data(NONSENSE[what])
    with pytest.raises(ChatError, match="^sent ") as e:
        client(httpserver).ask("q", 0.6, 64)
    assert len(httpserver.log) == 3 and len(str(e.value)) < 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_refusals_are_bounded(httpserver, status):
    httpserver.expect_request(URL).respond_with_data(f"quota of {KEY}", status, {"retry-after-ms": "1"})
    with pytest.raises(ChatError, match=f"status {status}") as e:
        client(httpserver).ask("q", 0.6, 64)
    assert len(httpserver.log) == 3 and KEY not in str(e.value)


def test_a_server_that_hangs_and_one_that_drips(httpserver):
    """Both would go on for longer than any test may take: that the client comes back is the bound on its time."""
    given_up = threading.Event()

    def drip(request):
        return Response(b" " for _ in iter(lambda: given_up.wait(0.05), True))

    def hang(request):
        given_up.wait()
        return Response("")

    for handler in (drip, hang):
        given_up.clear()
        httpserver.expect_oneshot_request(URL).respond_with_handler(handler)
        try:
            with pytest.raises(ChatError, match="did not answer in time"):
                client(httpserver, retries=0, timeout_s=0.2).ask("q", 0.6, 64)
        finally:
            given_up.set()


def test_pauses_grow_and_are_jittered(httpserver, monkeypatch):
    monkeypatch.setattr(chat, "PAUSE_S", (1.0, 4.0))
    slept = []
    monkeypatch.setattr(chat, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    httpserver.expect_request(URL).respond_with_data("no")
    for _ in range(2):
        with pytest.raises(ChatError):
            client(httpserver, retries=4).ask("q", 0.6, 64)
    assert all(most / 2 <= s <= most for s, most in zip(slept, [1.0, 2.0, 4.0, 4.0] * 2, strict=True))
    assert slept[:4] != slept[4:]


@pytest.mark.parametrize("row", ["{}", '{"epoch": 0}', '{"epoch": 0, "nth": 1, "prompt_sha256": []}'])
def test_kept_answers_of_other_rows_are_refused(tmp_path, row):
    (tmp_path / "s0.jsonl").write_text(row + "\n")
    with pytest.raises(HarnessError, match="s0.jsonl cannot be read"):
        Answers(tmp_path / "s0.jsonl", 0)


def test_an_empty_answer_is_an_answer(httpserver):
    httpserver.expect_request(URL).respond_with_json(reply(None))
    assert client(httpserver).ask("q", 0.6, 64) == chat.Reply("", 100, 20, False)
    assert complete(server(httpserver), ["q"], Sampling(0.6, 64), 0, None)[0].text == ""


# ------------------------------------------------------------------ an evaluation


def server(httpserver, **more):
    cfg = EngineConfig(name="openai", base_url=httpserver.url_for("/v1"), timeout_s=20, retries=1, concurrency=1, **more)
    return Server(ModelConfig(id="m"), cfg)


@pytest.mark.parametrize("what", ["html", "10 MB"])
def test_an_evaluation_stops_cleanly_and_goes_on(httpserver, tmp_path, what):
    httpserver.expect_ordered_request(URL).respond_with_json(reply("first"))
    for _ in range(2):
        httpserver.expect_ordered_request(URL).respond_with_data(NONSENSE[what])
    with pytest.raises(HarnessError, match="failed for good: it sent .* --resume continues"):
        complete(server(httpserver), ["a", "b"], Sampling(0.6, 64), 5, tmp_path / "s.jsonl")
    httpserver.clear()
    httpserver.expect_request(URL).respond_with_json(reply("second"))
    out = complete(server(httpserver), ["a", "b"], Sampling(0.6, 64), 5, tmp_path / "s.jsonl")
    assert [c.text for c in out] == ["first", "second"] and len(httpserver.log) == 1


# ------------------------------------------------------------------ a search


class Reflects(GRPO):
    """Asks the server for a template per problem after each epoch, one after the other."""

    def end_epoch(self, epoch, groups, policy, ledger, last):
        config = ReflectorConfig(kind="openai", model="m", base_url=self.url, max_retries=0, concurrency=1)
        writer = make_proposer(config, policy, [], 0, ledger)
        for p in self.problems:
            records = [{"Inputs": p.text, "Generated Outputs": self.drawn, "Feedback": "wrong"}]
            self.written = [*getattr(self, "written", []), *writer.propose([ReflectionRequest("same", records)])]
        return EpochReport()


class Idle:
    """A policy that needs no model."""

    tick = None

    def batch(self, method, problems, log, epoch, batch):
        rollouts = [Rollout(Context.plain("q"), "t", [1], [-1.0], 2) for _ in range(6)]
        log.ledger.add_rollouts(rollouts * len(problems))
        return [Group(p, rollouts) for p in problems], {}

    def begin_epoch(self, method, epoch): ...

    def write_checkpoint(self, folder): ...

    def read_checkpoint(self, folder): ...


PROBLEMS = [Problem(f"p{i}", "the same question", "1") for i in range(4)]


def start(tmp_path, httpserver, drawn="text"):
    sets = ["train.prompts_per_batch=2", "train.epochs=2", "train.max_rollouts=null"]
    spec = resolve("grpo", sets=sets)
    run = RunDir(tmp_path)
    run.write_spec(spec)
    method = Reflects(spec.typed_method_config(), spec.train, PROBLEMS, 0)
    method.url, method.drawn = httpserver.url_for("/v1"), drawn
    return method, SeedLog(run, 0, spec, PROBLEMS, lambda *a: None)


def numbered(httpserver, fail_at=None):
    count = [0]

    def answer(request):
        count[0] += 1
        if fail_at is not None and count[0] >= fail_at:
            return Response("down for maintenance", 500)
        return Response(json.dumps(reply(f"```\nrule {count[0]}\n```")), mimetype="application/json")

    httpserver.clear()
    httpserver.expect_request(URL).respond_with_handler(answer)
    return count


def test_a_search_stops_cleanly_and_a_resume_pays_nothing_twice(httpserver, tmp_path):
    method, log = start(tmp_path, httpserver)
    numbered(httpserver, fail_at=7)  # 4 answers after the first epoch, 2 of 4 after the second
    with pytest.raises(MissingError, match="status 500: .*; what it answered is kept, --resume continues"):
        train_epochs(Idle(), method, log)
    asked = numbered(httpserver)
    method, log = start(tmp_path, httpserver)
    train_epochs(Idle(), method, log)
    assert asked == [2] and method.written == ["rule 5", "rule 6", "rule 1", "rule 2"], "in the order of asking"
    assert (log.ledger.reflection_calls, log.ledger.reflection_tokens) == (8, 160)
    assert len(read_jsonl(log.answers)) == 8


def test_paid_answers_to_other_questions_stay_on_the_ledger(httpserver, tmp_path):
    """A backend whose samples cannot be drawn again asks other questions after a resume."""
    method, log = start(tmp_path, httpserver)
    numbered(httpserver, fail_at=7)
    with pytest.raises(MissingError):
        train_epochs(Idle(), method, log)
    asked = numbered(httpserver)
    method, log = start(tmp_path, httpserver, drawn="another text")
    train_epochs(Idle(), method, log)
    assert asked == [4] and (log.ledger.reflection_calls, log.ledger.reflection_tokens) == (10, 200)


def test_answers_of_another_epoch_are_not_taken(tmp_path):
    path = tmp_path / "answers.jsonl"
    ledger = Ledger()
    with keep_answers(path, 0, ledger):
        current().put(current().key("q"), "old", 1, 1)
    path.write_text(path.read_text() + '{"torn')
    with keep_answers(path, 1, ledger):
        assert current().get(current().key("q")) is None
        current().put(current().key("r"), "new", 1, 1)
    assert current() is None and ledger.reflection_calls == 0
    assert [r["text"] for r in read_jsonl(path)] == ["old", "new"] and Answers(path, 0).unused()[0]["text"] == "old"


def test_a_recording_that_was_torn_can_be_recorded_on(tmp_path):
    append_jsonl(tmp_path / "r.jsonl", [{"a": 1}])
    (tmp_path / "r.jsonl").open("a").write('{"torn')
    policy = type("P", (), {"complete": lambda *a, **k: [Rollout(Context.plain(""), "```\nx\n```", [1], [0.0], 1)]})()
    config = ReflectorConfig(kind="policy", record=str(tmp_path / "r.jsonl"))
    job = ReflectionRequest("z", [{"Inputs": "", "Generated Outputs": "", "Feedback": ""}])
    make_proposer(config, policy, [], 0, Ledger()).propose([job])
    assert [set(r) for r in read_jsonl(tmp_path / "r.jsonl")] == [{"a"}, {"prompt_sha256", "answer", "prompt_tokens", "tokens"}]
