"""The servers that a run will ask, asked one question: a dead one would be noticed after an epoch."""

from __future__ import annotations

from harness.config import RunSpec
from harness.core.chat import ChatError
from harness.core.errors import HarnessError
from harness.doctor.checks import Check
from harness.search.asking import Answer, ReflectorConfig, open_server

QUESTION = "What is 2 + 2? Answer with the number alone."
SECONDS = 60.0
"""The longest that the answer may take."""
THINKING = "tell the server not to think: {}.extra.chat_template_kwargs.enable_thinking=false, or raise {}.max_new_tokens"


def check_servers(spec: RunSpec, here: bool) -> list[Check]:
    """One check per server that writes templates or solutions. `here`: whether this machine is the one that will ask."""
    checks = []
    for writer in ("reflector", "teacher"):
        config = spec.method_config.get(writer, {})
        if config.get("kind") == "openai":
            if not here:
                at = config.get("base_url") or "its default address"
                checks.append(Check(writer, "unchecked", f"only the machine itself can ask {at}"))
            else:
                checks.append(_asked(f"{spec.method}.{writer}", writer, ReflectorConfig(**config)))
    return checks


def _asked(setting: str, writer: str, config: ReflectorConfig) -> Check:
    try:
        chat = open_server(config.model_copy(update={"max_retries": 0, "timeout_s": min(SECONDS, config.timeout_s)}))
    except HarnessError as e:
        return Check(writer, "fails", str(e), missing=True)
    try:
        reply = chat.ask(QUESTION, config.temperature, config.max_new_tokens, config.extra)
    except ChatError as e:
        todo = f"start it (docs/openrlhf.md, Reflection), or --set {setting}.base_url=ADDRESS"
        return Check(writer, "fails", f"the server at {chat.url} {e}", todo, missing=True)
    finally:
        chat.close()
    answer = Answer(reply.text, reply.prompt_tokens, reply.tokens, reply.truncated, reply.reasoned)
    if answer.fault is not None:
        what = "its answer to a simple question was cut" if answer.fault == "cut" else "it sent reasoning without an answer"
        found = f"{config.model} at {chat.url}: {what}, and of such answers no template is made"
        return Check(writer, "warning", found, THINKING.format(setting, setting))
    return Check(writer, "ok", f"{config.model} at {chat.url} answers ({reply.tokens} tokens)")
