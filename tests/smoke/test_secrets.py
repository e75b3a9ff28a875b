"""Keys planted in the environment are in nothing that a run or an evaluation writes, prints or starts."""

import json
import re
import sys
from pathlib import Path

import pytest
from werkzeug import Response

from harness.cli import main

PLANTED = {
    "HARNESS_REFLECTOR_KEY": "sk-planted-reflector",
    "HARNESS_ENGINE_KEY": "sk-planted-engine",
    "HF_TOKEN": "hf_planted-hub",
    "OPENAI_API_KEY": "sk-planted-openai",
    "WANDB_API_KEY": "planted-elsewhere",
}
RUN = (
    "run --method p2o --bench tb-id --limit 4 --seeds 0 --set testbed.problems=64 --set train.epochs=2 "
    "--set train.prompts_per_batch=16 --set p2o.min_hard=6 --set p2o.evolve.metric_calls=60 --set p2o.evolve.dev_size=8 "
    "--set p2o.reflector.kind=openai --set p2o.reflector.model=m --set p2o.reflector.max_retries=1 "
    "--set p2o.reflector.base_url={url}"
)
EVAL = "eval m --bench tb-id --base-url {url} --limit 3 --set engine.retries=1"


def commands_of_all_processes():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue


def assert_clean(where, text):
    found = [name for name, value in PLANTED.items() if value in text]
    assert not found, f"{where} holds {found}"


@pytest.mark.parametrize("words", [RUN, EVAL])
def test_no_planted_key_is_anywhere(httpserver, capsys, monkeypatch, tmp_path, words):
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    processes, keys = [], set()

    def answer(request, status=200):
        processes.extend(commands_of_all_processes())
        keys.add(request.headers["Authorization"])
        if status != 200:
            return Response(f"bad key {request.headers['Authorization']}", status, {"retry-after-ms": "1"})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "```\nbe brief\n```"}}
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        return Response(json.dumps({"choices": [choice], "usage": usage}), mimetype="application/json")

    def harness(*more):
        monkeypatch.setattr(sys, "argv", ["harness", *words.format(url=httpserver.url_for("/v1")).split(), *more])
        with pytest.raises(SystemExit) as e:
            main()
        told = capsys.readouterr()
        assert_clean("what is printed", told.out + told.err)
        return e.value.code, told.err

    out = tmp_path / "run"
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(lambda request: answer(request, 500))
    code, said = harness("--out", str(out))
    assert code in (1, 3) and "--resume" in said, said
    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    code, said = harness("--out", str(out), "--resume")
    assert code == 0, said
    assert keys == {f"Bearer {PLANTED['HARNESS_REFLECTOR_KEY' if words is RUN else 'HARNESS_ENGINE_KEY']}"}
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) >= 8
    for path in written:
        assert_clean(path, path.read_bytes().decode("latin-1") + path.name)
    assert processes
    assert_clean("the process list", "\n".join(processes))
    assert re.search("be brief", "".join(p.read_text() for p in (out / ("answers" if words is RUN else "samples")).iterdir()))
