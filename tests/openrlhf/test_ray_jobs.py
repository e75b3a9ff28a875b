"""A study whose jobs a Ray cluster runs: of one node, with its dashboard's own interface for jobs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from running import finished, start

PORT, DASHBOARD = 6399, 8399
SETTINGS = {"train.epochs": 1, "testbed.problems": 32, "train.prompts_per_batch": 16, "eval.limit": 8}
STUDY = {
    "title": "Two arms",
    "recipe": "testbed",
    "bench": "tb-id",
    "seeds": [0, 1],
    "baseline": "grpo",
    "arms": {
        "grpo": {"method": "grpo", "settings": SETTINGS},
        "hot": {"method": "grpo-t1", "match": "grpo", "settings": SETTINGS},
    },
}


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of one node, which ends by itself: `ray stop` would end all others of this machine."""
    from ray.job_submission import JobSubmissionClient

    session, address = (
        Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")),
        f"http://127.0.0.1:{DASHBOARD}",
    )  # a socket's name is short
    words = ["start", "--head", "--block", "--num-cpus=2", "--include-dashboard=true", "--disable-usage-stats"]
    words += [f"--port={PORT}", f"--dashboard-port={DASHBOARD}", f"--temp-dir={session}"]
    with (session / "log").open("w") as log:
        head = subprocess.Popen([Path(sys.executable).with_name("ray"), *words], stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                JobSubmissionClient(address)
                break
            except (ConnectionError, RuntimeError):
                assert head.poll() is None and time.monotonic() < until, (session / "log").read_text()
                time.sleep(1)
        yield {"RAY_ADDRESS": address}
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(session, ignore_errors=True)


def samples(out):
    return {path.parts[-3]: path.read_bytes() for path in out.glob("cells/*/samples/tb-id.jsonl")}


@pytest.mark.slow
def test_a_stopped_job_is_handed_over_again_and_all_is_merged(tmp_path, cluster):
    """As many of the same command as it takes, one job stopped in between: the same samples as by processes of this machine."""
    from ray.job_submission import JobSubmissionClient

    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    command = ["study", "run", tmp_path / "study.yaml", "--per", "seed", "--json"]
    client, stopped, told = JobSubmissionClient(cluster["RAY_ADDRESS"]), "", []
    until = time.monotonic() + 900
    while time.monotonic() < until:
        code, out, err = finished(
            start(*command, "--out", tmp_path / "ray", "--launcher", "ray", environment={**os.environ, **cluster})
        )
        assert code == 0, err
        found = json.loads(out.splitlines()[-1])
        told.append(found["jobs"])
        if not found["not_done"]:
            break
        if not stopped:
            stopped = told[0]["grpo@s1"].split()[-1]
            while not (tmp_path / "ray" / ".parts" / "grpo" / "s1" / "spec.json").exists():
                time.sleep(0.1)
            client.stop_job(stopped)
        time.sleep(2)
    assert found["not_done"] == [] and set(told[-1].values()) == {"done"}
    assert told[0]["hot@s0"].startswith("waits until grpo is done")
    assert str(client.get_job_status(stopped)) == "STOPPED"
    again = [jobs.get("grpo@s1", "") for jobs in told[1:]]
    assert any(text.startswith("submitted as") and stopped not in text for text in again)
    code, _, err = finished(start(*command, "--out", tmp_path / "here"))
    assert code == 0, err
    assert samples(tmp_path / "ray") == samples(tmp_path / "here") and len(samples(tmp_path / "ray")) == 2
