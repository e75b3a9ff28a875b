"""What servers refuse and why: for good, for now, or one prompt only; and the forms in which they answer."""

import json
import threading
import time

import pytest
from werkzeug import Response

from harness.core import chat
from harness.core.chat import Chat, ChatError, RefusedError, TooLongError

URL = "/v1/chat/completions"
KEY = "sk-planted-secret"
TOO_LONG = {  # as servers say it, with their status
    "openai": (
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 10026 tokens. Please "
        "reduce the length of the messages.",
    ),
    "vllm": (
        400,
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please "
        "reduce the length of the messages.",
    ),
    "vllm, both": (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 64. This model's maximum context length is 4096 tokens "
        "and your request has 4090 input tokens (64 > 4096 - 4090).",
    ),
    "vllm, decoder": (
        400,
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens.",
    ),
    "sglang": (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    "sglang, both": (
        400,
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
        "5000 tokens.",
    ),
    "tgi": (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"),
    "llama.cpp": (
        400,
        "the request exceeds the available context size. try increasing the context size or enable context shift",
    ),
    "anthropic": (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    "google": (400, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."),
    "mistral": (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    "nginx": (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
}
FOR_GOOD = {
    "model": (404, "The model `m` does not exist."),
    "key": (401, f"Incorrect API key provided: {KEY}."),
    "not allowed": (403, "Your organization may not use this model."),
    "parameter": (400, "Unrecognized request argument supplied: top_k"),
    "temperature": (400, "Unsupported value: 'temperature' does not support 0.6 with this model."),
    "too many tokens asked for": (400, "max_tokens is too large: 64. This model supports at most 32 completion tokens."),
    "no prompt fits": (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 64. This model's maximum context length is 64 tokens "
        "and your request has 9 input tokens (64 > 64 - 9).",
    ),
    "unprocessable": (422, "Extra inputs are not permitted"),
    "redirect without a place": (304, ""),
    "teapot": (418, "short and stout \x1b[31m\u202e" + "x" * 5000),
}


def client(httpserver, retries=3, key=KEY):
    return Chat(httpserver.url_for("/v1"), key, "m", 20.0, retries, "HARNESS_ENGINE_KEY")


def answer(content="fine", usage=(9, 7), **message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
    return {"choices": [choice], "usage": dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(chat, "PAUSE_S", (0.001, 0.002))


@pytest.mark.parametrize("form", ["openai", "error", "message", "detail", "text"])
@pytest.mark.parametrize("who", TOO_LONG)
def test_a_prompt_that_is_too_long_is_told_from_all_else(httpserver, who, form):
    status, said = TOO_LONG[who]
    tree = {"openai": {"error": {"message": said}}, "error": {"error": said}, "message": {"object": "error", "message": said}}
    body = said if form == "text" else json.dumps({**tree, "detail": {"detail": said}}[form])
    httpserver.expect_request(URL).respond_with_data(body, status)
    with pytest.raises(TooLongError, match=f"status {status}"):
        client(httpserver).ask("q", 0.6, 64)
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("what", FOR_GOOD)
def test_a_refusal_for_good_is_quoted_and_not_repeated(httpserver, what):
    status, said = FOR_GOOD[what]
    httpserver.expect_request(URL).respond_with_json({"error": {"message": said}}, status)
    with pytest.raises(RefusedError) as e:
        client(httpserver).ask("q", 0.6, 64)
    text = str(e.value)
    assert len(httpserver.log) == 1 and len(text) < 500 and KEY not in text and text.replace("\n", "").isprintable()
    assert f"answered with status {status}" in text
    if "\x1b" not in said and said:
        assert said.replace(KEY, "[key]") in text
    assert ("the key comes from HARNESS_ENGINE_KEY" in text) == (status in (401, 403))


def test_a_key_that_is_not_set_is_named(httpserver):
    httpserver.expect_request(URL).respond_with_data("who are you?", 401)
    with pytest.raises(RefusedError, match="HARNESS_ENGINE_KEY, which is not set"):
        client(httpserver, key=None).ask("q", 0.6, 64)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_a_refusal_that_may_pass_is_asked_again_after_the_pause_that_the_server_wants(httpserver, monkeypatch, status):
    slept, sleep, ours = [], time.sleep, threading.get_ident()  # the server's thread sleeps, too
    monkeypatch.setattr(chat.time, "sleep", lambda s: slept.append(s) if threading.get_ident() == ours else sleep(s))
    for headers in ({"retry-after": "7"}, {"retry-after-ms": "1500"}, {"retry-after": "1e9"}, {"retry-after": "nan"}):
        httpserver.expect_ordered_request(URL).respond_with_data("busy", status, headers)
    httpserver.expect_ordered_request(URL).respond_with_json(answer())
    assert client(httpserver, retries=4).ask("q", 0.6, 64).text == "fine"
    assert slept[:2] == [7.0, 1.5] and all(s <= 0.002 for s in slept[2:]) and len(slept) == 4


@pytest.mark.parametrize(
    "said",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens is deprecated, send max_completion_tokens",
    ],
)
def test_a_server_that_wants_max_completion_tokens_gets_it(httpserver, said):
    def handle(request):
        if "max_tokens" in request.get_json():
            return Response(json.dumps({"error": {"message": said}}), 400, mimetype="application/json")
        assert request.get_json()["max_completion_tokens"] == 64
        return Response(json.dumps(answer()), mimetype="application/json")

    httpserver.expect_request(URL).respond_with_handler(handle)
    asked = client(httpserver, retries=0)
    assert [asked.ask("q", 0.6, 64).text for _ in range(3)] == ["fine"] * 3 and len(httpserver.log) == 4, "told once"
    assert asked.remarks == ["the server refuses max_tokens and was sent max_completion_tokens"]


def test_a_limit_may_be_renamed_by_hand(httpserver):
    httpserver.expect_request(URL).respond_with_json(answer())
    client(httpserver).ask("q", 0.6, 64, {"max_tokens": None, "max_completion_tokens": 64})
    assert set(httpserver.log[0][0].get_json()) == {"model", "messages", "temperature", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "so "}, {"type": "text", "text": "it is"}], "so it is"),
        ([{"type": "output_text", "text": "fine"}], "fine"),
        (["so ", "it is"], "so it is"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "fine"}], "fine"),
        ([{"type": "refusal", "refusal": "no"}], ""),
        ([], ""),
        (None, ""),
        ("", ""),
    ],
)
def test_contents_in_parts_are_joined(httpserver, content, text):
    httpserver.expect_request(URL).respond_with_json(answer(content))
    assert client(httpserver).ask("q", 0.6, 64).text == text


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_alone_is_told_from_nothing(httpserver, field):
    httpserver.expect_ordered_request(URL).respond_with_json(answer(None, **{field: "hm"}))
    httpserver.expect_ordered_request(URL).respond_with_json(answer("fine", **{field: "hm"}))
    httpserver.expect_ordered_request(URL).respond_with_json(answer(None, **{field: None}))
    assert [client(httpserver).ask("q", 0.6, 64).reasoned for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ((9, 7), (9, 7)),
        ((9.0, 7.0), (9, 7)),
        ((0, 0), (0, 0)),
        ((9, 80), (9, 80)),  # 64, and what servers differ in
        ((9, 81), None),
        ((9, 7e11), None),
        ((7e11, 7), None),
        ((9, 7.5), None),
        ((9, float("nan")), None),
        ((9, float("inf")), None),
        ((9, True), None),
        ((9, "7"), None),
        ((9, None), None),
        ((9, -1), None),
    ],
)
def test_counts_are_whole_and_held_against_what_was_asked_for(httpserver, usage, counts):
    httpserver.expect_request(URL).respond_with_data(json.dumps(answer(usage=usage)))
    if counts:
        reply = client(httpserver).ask("q", 0.6, 64)
        assert (reply.prompt_tokens, reply.tokens) == counts and type(reply.tokens) is int
        return
    with pytest.raises(ChatError, match="^(sent something that is no token count|counted )"):
        client(httpserver).ask("q", 0.6, 64)
    assert len(httpserver.log) == 4, "another attempt may bring better ones"
