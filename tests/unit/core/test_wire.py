"""Servers that send without end, on real sockets: bounded in bytes, seconds and memory, whichever part they send."""

import gzip
import resource
import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest

from harness.core import chat, wire
from harness.core.chat import Chat, ChatError, RefusedError
from harness.core.errors import UsageError

HEAD = b"HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
ENDLESS = {  # (what comes first, what comes again and again)
    "200 body": (HEAD % 200 + CHUNKED, BLOCK),
    "400 body": (HEAD % 400 + CHUNKED, BLOCK),
    "500 body": (HEAD % 500 + CHUNKED, BLOCK),
    "500 body to the end of the connection": (HEAD % 500 + b"\r\n", b"x" * 65536),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "headers": (HEAD % 200, b"X-More: " + b"x" * 1000 + b"\r\n"),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
    "empty interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "chunks of one byte": (HEAD % 500 + CHUNKED, b"1\r\nx\r\n" * 1000),
    "an extension of a chunk": (HEAD % 400 + CHUNKED + b"1;x=", b"y" * 65536),
    "a trailer": (HEAD % 400 + CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"y" * 65536),
    "nothing of HTTP": (b"", b"\x00" * 65536),
}
DRIPPING = {
    "200 body": (HEAD % 200 + CHUNKED, b"1\r\nx\r\n"),
    "400 body": (HEAD % 400 + CHUNKED, b"1\r\nx\r\n"),
    "500 body": (HEAD % 500 + CHUNKED, b"1\r\nx\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "headers": (HEAD % 200, b"X: y\r\n"),
    "the status line": (b"HTTP/1.1 200 ", b"O"),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "nothing": (b"", b""),
}


@contextmanager
def server(first, again, pause_s):
    """Accepts, reads a little, and sends for as long as anybody reads; yields its address and what it counts."""
    over, counts = threading.Event(), {"connections": 0, "bytes": 0}
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve(connection):
        with closing(connection):
            try:
                connection.settimeout(1)
                connection.recv(65536)
                connection.sendall(first)
                while not over.wait(pause_s):
                    connection.sendall(again)
                    counts["bytes"] += len(again)
            except OSError:  # the client has gone
                return

    def accept():
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            counts["connections"] += 1
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", counts
    finally:
        over.set()
        for thread in threads:
            thread.join()
        listener.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(chat, "PAUSE_S", (0.001, 0.002))


def ask(url, timeout_s, retries=1):
    """The error, and the seconds until it came."""
    client = Chat(url, "sk-planted-secret", "m", timeout_s, retries)
    start = time.monotonic()
    with pytest.raises(ChatError) as e:
        client.ask("q", 0.6, 64)
    client.close()
    return e.value, time.monotonic() - start


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_cut_by_bytes(what):
    """Megabytes come in no time here, so only the bound on bytes can end it long before the ten minutes of the timeout."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with server(*ENDLESS[what], pause_s=0) as (url, counts):
        error, seconds = ask(url, timeout_s=600, retries=0)
    assert seconds < 250 and counts["connections"] == 1
    assert counts["bytes"] < 64 << 20, "a megabyte, and what the sockets hold"
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 256 << 20
    assert "sent more than 1,052,672 bytes for at most 64 tokens" in str(error) or "broke off" in str(error)


@pytest.mark.parametrize("what", DRIPPING)
def test_what_drips_is_cut_by_the_clock(what):
    """A byte comes every 20 ms, so no silence is ever as long as the timeout."""
    with server(*DRIPPING[what], pause_s=0.02) as (url, counts):
        error, seconds = ask(url, timeout_s=0.5)
    assert "did not answer in time" in str(error) and counts["connections"] == 2
    assert 1.0 <= seconds < 20


def test_the_bytes_of_one_attempt_are_not_those_of_the_next(httpserver):
    """A connection is used again, and each answer has the whole bound."""
    text = "y" * 700_000
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    httpserver.expect_request("/v1/chat/completions").respond_with_json(
        {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    )
    client = Chat(httpserver.url_for("/v1"), None, "m", 20, 0)
    assert [client.ask("q", 0.6, 64).text == text for _ in range(3)] == [True] * 3
    client.close()


def test_compressed_answers_are_neither_asked_for_nor_read(httpserver):
    bomb = gzip.compress(b" " * 50_000_000)
    httpserver.expect_request("/v1/chat/completions").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    error, _ = ask(httpserver.url_for("/v1"), 20, retries=0)
    assert "compressed" in str(error)
    assert httpserver.log[0][0].headers["Accept-Encoding"] == "identity"


def test_redirects_share_one_attempt(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_data(
        "", 307, {"Location": httpserver.url_for("/v1/chat/completions")}
    )
    error, _ = ask(httpserver.url_for("/v1"), 20, retries=0)
    assert "TooManyRedirects" in str(error) and len(httpserver.log) <= 30


def test_a_proxy_of_the_environment_is_used(httpserver, monkeypatch):
    monkeypatch.setenv("http_proxy", httpserver.url_for("").rstrip("/"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    httpserver.expect_request("/v1/chat/completions").respond_with_data("through the proxy", 403)
    client = Chat("http://far.invalid/v1", None, "m", 20, 0)
    with pytest.raises(RefusedError, match="through the proxy"):
        client.ask("q", 0.6, 64)
    client.close()
    monkeypatch.setenv("no_proxy", "far.invalid")
    assert type(wire.Wire("http://far.invalid/v1").pool).__name__ == "ConnectionPool"


def test_an_address_of_the_environment_is_held_to_the_same(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://host/v1?api_key=sk-planted-secret")
    with pytest.raises(UsageError, match="holds no user or key") as e:
        Chat(None, None, "m", 20, 0)
    assert "planted" not in str(e.value)
