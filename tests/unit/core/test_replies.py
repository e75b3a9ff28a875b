"""What of an answer is a reply: reasoning, however it is marked, never is."""

import pytest

from harness.core.replies import reply_of, template_of
from harness.core.types import Context, Group, Problem, Rollout


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Be brief.", "Be brief."),
        ("<think>Let me look</think>\n\nBe brief.", "Be brief."),
        ("Let me look, said the prompt's own mark\n</think>\nBe brief.", "Be brief."),
        ("<THINK>\nso\n</Think >Be brief.", "Be brief."),
        ("<thinking>so</thinking> Be <reasoning>hm</reasoning> brief.", "brief."),
        ("[THINK]so[/THINK]Be brief.", "Be brief."),
        ("◁think▷so◁/think▷Be brief.", "Be brief."),
        ("<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>Be brief.", "Be brief."),
        ("<think>a draft\n```\nno\n```\nhm</think>```\nBe brief.\n```", "```\nBe brief.\n```"),
        ("```\nPut your thoughts into <think> and </think>.\n```", "```\nPut your thoughts into <think> and </think>.\n```"),
        ("<think>nothing after it</think>", ""),
        ("<think>Let me look...\nPIECES", None),
        ("<think>one</think> Be brief. <think>two", None),
        ("Well.\n<think>\nso ```\nBe brief.\n```", None),
        ("<think>", None),
        ("[think] so", None),
    ],
)
def test_what_follows_the_reasoning_is_the_reply(text, reply):
    assert reply_of(text) == reply and reply_of(text, truncated=True) is None


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Be brief.", "Be brief."),
        ("<think>so</think> Be brief.", "Be brief."),
        ("Put your thoughts into <think> and </think>.", "Put your thoughts into <think> and </think>."),
        ("Begin with <think>", None),
        ("a draft </think> Be brief.", None),
        ("<think>so", None),
        ("", ""),
    ],
)
def test_a_template_holds_no_reasoning_at_its_beginning_and_none_without_an_end(text, template):
    assert template_of(text) == template


def test_hints_that_a_policy_did_not_get_to_write_are_on_the_ledger():
    from harness.core.ledger import Ledger

    def request(text, truncated=False):
        return Rollout(Context.plain("q"), text, [1], [0.0], 1, truncated)

    ledger = Ledger()
    requests = [request("1. fine"), request("<think>1. no"), request("1. cut", truncated=True)]
    ledger.add_update([Group(Problem("p", "q", "1"), [], requests=requests)], 1)
    assert ledger.dropped_reflections == 2
