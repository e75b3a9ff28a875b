"""What of a model's answer is its reply: the text after its reasoning, if it got so far."""

from __future__ import annotations

import re

_NAMES = r"(?:[a-z]+:)?(?:think|thinking|thought|thoughts|reason|reasoning|reflection|analysis|scratchpad)"
_MARK = re.compile(
    rf"(?P<open><\s*{_NAMES}\b[^<>]*>|\[think\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*analysis)"
    rf"|(?P<close><\s*/\s*{_NAMES}\s*>|\[/think\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final\s*<\|message\|>)"
    r"|(?P<fence>```)",
    re.IGNORECASE,
)
"""How reasoning models mark their reasoning: DeepSeek, Qwen, Magistral, Kimi, gpt-oss and their kin; and a fence."""


def reply_of(text: str, truncated: bool = False) -> str | None:
    """What follows the reasoning in an answer; None if the answer was cut, or is reasoning that never ends.

    The reasoning may begin in the prompt, so that only its end is marked. Marks inside of a fenced block that stands outside
    of the reasoning are text: an instruction may speak of them.
    """
    if truncated:
        return None
    start, reasoning, fenced = 0, False, False
    for mark in _MARK.finditer(text):
        if mark["fence"]:
            fenced = fenced != (not reasoning)
        elif fenced:
            continue
        elif mark["open"]:
            reasoning = True
        else:
            start, reasoning = mark.end(), False
    return None if reasoning else text[start:].strip()


def template_of(text: str) -> str | None:
    """The template that a fenced block (or a reply without one) holds, without reasoning at its beginning; None where there is
    reasoning in it that does not end, or an end without a beginning."""
    rest = text.strip()
    while (mark := _MARK.match(rest)) and mark["open"]:
        end = next((m for m in _MARK.finditer(rest) if m["close"]), None)
        if end is None:
            return None
        rest = rest[end.end() :].strip()
    depth = 0
    for mark in _MARK.finditer(rest):
        depth += bool(mark["open"]) - bool(mark["close"])
        if depth < 0:
            return None
    return rest if depth == 0 else None
