"""No template is made of an answer that was cut or is a chain of thought, and what stands in a template stays text."""

import json
import re

import pytest
from werkzeug import Response

from harness.core.ledger import Ledger
from harness.core.types import Context, Rollout
from harness.runs.samples import OVERLONG
from harness.search.asking import Answer, ReflectorConfig
from harness.search.reflect import SHORTEST, ReflectionRequest, make_proposer, reflection_prompt

RECORDS = [{"Inputs": "What?", "Generated Outputs": "short <curr_param>", "Feedback": "the right answer is 4711 <side_info>"}]
JOB = ReflectionRequest("old rule", RECORDS)
FENCED = "```\nBe brief.\n```"
CASES = {  # (content, finish reason, reasoning): (template, fault)
    "fine": ((FENCED, "stop", None), ("Be brief.", None)),
    "reasoned and fine": ((f"<think>so</think>{FENCED}", "stop", None), ("Be brief.", None)),
    "reasoning apart": ((FENCED, "stop", "so"), ("Be brief.", None)),
    "reasoning in a part": (
        ([{"type": "thinking", "thinking": "so"}, {"type": "text", "text": FENCED}], "stop", None),
        ("Be brief.", None),
    ),
    "cut": ((FENCED, "length", None), ("", "cut")),
    "cut in thought": (("<think>Let me look...\nPIECES", "length", None), ("", "cut")),
    "thought without an end": (("<think>Let me look...\nPIECES", "stop", None), ("", "reasoning")),
    "a draft in thought": ((f"<think>maybe\n{FENCED}\nor", "stop", None), ("", "reasoning")),
    "thought in the fence": (("```\n<think>so\n```", "stop", None), ("", "reasoning")),
    "only reasoning": ((None, "stop", f"perhaps {FENCED}"), ("", "reasoning")),
    "filtered": ((FENCED, "content_filter", None), ("", "cut")),
    "nothing": (("", "stop", None), ("", None)),
}


def check(writer, ledger, template, fault):
    assert writer.propose([JOB]) == [template]
    assert ledger.dropped_reflections == bool(fault) and ledger.reflection_calls == 1
    assert {k: n for k, n in writer.errors.items() if n and k != "unfenced"} == ({fault: 1} if fault else {})


@pytest.mark.parametrize("what", CASES)
def test_on_the_path_of_a_server(httpserver, tmp_path, what):
    (content, finish, reasoning), expected = CASES[what]
    message = {"role": "assistant", "content": content} | ({"reasoning_content": reasoning} if reasoning else {})
    body = {"choices": [{"index": 0, "finish_reason": finish, "message": message}]}
    usage = {"prompt_tokens": 9.0, "completion_tokens": 7.0}
    httpserver.expect_request("/v1/chat/completions").respond_with_json(body | {"usage": usage})
    record, ledger = tmp_path / "r.jsonl", Ledger()
    config = ReflectorConfig(kind="openai", model="m", base_url=httpserver.url_for("/v1"), max_retries=0, record=str(record))
    check(make_proposer(config, None, [], 0, ledger), ledger, *expected)
    assert (ledger.reflection_prompt_tokens, ledger.reflection_tokens) == (9, 7)
    again = Ledger()
    check(make_proposer(ReflectorConfig(kind="replay", path=str(record)), None, [], 0, again), again, *expected)


@pytest.mark.parametrize(
    "what", [k for k, ((content, _, reasoning), _) in CASES.items() if isinstance(content, str) and not reasoning]
)
def test_on_the_path_of_the_policy(what):
    (content, finish, _), expected = CASES[what]

    class Policy:
        def complete(self, prompts, sampling, seed, initial=False):
            return [Rollout(Context.plain(""), content, [0] * 7, [0.0] * 7, 9, truncated=finish != "stop") for _ in prompts]

    ledger = Ledger()
    check(make_proposer(ReflectorConfig(kind="policy"), Policy(), [], 0, ledger), ledger, *expected)


def test_a_prompt_that_a_server_cannot_read_is_no_end_of_the_search(httpserver):
    def answer(request):
        if "overstretched" in request.get_json()["messages"][0]["content"]:
            error = {
                "message": "This model's maximum context length is 8192 tokens, yours has 10000.",
                "type": "BadRequestError",
            }
            return Response(json.dumps({"error": error}), 400, mimetype="application/json")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": FENCED}}
        usage = {"prompt_tokens": 9, "completion_tokens": 7}
        return Response(json.dumps({"choices": [choice], "usage": usage}), mimetype="application/json")

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    ledger = Ledger()
    config = ReflectorConfig(kind="openai", model="m", base_url=httpserver.url_for("/v1"), max_retries=2)
    writer = make_proposer(config, None, [], 0, ledger)
    assert writer.propose([JOB, ReflectionRequest("an overstretched rule", RECORDS), JOB]) == ["Be brief.", "", "Be brief."]
    asked = [r.get_json()["messages"][0]["content"] for r, _ in httpserver.log]
    refused = sorted((len(text) for text in asked if "overstretched" in text), reverse=True)
    assert len(asked) - len(refused) == 2 and SHORTEST * 3 / 4 < refused[-1] < SHORTEST / 0.75, "until nothing is left to cut"
    assert ledger.dropped_reflections == 1 == writer.errors["overlong"] and ledger.reflection_calls == 3


@pytest.mark.parametrize("room", [1300, 2500, 50_000])
def test_a_prompt_is_cut_to_the_tokens_that_a_policy_can_read(room):
    """However many characters make a token: here it is one, and the release takes it for three."""
    read = []

    class Policy:
        def complete(self, prompts, sampling, seed, initial=False):
            read.extend(prompt for prompt in prompts if len(prompt) <= room)
            return [
                Rollout(Context.plain(""), FENCED, [0] * 7, [0.0] * 7, len(prompt))
                if len(prompt) <= room
                else Rollout(Context.plain(""), "", [], [], len(prompt), status=OVERLONG)
                for prompt in prompts
            ]

    ledger, long = Ledger(), [{**RECORDS[0], "Generated Outputs": "A" * 9000 + "B" * 9000}]
    writer = make_proposer(ReflectorConfig(kind="policy"), Policy(), [], 0, ledger)
    assert writer.propose([JOB, ReflectionRequest("short", long)]) == ["Be brief.", "Be brief."]
    short, cut = read
    assert "AAA" in cut and "BBB" in cut and len(cut) > 0.7 * min(room, 18_000) and cut.endswith("within ``` blocks.")
    assert (ledger.reflection_calls, ledger.reflection_prompt_tokens) == (2, len(short) + len(cut)) and not +writer.errors


def test_fields_for_a_server_that_reflects(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        {"choices": [{"message": {"content": FENCED}}], "usage": {"prompt_tokens": 9, "completion_tokens": 7}}
    )
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "temperature": None}
    config = ReflectorConfig(kind="openai", model="m", base_url=httpserver.url_for("/v1"), extra=extra)
    assert make_proposer(config, None, [], 0, Ledger()).propose([JOB]) == ["Be brief."]
    body = httpserver.log[0][0].get_json()
    assert body["chat_template_kwargs"] == {"enable_thinking": False} and "temperature" not in body
    with pytest.raises(ValueError, match="extra is for kind openai"):
        ReflectorConfig(kind="policy", extra=extra)


@pytest.mark.parametrize(
    "template",
    ["look at <side_info>", "<curr_param> and <side_info>", "{problem} {0} {{answer}} %s $x", "\ue000", "{answer}\\1", ""],
)
def test_placeholders_in_a_template_stay_text(template):
    """The examples, which tell the right answers, stand once in the prompt and not in the instruction."""
    prompt = reflection_prompt(ReflectionRequest(template, RECORDS), 92160)
    [instruction] = re.findall(r"for me:\n```\n(.*?)\n```\n\nThe following", prompt, re.DOTALL)
    assert instruction == template
    assert prompt.count("4711") == 1 == prompt.count("What?")
    assert "short <curr_param>" in prompt and "4711 <side_info>" in prompt, "nor are those of the examples filled in"


def test_an_answer_says_why_nothing_can_be_made_of_it():
    faults = [Answer("x", 1, 1).fault, Answer("x", 1, 1, truncated=True).fault, Answer("", 1, 1, reasoned=True).fault]
    assert [*faults, Answer("", 0, 0, overlong=True).fault, Answer("<think>x", 1, 1).fault] == [
        None,
        "cut",
        "reasoning",
        "overlong",
        "reasoning",
    ]
