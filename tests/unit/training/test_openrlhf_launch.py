"""Files for clusters and the install sequence: every harness line parses with the real command line."""

import json
import os
import re
import shlex
import subprocess
from importlib.metadata import requires

import click
import pytest

from harness.cli.main import cli
from harness.core.errors import UsageError
from harness.core.types import Problem
from harness.registry import load_method, recipes
from harness.training.openrlhf.flags import translate
from harness.training.openrlhf.launch import launch_file
from support.command import harness
from support.paths import ROOT
from support.settings import resolve

GPU = ROOT / "harness" / "training" / "openrlhf" / "gpu"
OPENRLHF = [name for name in recipes() if resolve("grpo", name).backend.name == "openrlhf"]


def test_the_recipes_of_clusters_are_known():
    assert len(OPENRLHF) >= 4


def rendered(capsys, kind, recipe, method="p2o", *more):
    code, out, err = harness(capsys, "launch", kind, "--method", method, "--recipe", recipe, "--data-dir", "DATA", *more)
    assert code == 0, err
    return out


def ran(text, tmp_path, **environ):
    """The commands that a file runs, word by word: each program is one that writes down how it was called."""
    calls = tmp_path / "calls"
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    note = 'line=$(printf "%s\\037" "$(basename "$0")" "$@"); printf "%s\\n" "$line" >> "$CALLS"; [ "$1" != "$FAILS" ]'
    scripts = dict.fromkeys(("harness", "ray", "srun", "vllm"), note)
    scripts["curl"] = 'until grep -q ^vllm "$CALLS"; do /bin/sleep 0.1; done'  # it waits for the server
    scripts |= {"sleep": "exec /bin/sleep 0.5", "hostname": "echo node1"}
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    path = tmp_path / "job.sh"
    path.write_text(text)
    env = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(calls),
        "SLURM_JOB_ID": "7",
        "FAILS": "none",
        **environ,
    }
    done = subprocess.run(["bash", path], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    lines = calls.read_text().rstrip("\n").split("\n") if calls.exists() else []
    return done, [line.rstrip("\x1f").split("\x1f") for line in lines]


def parsed(words):
    """(name, parameters) of a harness command line. Raises click's error for what does not parse."""
    name, command, rest = cli.resolve_command(click.Context(cli), words)
    return name, command.make_context(name, rest).params


def spec_of(params):
    flags = {"eval": {"bench": params["bench"]}}
    return resolve(params["method"], params["recipe"], params["configs"], params["sets"], flags)


@pytest.mark.parametrize("method", ["p2o", "grpo"])
@pytest.mark.parametrize("recipe", OPENRLHF)
def test_a_slurm_file_checks_and_runs_the_recipe(recipe, method, capsys, tmp_path):
    text = rendered(capsys, "slurm", recipe, method)
    done, calls = ran(text, tmp_path)
    assert done.returncode == 0, done.stderr
    ours = [parsed(words[1:]) for words in calls if words[0] == "harness"]
    assert [name for name, _ in ours] == ["doctor", "run"]
    spec, asked = spec_of(ours[1][1]), resolve(method, recipe)
    assert ours[1][1]["out"] == ours[0][1]["out"] and ours[1][1]["go_on"], "requeued, it goes on"
    directives = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", text, re.M))
    assert directives["nodes"] == str(spec.backend.nodes) and directives["gpus-per-node"] == str(asked.backend.gpus_per_node)
    servers = [words for words in calls if words[0] == "vllm"]
    if asked.method_config.get("reflector", {}).get("kind") == "openai":
        assert servers == [["vllm", "serve", "Qwen/Qwen3-4B", "--port", "8000", "--max-model-len", "32768"]]
        assert spec.method_config["reflector"]["base_url"] == "http://node1:8000/v1"
        assert spec.backend.gpus_per_node == 6, "384 samples over 6 GPUs, not over 7"
        assert "export CUDA_VISIBLE_DEVICES=0,1,2,3,4,5\n" in text and "CUDA_VISIBLE_DEVICES=7 vllm" in text
    else:
        assert not servers and spec.backend.gpus_per_node == asked.backend.gpus_per_node
    starts = [words for words in calls if words[0] == "srun"]
    assert len(starts) == (0 if spec.backend.nodes == 1 else 2)
    problems = [Problem(str(i), "x", "y") for i in range(spec.train.prompts_per_batch)]
    made = load_method(spec.method)(spec.typed_method_config(), spec.train, problems, 0, ["a"])
    translate(spec, made, "M", tmp_path, tmp_path, 0, resume=False)  # nothing that it would refuse


def test_a_folder_with_a_space_in_its_name_is_one_folder(capsys, tmp_path):
    done, calls = ran(rendered(capsys, "slurm", OPENRLHF[0], "grpo", "--out", "my run"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert [str(parsed(words[1:])[1]["out"]) for words in calls if words[0] == "harness"] == ["my run", "my run"]


def test_a_job_whose_doctor_fails_does_not_run(capsys, tmp_path):
    done, calls = ran(rendered(capsys, "slurm", OPENRLHF[0], "grpo"), tmp_path, FAILS="doctor")
    assert done.returncode and [words[1] for words in calls] == ["doctor"]


@pytest.mark.parametrize("method", ["p2o", "grpo"])
@pytest.mark.parametrize("recipe", OPENRLHF)
def test_a_ray_file_submits_the_recipe(recipe, method, capsys, tmp_path):
    text = rendered(capsys, "ray", recipe, method, "--set", "train.lr=2e-6")
    done, calls = ran(text, tmp_path, RAY_ADDRESS="http://h:8265", REFLECTOR="http://r:8000/v1")
    assert done.returncode == 0, done.stderr
    [words] = calls
    assert words[:3] == ["ray", "job", "submit"]
    name, params = parsed(words[words.index("--") + 2 :])
    spec, asked = spec_of(params), resolve(method, recipe)
    assert name == "run" and params["go_on"] and spec.train.lr == 2e-6 and spec.backend == asked.backend
    env = next(w for w in words if w.startswith("--runtime-env-json=")).partition("=")[2]
    assert json.loads(env) == {"env_vars": {"HARNESS_REFLECTOR_KEY": "none"}}
    if asked.method_config.get("reflector", {}).get("kind") == "openai":
        assert spec.method_config["reflector"]["base_url"] == "http://r:8000/v1"
        done, calls = ran(text, tmp_path, RAY_ADDRESS="http://h:8265")
        assert done.returncode and "REFLECTOR" in done.stderr
    assert ("--entrypoint-num-gpus=8" in words) == (asked.backend.nodes == 1 and asked.backend.gpus_per_node == 8)


def test_words_stay_words(capsys, tmp_path):
    """What a shell would take apart or run arrives as it was given."""
    hostile = "$(touch broken) `touch broken` 'x' \"y\""
    text = launch_file("slurm", resolve("grpo", OPENRLHF[0]), ["--method", "grpo", "--recipe", hostile], hostile)
    done, calls = ran(text, tmp_path)
    assert calls[-1][calls[-1].index("--recipe") + 1] == calls[-1][calls[-1].index("--out") + 1] == hostile
    assert not (tmp_path / "broken").exists()


def test_what_has_no_file(capsys):
    code, _, err = harness(capsys, "launch", "slurm", "--method", "grpo", "--recipe", "smollm2")
    assert code == 2 and "needs no cluster" in err
    server = "p2o.reflector={kind: openai, model: M, base_url: 'http://localhost:1/v1'}"
    with pytest.raises(UsageError, match="leaves none to train on; .* p2o.reflector.base_url"):
        launch_file("slurm", resolve("p2o", "qwen3-4b-deepscaler-1gpu", sets=[server]), [], "runs")


def test_the_install_sequence_and_the_container_name_files_that_are_there():
    script, image = (GPU / "install.sh").read_text(), (GPU / "Dockerfile").read_text()
    assert subprocess.run(["bash", "-n", GPU / "install.sh"]).returncode == 0 and os.access(GPU / "install.sh", os.X_OK)
    steps = re.findall(r"^pip install (.*)$", script, re.M)
    assert [s for s in steps if "$here/constraints.txt" not in s] == []
    assert "torch" in steps[0] and "--no-build-isolation flash-attn deepspeed" in steps[1] and steps[2].endswith('[openrlhf]"')
    for line in re.findall(r"^#.* (docker build .*)$", image, re.M):
        words = shlex.split(line)
        assert (ROOT / words[words.index("-f") + 1]).is_file()
    assert "harness/training/openrlhf/gpu/install.sh" in image
    name, params = parsed(shlex.split(re.search(r"p2o-harness (harness doctor .*)$", image, re.M)[1])[1:])
    assert name == "doctor" and params["recipe"] == "RECIPE"


def test_versions_are_those_that_openrlhf_and_the_extra_ask_for():
    rows = [line for line in (GPU / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = {n.lower().replace("_", "-"): v for n, v in (row.split("==") for row in rows)}
    assert len(pins) == len(rows)
    asked = [r for r in requires("p2o-harness") if re.search(r"""extra == ["']openrlhf["']""", r)]
    exact = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==([\d.]+)", "\n".join(asked), re.M))
    assert exact and {n: pins[n.lower()] for n in exact} == exact
    known = {"vllm": "0.29.0", "ray": "2.55.0", "deepspeed": "0.19.6", "flash-attn": "2.8.3", "transformers": "5.15.0"}
    assert {n: pins[n] for n in known} == known, "what openrlhf 0.11.2 requires in its metadata"
