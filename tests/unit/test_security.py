"""What SECURITY.md promises, where it can be seen in the source or from one call."""

import ast
import gzip
import json
import shlex
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import pytest

import harness
from harness.config import resolve_eval
from harness.core.errors import HarnessError, UsageError
from harness.core.secrets import is_secret
from harness.data import problems as reading
from harness.runs.result import load_result
from harness.runs.rundir import RunDir
from support.results import result
from support.runs import write_run
from support.settings import resolve

SPEC = resolve("grpo")
SOURCES = [p for folder in ("methods", "benchmarks") for p in Path(str(files(f"harness.{folder}"))).rglob("*.py")]
SOURCES += Path(harness.__file__).parent.rglob("*.py")
ROW = {"id": "a", "problem": "1+1", "answer": "2"}


def calls():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}, ast.unparse(node)


def test_no_call_runs_code_that_came_as_data():
    seen = set()
    for path, name, options, text in calls():
        seen.add(name)
        assert name not in ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "marshal.loads"), text
        assert not name.startswith("pickle.") and not name.endswith((".extractall", ".extract")), f"{path}: {text}"
        assert options.get("shell", "False") == "False" and "trust_remote_code" not in options, f"{path}: {text}"
        assert name != "torch.load" or options["weights_only"] == "True", f"{path}: {text}"
        assert options.get("safe_serialization", "True") == "True", f"{path}: {text}"
        if name == "AutoModelForCausalLM.from_pretrained" and "gguf_file" not in options:
            assert options["use_safetensors"] == "True", f"{path}: {text}"
    assert {"torch.load", "yaml.safe_load", "subprocess.run", "AutoModelForCausalLM.from_pretrained"} <= seen, "it looks at all"


WRITERS = {  # who writes files otherwise than by harness/runs/files.py: into a folder made for this, which is renamed
    "submit.py": {"path.write_bytes"},
    "vllm_sampler.py": {"save_pretrained"},  # into a temporary folder, for the engine in this process alone
    "folders.py": {"path.write_text", "(unfinished / 'policy.json').write_text", "model.save_pretrained", "save_pretrained"},
    "models.py": {"(folder / 'model.gguf').open", "model.save_pretrained", "tokenizer.save_pretrained"},
    "backend.py": {"self.model.save_pretrained", "self.tokenizer.save_pretrained"},
    "adapter.py": {"self.peft.save_pretrained"},
    "update.py": {"torch.save"},
    "plots.py": {"figure.savefig"},  # into memory
    "files.py": {"open"},
}


def test_files_are_written_in_one_place():
    for path, name, _, text in calls():
        opened = name == "open" or name.endswith(").open") or (name.endswith(".open") and "'r" not in text and "'w" in text)
        opened = opened and any(f"'{mode}'" in text for mode in ("w", "a", "wb", "ab", "x", "xb", "r+b"))
        wrote = name.rsplit(".", 1)[-1] in ("write_text", "write_bytes", "save_pretrained", "savefig", "save_file")
        wrote = wrote and name not in ("write_text", "write_bytes")
        if opened or wrote or name == "torch.save":
            known = WRITERS.get(path.name, set())
            assert name in known or name.rsplit(".", 1)[-1] in known, f"{path}: {text}"


PRINTERS = {
    ("options.py", "click.echo"),
    ("progress.py", "print"),
    ("build.py", "click.echo"),
    ("seeds.py", "print"),
    ("tracking.py", "print"),
}


def test_text_is_printed_in_one_place():
    for path, name, _, text in calls():
        if name in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
            assert (path.name, name) in PRINTERS, text


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sk-secret@host/v1",
        "https://sk-secret@host/v1",
        "me:sk-secret@host/v1",
        "//me:sk-secret@host/v1",
        "sk-secret@host",
        "HTTP://me:sk-secret@host/v1",
        "http:me:sk-secret@host/v1",
        "http:/me:sk-secret@host/v1",
        "http://host/v1?api_key=sk-secret",
        "http://host?sk-secret",
        "http://host/v1#key=sk-secret",
        "http://host/v1;key=sk-secret",
        "http://host/v1/%3Fapi_key%3Dsk-secret",
        "http://host\\@sk-secret/v1",
        "http://host /sk-secret",
        "ftp://host/sk-secret",
        "http://host/v1\nsk-secret",
        "http://host/planted-in-the-path/v1",
    ],
)
def test_an_address_holds_no_key(monkeypatch, url):
    monkeypatch.setenv("GATEWAY_PAT", "planted-in-the-path")
    engine = {"model": {"id": "m"}, "engine": {"name": "openai", "base_url": url}}
    reflector = {"p2o": {"reflector": {"kind": "openai", "model": "m", "base_url": url}}}
    for refused in (lambda: resolve_eval([], [], {}, engine), lambda: resolve("p2o", flags=reflector)):
        with pytest.raises(UsageError, match=r"holds (no user or key|the value of GATEWAY_PAT)") as e:
            refused()
        assert "sk-secret" not in str(e.value) and "planted" not in str(e.value)


def test_plain_addresses_are_addresses():
    for url in ("http://host/v1/a@b", "https://api.host.example:8443/openai/v1/", "http://[::1]:8000/v1", "http://127.0.0.1:1"):
        flags = {"model": {"id": "m"}, "engine": {"name": "openai", "base_url": url}}
        assert resolve_eval([], [], {}, flags).engine.base_url == url


def test_a_key_on_the_command_line_is_not_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "sk-on-the-line")
    run = RunDir(tmp_path)
    run.write_spec(SPEC)
    run.log_command(["harness", "run", "--set", "x=sk-on-the-line", "a b"])
    assert run.environment().commands == ["harness run --set x=$MY_API_KEY 'a b'"]


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASS",
        "GITHUB_PAT",
        "REGISTRY_AUTH",
        "PGPASSWORD",
        "MYSQL_PWD",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "npm_auth",
        "SESSION_COOKIE",
    ],
)
@pytest.mark.parametrize("value", ["it's-a-secret", "sk-on-the-line", "with \"both' $quotes`", "p/ss+w rd&=%"])
def test_no_kind_of_secret_gets_into_the_log_of_commands(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    run = RunDir(tmp_path)
    run.write_spec(SPEC)
    run.log_command(["harness", "eval", value, "--set", f"x={value}", f"u={quote(value, safe='')}"])
    [line] = run.environment().commands
    assert shlex.split(line)[2:] == [f"${name}", "--set", f"x=${name}", f"u=${name}"]


@pytest.mark.parametrize("name", ["PATH", "PWD", "OLDPWD", "GIT_AUTHOR_NAME", "COMPASS", "PATIENCE", "AUTHORITY"])
def test_other_variables_are_no_secrets(name):
    assert not is_secret(name)


def test_a_setting_that_holds_a_secret_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "sk-in-the-settings")
    flags = {"model": {"id": "m"}, "engine": {"extra": {"metadata": {"who": "it is sk-in-the-settings"}}}}
    with pytest.raises(UsageError, match="engine.extra.metadata.who holds the value of MY_API_KEY"):
        RunDir(tmp_path / "run").write_spec(resolve_eval([], [], {}, flags))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", ["api_key", "api-key", "Authorization", "access_token", "password", "key", "x-api-key"])
def test_fields_that_are_keys_are_refused_by_name(field):
    for extra in ({field: "sk-secret"}, {"headers": {field: "sk-secret"}}, {"more": [{field: "sk-secret"}]}):
        with pytest.raises(UsageError, match="keys come from the environment") as e:
            resolve_eval([], [], {}, {"model": {"id": "m"}, "engine": {"extra": extra}})
        assert "sk-secret" not in str(e.value)
    fine = {
        "max_tokens": None,
        "stop_token_ids": [1],
        "ignore_eos": True,
        "add_special_tokens": False,
        "logit_bias": {"50256": 1},
    }
    assert resolve_eval([], [], {}, {"model": {"id": "m"}, "engine": {"extra": fine}}).engine.extra == fine


def test_a_result_names_no_file_outside_its_run(tmp_path):
    whole = json.loads((write_run(tmp_path, result()) / "result.json").read_text())
    suite = whole["suites"]["tb-long"]
    for name in ("../../other", "/etc/passwd", "a/b", "..", "", "a\0b", "a\n"):
        (tmp_path / "result.json").write_text(json.dumps({**whole, "suites": {name: suite}}))
        with pytest.raises(HarnessError, match="no name of a suite"):
            load_result(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps({**whole, "suites": {"math500": suite, "tb-id": suite}}))
    assert set(load_result(tmp_path).suites) == {"math500", "tb-id"}


def test_names_of_a_spec_stay_in_their_folder(tmp_path):
    for id_ in ("../../x", "/etc/passwd", ".."):
        spec = resolve("grpo", sets=["train.set=deepscaler"], flags={"model": {"id": id_}})
        assert RunDir.default_parent(spec, tmp_path).parent == tmp_path


def problems(tmp_path, row, name="x.jsonl"):
    path = tmp_path / name
    text = (row if isinstance(row, str) else json.dumps(row)) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return reading.read_problems(path, "math")


def test_a_problem_id_is_text_and_never_a_path(tmp_path):
    (tmp_path / "data").mkdir()
    [p] = problems(tmp_path / "data", {**ROW, "id": "../../evil"})
    assert p.id == "../../evil" and sorted(x.name for x in tmp_path.rglob("*")) == ["data", "x.jsonl"]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                assert "problem.id" not in ast.unparse(node) and "p.id" not in ast.unparse(node), f"{path}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "problem": "x" * 1_000_001}, "more than 1,000,000"),
        ({**ROW, "answer": "\ud800"}, "surrogate"),
        ({**ROW, "id": "\udfff"}, "surrogate"),
        ({**ROW, "meta": [1]}, "'meta' must be an object"),
        ('{"id": ' + "9" * 5000 + "}", "cannot be read"),
        ("[" * 200_000, "cannot be read"),
        ({**ROW, "solution": "a\ud912"}, "surrogate"),
    ],
)
def test_hostile_rows_are_refused_with_their_line(tmp_path, row, said):
    with pytest.raises(UsageError, match="line 1") as e:
        problems(tmp_path, row)
    assert said in str(e.value) and len(str(e.value)) < 500


def test_a_small_file_does_not_unpack_to_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    assert problems(tmp_path, ROW, "x.jsonl.gz")
    with pytest.raises(UsageError, match="unpacks to more than 1,000 bytes"):
        problems(tmp_path, {**ROW, "problem": "x" * 1000}, "x.jsonl.gz")


def test_a_damaged_archive_is_a_sentence(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    whole = gzip.compress(json.dumps(ROW).encode() * 50)
    for data in (b"", b"no gzip", whole[:-9], whole[:12] + b"\xff" * 20 + whole[32:]):
        path.write_bytes(data)
        with pytest.raises(UsageError):
            reading.read_problems(path, "math")
