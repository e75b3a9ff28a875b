"""Two nodes: a Ray head and a worker in network namespaces of their own, a trainer and an engine on each.

What two machines have and this has not: two clocks, two file systems, a network that loses packets.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import TOY, finished, p2o_command, start
from sides import agreement, both

from harness.config import resolve
from harness.runs.files import read_jsonl
from harness.training.openrlhf.backend import environment

HEAD, WORKER = "10.77.0.1", "10.77.0.2"
SPACES = {"rehearsal-head": HEAD, "rehearsal-worker": WORKER}


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


def possible():
    try:
        made = ip("netns", "add", "rehearsal-try", check=False)
        ip("netns", "del", "rehearsal-try", check=False)
        return made.returncode == 0
    except OSError:
        return False


@contextmanager
def network():
    """Two namespaces joined by a cable; what runs in them at the end is killed."""
    first, second = SPACES
    try:
        for name in SPACES:
            ip("netns", "add", name)
        ip("link", "add", "rehearse0", "netns", first, "type", "veth", "peer", "name", "rehearse0", "netns", second)
        for name, address in SPACES.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "rehearse0")
            for device in ("lo", "rehearse0"):
                ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "route", "add", "default", "via", next(a for a in SPACES.values() if a != address))
        yield
    finally:
        for name in SPACES:
            for pid in ip("netns", "pids", name, check=False).stdout.split():
                subprocess.run(["kill", "-9", pid], check=False)
            time.sleep(0.5)
            ip("netns", "del", name, check=False)


def environment_of(address, work):
    """That of the cluster's processes on a node: what a rehearsal gets, with this machine's own two GPUs that are none."""
    spec = resolve("grpo", "testbed", flags={"backend": {"rehearse": True, "nodes": 2, "gpus_per_node": 1}})
    own = environment(spec, work)
    path = os.pathsep.join([own["PYTHONPATH"], str(TOY)])
    more = {"PYTHONPATH": path, "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 4, "GPU": 1}), "VLLM_HOST_IP": address}
    return {**os.environ, **own, **more, "GLOO_SOCKET_IFNAME": "rehearse0"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """P2O on the two nodes, without a server; the folder and the addresses of the nodes as Ray knows them."""
    out = tmp_path_factory.mktemp("nodes") / "run"
    session = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # its sockets' names must be short
    work = (out / "openrlhf" / "s0").resolve()
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--num-gpus=1", "--num-cpus=4", "--disable-usage-stats"]
    with network():
        for name, address in SPACES.items():
            head = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={session}"]
            role = head if address == HEAD else [f"--address={HEAD}:6379"]
            command = ["ip", "netns", "exec", name, *ray, *role, f"--node-ip-address={address}"]
            told = session / f"{name}.log"  # not a pipe, which Ray's daemons would keep open
            with told.open("w") as log:
                done = subprocess.run(command, env=environment_of(address, work), stdout=log, stderr=log, timeout=300)
            assert done.returncode == 0, told.read_text()
        nodes = ["--set=backend.rehearse=true", "--set=backend.nodes=2", "--set=backend.gpus_per_node=1"]
        command = [w for w in p2o_command(out, None, *nodes, "--set=toy-p2o.keep=true") if w != "--rehearse"]
        process = start(*command, inside=next(iter(SPACES)), environment={"RAY_ADDRESS": f"{HEAD}:6379", "VLLM_HOST_IP": HEAD})
        code, _, err = finished(process)
        assert code == 0, err + (work / "driver.log").read_text()[-3000:]
        yield out
    shutil.rmtree(session, ignore_errors=True)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="needs network namespaces, and the right to make them"),
]


def test_both_nodes_train_and_sample(run):
    log = (run / "openrlhf" / "s0" / "driver.log").read_text()
    assert f"ip={WORKER}" in log and "RolloutRayActor" in log
    assert [(r["epoch"], r["batch"]) for r in read_jsonl(run / "metrics.jsonl") if r["kind"] == "batch"] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_two_shards_take_the_step_of_one(run):
    mine, theirs, _ = both(run)
    for start_, end in ((0, 1), (0, 2), (2, 4)):
        cosine, length = agreement(mine, theirs, start_, end)
        print(f"batches {start_} to {end}: cosine {cosine:.4f}, length {length:.4f}")
        assert cosine >= 0.99 and length == pytest.approx(1, abs=0.02)
