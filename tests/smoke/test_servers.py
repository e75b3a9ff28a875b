"""Evaluations and searches against servers of many kinds, through the command line."""

import json
from collections import Counter

import pytest
from werkzeug import Response

from harness.core import chat
from harness.runs.files import read_jsonl
from support.command import harness

URL = "/v1/chat/completions"
RUN = (
    "testbed.problems=64",
    "train.epochs=2",
    "train.prompts_per_batch=16",
    "p2o.min_hard=6",
    "p2o.evolve.metric_calls=90",
    "p2o.evolve.dev_size=8",
    "gepa.evolve.metric_calls=90",
    "gepa.evolve.dev_size=8",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(chat, "PAUSE_S", (0.001, 0.002))
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_ENGINE_KEY", "HARNESS_REFLECTOR_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def completion(content, finish="stop", usage=(5, 3), **more):
    message = {"role": "assistant", "content": content, **more}
    counts = dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))
    return {"choices": [{"index": 0, "finish_reason": finish, "message": message}], "usage": counts}


def says(tree, status=200):
    return Response(json.dumps(tree), status, mimetype="application/json")


def refusal(said, status=400):
    return says({"error": {"message": said, "type": "invalid_request_error"}}, status)


def evaluate(capsys, httpserver, handler, *more, out="run", limit=3):
    httpserver.clear()
    httpserver.expect_request(URL).respond_with_handler(handler)
    base = httpserver.url_for("/v1")
    args = ("eval", "m", "--bench", "tb-id", "--base-url", base, "--limit", limit, "--out", out, "--set", "engine.retries=1")
    return harness(capsys, *args, *more)


def result(out="run"):
    return json.load(open(f"{out}/result.json"))


def test_parts_whole_floats_and_the_newer_limit(capsys, httpserver):
    """No key, contents in parts, counts as floats, max_completion_tokens: the answers are graded like any other."""

    def handle(request):
        if "max_tokens" in request.get_json():
            return refusal("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return says(completion([{"type": "text", "text": "ans "}, {"type": "text", "text": "nothing"}], usage=(5.0, 3.0)))

    code, _, err = evaluate(capsys, httpserver, handle)
    assert code == 0, err
    rows = read_jsonl_of("run")
    assert {(r["completion"], r["answer"], r["status"], r["tokens"]) for r in rows} == {("ans nothing", "nothing", "ok", 3)}
    assert "was sent max_completion_tokens" in json.load(open("run/env.json"))["remarks"][0]


def read_jsonl_of(out):
    from pathlib import Path

    return read_jsonl(Path(out) / "samples" / "tb-id.jsonl")


def test_one_prompt_that_is_too_long_is_a_sample_with_a_status(capsys, httpserver):
    first = []

    def handle(request):
        prompt = request.get_json()["messages"][0]["content"]
        first.append(prompt)
        if prompt == first[0]:
            return refusal(
                "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
            )
        return says(completion("ans nothing"))

    code, out, err = evaluate(capsys, httpserver, handle)
    assert code == 0, err
    assert Counter(r["status"] for r in read_jsonl_of("run")) == {"overlong": 4, "ok": 8}, "k = 4 samples of one problem"
    assert "4 samples have a prompt too long for the model" in " ".join(out.split())
    assert result()["suites"]["tb-id"]["overlong"] == 4 and "| overlong |" in open("run/report.md").read()
    assert harness(capsys, "regrade", "run")[0] == 0
    regraded = json.load(open("run/regrade.json"))["suites"]["tb-id"]
    assert regraded["changed"] == 0 and regraded["new"]["overlong"] == 4


def test_answers_without_text_are_said_to_be_unparsed(capsys, httpserver):
    code, out, _ = evaluate(capsys, httpserver, lambda request: says(completion(None, reasoning_content="so it is 7")))
    said = "no answer was found in any sample"
    assert code == 0 and result()["suites"]["tb-id"]["unparsed"] == 1.0 and said in " ".join(out.split())
    code, out, _ = harness(capsys, "compare", "run", "run")
    assert code == 0 and said in " ".join(out.split())


def test_a_refusal_for_good_says_why_and_that_resuming_does_not_help(capsys, httpserver):
    code, _, err = evaluate(capsys, httpserver, lambda request: refusal("The model `m` does not exist.", 404))
    assert code == 1 and 'answered with status 404: "The model `m` does not exist. (invalid_request_error)"' in err
    assert "--resume will not help until that is changed" in err and len(err.strip().splitlines()) == 1


def test_how_a_server_is_reached_may_change_on_a_resume(capsys, httpserver):
    count = []  # of answers

    def fine(request):
        count.append(1)
        return says(completion("ans nothing"))

    def fails(request):
        return fine(request) if len(count) < 5 else says({"error": {"message": "busy"}}, 503)

    code, _, err = evaluate(capsys, httpserver, fails, "--set", "engine.concurrency=1")
    assert code == 1 and "--resume continues" in err, err
    changed = ("--set", "engine.concurrency=7", "--set", "engine.timeout_s=9", "--resume")
    code, _, err = evaluate(capsys, httpserver, fine, *changed)
    assert code == 0, err
    assert len(count) == 12, "nothing that was answered is asked again"
    assert result()["spec_hash"] == json.load(open("run/spec.json"))["hash"]
    code, _, err = evaluate(capsys, httpserver, fine, "--set", "engine.extra.top_k=1", "--resume")
    assert code == 2 and "engine.extra.top_k" in err


def test_what_is_sent_in_addition_is_compared(capsys, httpserver):
    fine = lambda request: says(completion("ans nothing"))  # noqa: E731
    for out, more in {
        "a": (),
        "b": ("--set", "engine.extra.top_k=20"),
        "c": ("--set", "engine.extra.temperature=null"),
    }.items():
        assert evaluate(capsys, httpserver, fine, *more, out=out)[0] == 0
    code, _, err = harness(capsys, "compare", "a", "b")
    assert code == 2 and "differ in identity.extra.top_k" in err
    code, _, err = harness(capsys, "compare", "a", "c")
    assert code == 2 and "differ in identity.extra.temperature: unset and not sent" in err


@pytest.mark.parametrize("method", ["p2o", "gepa"])
def test_no_template_is_made_of_a_chain_of_thought(capsys, httpserver, method):
    """Two of three answers are a chain of thought; the templates are those of the third."""
    count = []

    def handle(request):
        count.append(1)
        if len(count) % 3 == 0:
            return says(completion(f"<think>so</think>```\nbe brief {len(count)} <side_info>\n```"))
        thought = "<think>Let me look...\n```\nPIECES\n```"
        return says(completion(thought, "length" if len(count) % 3 == 1 else "stop"))

    httpserver.expect_request(URL).respond_with_handler(handle)
    reflector = ("kind=openai", "model=m", "base_url=" + httpserver.url_for("/v1"), "concurrency=1")
    sets = [*RUN, *(f"{method}.reflector.{x}" for x in reflector)]
    args = ("run", "--method", method, "--bench", "tb-id", "--limit", 4, "--seeds", 0, "--out", "run")
    code, out, err = harness(capsys, *args, *(x for s in sets for x in ("--set", s)))
    assert code == 0, err
    ledger, templates = result()["ledger"], [json.loads(line)["template"] for line in open("run/templates/s0.jsonl")]
    assert len(count) >= 6 and ledger["reflection_calls"] == len(count)
    assert ledger["dropped_reflections"] == sum(n % 3 != 0 for n in range(1, len(count) + 1))
    assert not [t for t in templates if "think" in t or "PIECES" in t]
    rows = [json.loads(line) for line in open("run/metrics.jsonl")]
    searches = [r for r in rows if "reflections_cut" in r]
    assert sum(r["reflections_cut"] + r["reflections_reasoning"] for r in searches) == ledger["dropped_reflections"]
    assert f"{ledger['dropped_reflections']} of {len(count)} reflections were dropped" in " ".join(out.split())
    assert "dropped reflections" in open("run/report.md").read()
    sent = [request.get_json()["messages"][0]["content"] for request, _ in httpserver.log]
    assert all(text.count("# Example 1\n") == 1 for text in sent), "a placeholder in a template stays text"


def test_a_folder_that_is_not_there_is_one_sentence_offline_too(capsys):
    for name in ("./nowhere", "/nowhere/at/all", "a/b/c"):
        code, _, err = harness(capsys, "eval", name, "--bench", "tb-id", "--offline", "--out", "x")
        assert code == 3 and len(err.strip().splitlines()) == 1, err


def test_runs_are_listed(capsys):
    args = ("--bench", "tb-id", "--seeds", "0", "--limit", 2, "--set", "train.epochs=0", "--out", "runs/a")
    assert harness(capsys, "run", "--method", "grpo", *args)[0] == 0
    code, out, _ = harness(capsys, "list", "runs")
    assert code == 0 and "grpo" in out and "runs/a" in out
    code, out, _ = harness(capsys, "list", "runs", "--json")
    assert code == 0 and json.loads(out)
