"""A reflection server on this machine: it thinks, answers at length, cuts itself off, refuses long prompts, and can be down."""

import hashlib
import json
import random
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.testbed.world import PHRASES

SECRET = "quickly quickly"  # in every reasoning, in no template: a phrase of its own
LONGEST = 1500  # characters of a prompt that it reads; a reflection on three attempts has more
PHRASES_OF_REPLIES = [phrase for kind in "SLRN" for phrase in PHRASES[kind]]
HABITS = ("plain", "fenced", "field", "tags", "long", "cut", "alone", "endless")
"""plain: a template without a fence; fenced: within one. It thinks in a field of its own (`field`) or between tags (`tags`),
writes a template far longer than the policy can read (`long`), ends at the limit (`cut`), thinks and says nothing (`alone`),
or never ends its thinking (`endless`)."""


def drawn(model: str, prompt: str) -> tuple[str, str]:
    """A habit and a template, the same for the same prompt; the model named brief writes no long ones."""
    digest = hashlib.sha256(prompt.encode()).digest()
    habits = HABITS if model != "brief" else tuple(h for h in HABITS if h != "long")
    phrases = random.Random(digest).choices(PHRASES_OF_REPLIES, k=1 + digest[1] % 3)
    return habits[digest[0] % len(habits)], "\n".join(phrases)


def completion(model: str, prompt: str) -> dict:
    """The body of an answer, by the protocol of chat completions as vLLM speaks it."""
    habit, template = drawn(model, prompt)
    fence, finish, reasoning = f"Here it is.\n```\n{template}\n```", "stop", None
    thought = f"First I wrote\n```\n{SECRET}\n```\nbut that is wrong. " * 30
    content: str | None = fence
    if habit == "plain":
        content = template
    elif habit == "field":
        reasoning = thought
    elif habit == "tags":
        content = f"<think>{thought}</think>\n\n{fence}"
    elif habit == "long":
        content = "```\n" + "\n".join([template] * 120) + "\n```"
    elif habit == "cut":
        content, finish = f"<think>{thought}", "length"
    elif habit == "alone":
        content, reasoning = None, thought
    elif habit == "endless":
        content = f"<think>{thought}"
    message = {"role": "assistant", "content": content, "reasoning_content": reasoning}
    tokens = len(f"{content or ''} {reasoning or ''}".split())
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": tokens, "total_tokens": len(prompt.split()) + tokens}
    return {"choices": [{"index": 0, "finish_reason": finish, "message": message}], "usage": usage}


TOO_LONG = {"error": {"message": "This model's maximum context length is 4096 tokens. Please reduce the input.", "code": 400}}


class Server:
    """Listens while it is `up`. `asked`: the model and prompt of each answer; `refused`: prompts that were too long for it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.bodies: list[dict] = []
        self.port = 0
        self.goes_down_after: int | None = None
        self._lock = threading.Lock()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def habits(self) -> Counter:
        return Counter(drawn(*pair)[0] for pair in self.asked)

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens of prompts and of answers, all together."""
        usages = [completion(*pair)["usage"] for pair in self.asked]
        return sum(u["prompt_tokens"] for u in usages), sum(u["completion_tokens"] for u in usages)

    def start(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answered = owner.answer(self.path, body)
                if answered is None:  # it went down with this request open
                    self.close_connection = True
                    return
                status, tree = answered
                data = json.dumps(tree).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, body: dict) -> tuple[int, dict] | None:
        [message] = body["messages"]
        prompt = message["content"]
        with self._lock:
            if self.goes_down_after is not None and len(self.asked) >= self.goes_down_after:
                threading.Thread(target=self.stop, daemon=True).start()
                return None
            if path != "/v1/chat/completions":
                return 404, {"error": {"message": f"no {path} here"}}
            if len(prompt) > LONGEST:
                self.refused.append(prompt)
                return 400, TOO_LONG
            self.asked.append((body["model"], prompt))
            self.bodies.append(body)
        return 200, completion(body["model"], prompt)


@contextmanager
def serving():
    server = Server()
    try:
        yield server
    finally:
        server.stop()
