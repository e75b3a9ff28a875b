"""Each check of the doctor in both outcomes, and what the command and `harness run` make of them."""

import json
import socket
import sys
from importlib.metadata import distributions

import pytest
import torch
import yaml

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.core.types import Problem
from harness.doctor import examine, packages, ray
from harness.doctor.batch import check_batch, check_template
from harness.doctor.checks import Check, refusal
from harness.doctor.machine import Machine, read_machine, this_machine
from harness.doctor.packages import PINS, check_imports, check_packages
from harness.doctor.ray import check_ray
from harness.doctor.shapes import config_of
from harness.doctor.talk import check_servers
from support.command import harness
from support.models import tiny_llama
from support.paths import DATA
from support.settings import resolve

OPENRLHF = "openrlhf" in {d.name for d in distributions()}
PAPER = "qwen3-4b-deepscaler-5k"
NODE = {
    "nodes": 1,
    "gpus": 8,
    "gpu_memory_gb": 80,
    "host_memory_gb": 1000,
    "disk_gb": 2000,
    "packages": PINS,
}


def described(tmp_path, **more):
    path = tmp_path / "machine.yaml"
    path.write_text(yaml.safe_dump({**NODE, **more}))
    return path


# ---------------------------------------------------------------------- packages


def test_packages_are_those_that_were_pinned():
    assert check_packages(PINS).status == "ok"
    assert check_packages({**PINS, "torch": f"{PINS['torch']}+cu130"}).status == "ok", "a label is no other version"
    assert check_packages(None).status == "unchecked"


@pytest.mark.parametrize(
    ("more", "words", "missing"),
    [
        ({"flash-attn": None}, "not installed: flash-attn", True),
        ({"vllm": "0.28.0"}, f"vllm 0.28.0 in the place of {PINS['vllm']}", False),
        ({"torch": f"{PINS['torch']}+cpu"}, "without CUDA", True),
    ],
)
def test_another_package_is_named_with_the_way_to_the_right_one(more, words, missing):
    check = check_packages({**PINS, **more})
    assert (check.status, check.missing) == ("fails", missing) and words in check.found and "install.sh" in check.todo


def test_a_package_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setattr(packages, "IMPORTS", ("json", "no_such_package"))
    check = check_imports()
    assert check.status == "fails" and "no_such_package does not load (ModuleNotFoundError" in check.found
    monkeypatch.setattr(packages, "IMPORTS", ("json",))
    assert check_imports().status == "ok"
    assert check_imports(seconds=0.001).status == "warning"


# ---------------------------------------------------------------------- the machine


def test_this_machine_is_measured(tmp_path):
    here = this_machine(tmp_path / "not" / "there")
    assert not here.described and here.gpus == torch.cuda.device_count()
    assert here.disk_gb is not None and here.disk_gb > 0
    assert here.packages is not None and here.packages["torch"] == torch.__version__


def test_the_limit_of_a_job_is_its_memory(tmp_path, monkeypatch):
    from harness.doctor import machine

    (tmp_path / "meminfo").write_text("MemTotal:       1000000 kB\nMemAvailable:    10 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    for limit, gb in (("max", 1.024), ("500000000", 0.5)):
        (tmp_path / "max").write_text(f"{limit}\n")
        monkeypatch.setattr(machine, "CGROUP", tmp_path / "max")
        assert this_machine(tmp_path).host_memory_gb == gb


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gpu: 8", UsageError, "did you mean 'machine.gpus'"),
        ("gpus: many", UsageError, "machine.gpus"),
        ("- 8", UsageError, "must hold a mapping"),
        (None, MissingError, "no file"),
    ],
)
def test_a_file_that_describes_no_machine(tmp_path, text, error, words):
    path = tmp_path / "machine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=words):
        read_machine(path)


def test_a_description_may_be_json(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(NODE))
    assert read_machine(path) == Machine(**NODE)


# ---------------------------------------------------------------------- Ray


@pytest.fixture
def with_ray(monkeypatch, tmp_path):
    """As on a machine with Ray, without any cluster."""
    monkeypatch.setattr(ray, "find_spec", lambda name: True)
    monkeypatch.setattr(ray, "CURRENT", tmp_path / "ray_current_cluster")
    monkeypatch.setattr(ray, "PROC", tmp_path)
    return tmp_path


def test_without_ray_nothing_starts(monkeypatch):
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    assert check_ray(resolve("grpo", PAPER), {}).status == "fails"


def test_on_one_node_other_clusters_are_ignored_but_named(with_ray):
    spec = resolve("grpo", PAPER)
    assert check_ray(spec, {"RAY_ADDRESS": "10.0.0.1:6379"}).status == "ok"
    (with_ray / "77").mkdir()
    (with_ray / "77" / "comm").write_text("raylet\n")
    check = check_ray(spec, {})
    assert check.status == "warning" and check.found.startswith("1 raylets")


def test_on_two_nodes_a_cluster_must_answer(with_ray):
    spec = resolve("grpo", "qwen3-4b-deepscaler-2nodes")
    check = check_ray(spec, {})
    assert check.status == "fails" and check.missing and "ray start --head" in check.todo
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert check_ray(spec, {"RAY_ADDRESS": address}).status == "ok"
        assert check_ray(spec, {"RAY_ADDRESS": f"http://{address}"}).status == "ok"
        (with_ray / "ray_current_cluster").write_text(address)
        assert check_ray(spec, {}).status == "ok"
    stale = check_ray(spec, {"RAY_ADDRESS": "auto"})  # the cluster is gone, its file is not
    assert stale.status == "fails" and "nobody answers" in stale.found


# ---------------------------------------------------------------------- servers


def told(httpserver, text="4", finish="stop", **message):
    answer = {"message": {"content": text, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 2}
    httpserver.expect_request("/v1/chat/completions").respond_with_json({"choices": [answer], "usage": usage})
    return resolve("p2o", PAPER, sets=[f"p2o.reflector.base_url={httpserver.url_for('/v1')}"])


def test_a_reflector_is_asked_one_question_as_the_run_would_ask(httpserver):
    [check] = check_servers(told(httpserver), True)
    assert (check.what, check.status) == ("reflector", "ok")
    [(request, _)] = httpserver.log
    assert request.json["model"] == "Qwen/Qwen3-4B" and request.json["max_tokens"] == 2048
    assert request.json["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"text": None, "reasoning_content": "two and two ..."}, "reasoning without an answer"),
        ({"finish": "length"}, "was cut"),
    ],
)
def test_an_answer_of_which_no_template_is_made_is_a_warning(httpserver, answer, words):
    [check] = check_servers(told(httpserver, **answer), True)
    assert check.status == "warning" and words in check.found and "p2o.reflector.extra" in check.todo


def test_a_reflector_that_is_down_or_refuses_fails(httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_json({"error": {"message": "no such model"}}, 404)
    [check] = check_servers(resolve("p2o", PAPER, sets=[f"p2o.reflector.base_url={httpserver.url_for('/v1')}"]), True)
    assert check.status == "fails" and check.missing and "no such model" in check.found
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    [check] = check_servers(resolve("p2o", PAPER, sets=[f"p2o.reflector.base_url=http://127.0.0.1:{port}/v1"]), True)
    assert check.status == "fails" and "base_url=ADDRESS" in check.todo


def test_nobody_is_asked_for_another_machine_or_without_a_server(httpserver):
    [check] = check_servers(told(httpserver), False)
    assert check.status == "unchecked" and not httpserver.log
    assert check_servers(resolve("p2o", "qwen3-4b-deepscaler-1gpu"), True) == []
    assert check_servers(resolve("grpo", PAPER), True) == []


# ---------------------------------------------------------------------- tokenizer and loss

CHAT = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
REFUSES = "{{ raise_exception('no turns today') }}"


def test_the_template_renders_a_turn_or_says_why_not(tmp_path):
    folder = tiny_llama(tmp_path / "good", CHAT)
    problems = [Problem("a", "2 3 + 4", "1")]
    check = check_template(resolve("grpo", "qwen2.5-0.5b-words", sets=[f"model.id={folder}"]), True, problems, True)
    assert check.status == "ok" and "SHA-256" in check.found and "the longest prompt has" in check.found
    refusing = tiny_llama(tmp_path / "bad", REFUSES)
    with pytest.raises(UsageError, match="no turns today"):
        check_template(resolve("grpo", "qwen2.5-0.5b-words", sets=[f"model.id={refusing}"]), True, problems, True)


def test_a_prompt_beyond_its_budget_is_a_warning(tmp_path):
    folder = tiny_llama(tmp_path / "m", CHAT)
    spec = resolve("grpo", PAPER, sets=[f"model.id={folder}", "model.chat_options={}", "backend.prompt_tokens=3"])
    check = check_template(spec, True, [Problem("a", "2 3 + 4 5 6", "1")], True)
    assert check.status == "warning" and "backend.prompt_tokens 3" in check.found


def test_a_tokenizer_that_is_not_here(monkeypatch):
    spec = resolve("grpo", PAPER, sets=["model.id=nobody/nothing"])
    assert check_template(spec, True, [], True).status == "fails"
    assert check_template(spec, True, [], False).status == "unchecked", "it may be on the machine that is described"


@pytest.mark.parametrize(
    ("method", "recipe", "correction"),
    [
        ("p2o", PAPER, "mask"),
        ("p2o", "smollm2", "mask"),
        ("prefix-ladder", "smollm2", ""),
        ("critique-refine", "smollm2", "shaping"),
    ],
)
def test_a_batch_reaches_every_tensor(method, recipe, correction):
    spec = resolve(method, recipe)
    check = check_batch(spec, config_of(spec, True), None)
    assert check.status == "ok" and correction in check.found.split("correction ")[1]


def test_a_loss_that_does_not_run_fails(monkeypatch):
    from harness.training import update

    spec = resolve("grpo", "smollm2")
    monkeypatch.setattr(update, "token_losses", lambda logps, *rest: logps.reshape(7, 7, 7))
    check = check_batch(spec, config_of(spec, True), None)
    assert check.status == "fails" and "RuntimeError" in check.found


def test_tensors_without_a_gradient_are_named(monkeypatch):
    from harness.training import update

    spec = resolve("grpo", "smollm2", sets=["model.dtype=bfloat16"])
    detached = update.token_losses
    monkeypatch.setattr(update, "token_losses", lambda logps, *rest: detached(logps.detach().requires_grad_(), *rest))
    check = check_batch(spec, config_of(spec, True), None)
    assert check.status == "fails" and "get no gradient" in check.found


# ---------------------------------------------------------------------- the command


def test_a_described_node_passes_and_what_is_unknown_is_said(capsys, tmp_path):
    args = ("doctor", "--recipe", PAPER, "--method", "p2o", "--offline", "--json")
    code, out, err = harness(capsys, *args, "--machine", described(tmp_path))
    found = json.loads(out)
    status = {c["what"]: c["status"] for c in found["checks"]}
    assert code == 0, err
    assert {name for name, s in status.items() if s == "unchecked"} >= {"data", "Ray", "reflector"}
    assert {name for name, s in status.items() if s == "ok"} >= {"packages", "GPUs", "GPU memory, training", "disk"}
    assert {p["name"] for p in found["memory"]} >= {"weights", "logits", "engines asleep", "checkpoints"}


def test_a_small_card_fails_with_a_recipe_that_fits(capsys, tmp_path):
    path = described(tmp_path, gpus=1, gpu_memory_gb=24)
    code, out, err = harness(capsys, "doctor", "--recipe", "qwen3-4b-deepscaler-1gpu", "--offline", "--machine", path)
    assert code == 1 and "GPU memory, training" in err and "qwen2.5-0.5b-gsm8k" in out and "engines asleep" in out


def test_bad_input(capsys, tmp_path):
    assert harness(capsys, "doctor", "--machine", tmp_path / "none.yaml", "--recipe", PAPER)[0] == 3
    assert harness(capsys, "doctor", "--recipe", "none")[0] == 2
    assert harness(capsys, "doctor", "--recipe", PAPER, "--machine", described(tmp_path, gpus=-1))[0] == 2


@pytest.mark.skipif(OPENRLHF or torch.cuda.is_available(), reason="this machine has what it lacks elsewhere")
@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder")
def test_on_a_machine_without_gpus_it_says_what_is_missing(capsys):
    code, out, err = harness(
        capsys, "doctor", "--recipe", PAPER, "--bench", "aime24", "--data-dir", DATA, "--offline", "--json"
    )
    checks = {c["what"]: c for c in json.loads(out)["checks"]}
    assert code == 1 and {"packages", "GPUs", "Ray", "chat template"} <= {
        w for w, c in checks.items() if c["status"] == "fails"
    }
    assert "flash-attn" in checks["packages"]["found"] and checks["GPUs"]["found"] == "0 a node, 8 are needed"
    assert checks["data"]["status"] == "ok" and checks["settings"]["status"] == "ok"
    assert "are needed" in checks["GPU memory, training"]["found"], "what a GPU would need is reckoned all the same"


@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder")
def test_other_data_than_the_pinned_is_a_warning(tmp_path):
    import gzip

    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "eval").symlink_to(DATA / "eval")
    (folder / "train").mkdir()
    with gzip.open(folder / "train" / "deepscaler.jsonl.gz", "wt") as f:
        f.writelines(json.dumps({"id": str(i), "problem": f"{i}+1?", "answer": str(i + 1)}) + "\n" for i in range(200))
    report = examine.Report()
    spec = resolve("grpo", PAPER, sets=["train.limit=null"], flags={"eval": {"bench": "aime24"}})
    assert examine._prepared(report, spec, folder, True) is not None
    check = report.checks[-1]
    assert (check.what, check.status) == ("data", "warning") and "is not the file" in check.found


def test_a_run_is_refused_before_it_writes_and_not_without_the_doctor(capsys, tmp_path, monkeypatch):
    """The second refusal is the backend's own, which looks for packages alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(examine, "this_machine", lambda out: Machine(**{**NODE, "packages": {}, "described": False}))
    args = ("run", "--method", "grpo", "--recipe", "testbed", "--backend", "openrlhf", "--set", "backend.gpus_per_node=8")
    code, _, err = harness(capsys, *args)
    assert code == 3 and "not installed: openrlhf" in err and "--no-doctor" in err and list(tmp_path.iterdir()) == []
    if not OPENRLHF:
        code, _, err = harness(capsys, *args, "--no-doctor")
        assert code == 3 and "--no-doctor" not in err and list(tmp_path.iterdir()) == []


def test_an_embedded_run_does_not_wait_for_the_doctor(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("harness.doctor")]:
        monkeypatch.delitem(sys.modules, name)
    tiny = ("--bench", "sk-id", "--seeds", "0", "--limit", "2", "--set", "train.epochs=0")
    code, _, err = harness(capsys, "run", "--method", "grpo", *tiny)
    assert code == 0, err
    assert not [name for name in sys.modules if name.startswith("harness.doctor.") and name != "harness.doctor"]


def test_a_refusal_is_missing_only_where_all_is():
    gone, broken = Check("a", "fails", "x", "get it", missing=True), Check("b", "fails", "y")
    assert refusal([Check("c", "warning", "z"), Check("d", "unchecked", "u")]) is None
    assert type(refusal([gone])) is MissingError and "a: x (get it)" in str(refusal([gone]))
    assert type(refusal([gone, broken])) is HarnessError
