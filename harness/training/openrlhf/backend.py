"""The harness's side of OpenRLHF: starts the driver in a session of its own, follows it by its files, ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from harness.config import RunSpec
from harness.core.errors import HarnessError, MissingError
from harness.core.method import Method
from harness.core.types import Rollout, Sampling
from harness.models import locate
from harness.runs.files import open_appending, write_text
from harness.training.openrlhf.flags import Translation, translate
from harness.training.openrlhf.job import Ask, Failure, SeedJob, rollout_from
from harness.training.prompts import rendering
from harness.training.seedlog import SeedLog
from harness.training.vllm_requests import vllm_version

FAULT = re.compile(r"(Error|Exception)\b|error:")
"""What an exception's line holds."""
NEEDS = ("openrlhf", "vllm", "ray", "deepspeed")


class OpenRLHFBackend:
    """One seed at a time: `train` starts the driver, `generate` asks its engines, leaving the context ends it."""

    def __init__(self, spec: RunSpec, offline: bool = False) -> None:
        """Raises MissingError where packages, GPUs or the model are not there."""
        missing = [name for name in NEEDS if find_spec(name) is None]
        if missing:
            raise MissingError(
                f"backend openrlhf needs {', '.join(missing)}: pip install 'p2o-harness[openrlhf]' on a machine with GPUs, "
                "or make rehearse for one without"
            )
        if not spec.backend.rehearse and not _gpus():
            raise MissingError("backend openrlhf found no GPU here; --rehearse runs the same path without one")
        self.spec, self.offline = spec, offline
        self.source = _folder(str(locate(spec, offline)), spec.model.revision, offline)
        self.tick: Callable[[int], None] = lambda done: None
        self.driver: subprocess.Popen[bytes] | None = None
        self.work = Path()
        self._asked = count()

    def train(self, method: Method, log: SeedLog) -> None:
        """All epochs of one seed, from the log's last checkpoint; the driver then waits for `generate`."""
        self.work = (log.run.path / "openrlhf" / f"s{log.seed}").resolve()
        self._mark = f"HARNESS_JOB={self.work}"
        end(self._mark)  # of a harness that was killed a moment ago: they would write to the same files
        for leftover in ("ask", "answer", "stop", "progress.json", "failed.json"):
            path = self.work / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        job = SeedJob(work=self.work, spec=self.spec, seed=log.seed, problems=log.problems, phrases=method.phrases)
        job.write()
        restored = log.restore()
        if restored:  # DeepSpeed may have written a newer one whose log entry was lost
            tag = restored[0].name
            write_text(self.work / "checkpoints" / "_actor" / "latest", tag)
        self._start(
            translate(self.spec, method, self.source, self.work, log.final.resolve(), log.seed, resume=restored is not None)
        )
        for told in self._progress():
            if told["trained"]:
                break
            log.tick(told["done"], told["text"])
        log.restore()

    def generate(self, prompts: Sequence[str], sampling: Sampling, seed: int) -> list[Rollout]:
        name = f"{next(self._asked):06d}.json"
        Ask(list(prompts), sampling, seed).write(self.work / "ask" / name)
        answer = self.work / "answer" / name
        for told in self._progress():
            if answer.exists():
                break
            self.tick(told["done"])
        rows = json.loads(answer.read_text())
        answer.unlink()
        return [rollout_from(row) for row in rows]

    def identity(self) -> dict[str, Any]:
        from transformers import AutoTokenizer

        seen = rendering(AutoTokenizer.from_pretrained(self.source), self.spec.model)
        return {"engine": "vllm", "version": vllm_version(), "dtype": "bfloat16", "rendering_sha256": seen}

    def close(self) -> None:
        """Let the driver export the trained policy and end."""
        if self.driver is None:
            return
        (self.work / "stop").touch()
        if self.driver.wait():
            raise self._failure()
        self._sweep()

    def __enter__(self) -> OpenRLHFBackend:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._sweep()

    # ------------------------------------------------------------------ the driver

    def _start(self, translation: Translation) -> None:
        with open_appending(self.work / "driver.log") as out:
            self.driver = subprocess.Popen(
                [sys.executable, *translation.command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment(self.spec, self.work)},
                start_new_session=True,
            )

    def _progress(self) -> Iterator[dict[str, Any]]:
        """What the trainer last said, five times a second; raises when the driver ends."""
        path = self.work / "progress.json"
        while True:
            if self.driver is None or self.driver.poll() is not None:
                raise self._failure()
            yield (
                json.loads(path.read_text())
                if path.exists()
                else {"done": 0, "text": "starting Ray, vLLM and DeepSpeed", "trained": False}
            )
            time.sleep(0.2)

    def _failure(self) -> HarnessError:
        """What the trainer told of its end; failing that, the last error in the driver's log."""
        if told := Failure.read(self.work):
            return told
        log = self.work / "driver.log"
        lines = [x.strip() for x in log.read_text(errors="replace").splitlines() if x.strip()]
        reasons = [x for x in lines if FAULT.search(x)] or lines or ["it said nothing"]
        code = self.driver.returncode if self.driver else None
        return HarnessError(f"OpenRLHF ended with exit code {code}: {reasons[-1][:300]} (all of it: {log}); --resume continues")

    def _sweep(self) -> None:
        """End the driver and whatever it started: Ray's and vLLM's processes carry the job's name in their environment."""
        if self.driver is None:
            return
        end(self._mark, self.driver)
        self.driver.wait()
        self.driver = None


def _folder(source: str, revision: str | None, offline: bool) -> str:
    """A hub id at its pinned revision as a folder: OpenRLHF and vLLM would take the newest."""
    if Path(source).is_dir():
        return str(Path(source).resolve())
    from huggingface_hub import snapshot_download

    try:
        folder: str = snapshot_download(source, revision=revision, local_files_only=offline)
        return folder
    except Exception as e:  # many kinds: no network, no such id, no such revision, not cached
        raise MissingError(f"cannot fetch model {source!r}: {str(e).strip().splitlines()[0]}") from None


def environment(spec: RunSpec, work: Path) -> dict[str, str]:
    """What the driver's environment adds to ours; Ray's workers inherit it, unless the cluster was started before."""
    out = {
        "HARNESS_JOB": str(work),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_DATASETS_CACHE": str(work / "datasets"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "VLLM_NO_USAGE_STATS": "1",
    }
    if spec.backend.nodes == 1:
        out["RAY_ADDRESS"] = "local"  # else the file of a cluster that is long gone makes it wait for ever
    if spec.backend.rehearse:
        shim = str(Path(__file__).with_name("rehearsal"))
        gpus = spec.backend.nodes * spec.backend.gpus_per_node
        out |= {
            "PYTHONPATH": os.pathsep.join(filter(None, [shim, os.environ.get("PYTHONPATH")])),
            "RAY_worker_niceness": "0",  # Ray's 15 makes a rehearsal wait for whatever else this machine does
            "RAY_prestart_worker_first_driver": "0",  # one idle process per CPU
            "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 4 * gpus, "GPU": gpus}),
            "DS_ACCELERATOR": "cpu",
            "TORCHDYNAMO_DISABLE": "1",
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "HF_HUB_OFFLINE": "1",
        }
    return out


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def end(mark: str, child: subprocess.Popen[bytes] | None = None) -> None:
    """End all processes with this mark, by force where need be; `child` is the one among them that must be reaped."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        left = marked(mark)
        if not left and (child is None or child.poll() is not None):
            break
        for pid in left:
            try:
                os.kill(pid, signal_)
            except ProcessLookupError:
                pass
        until = time.monotonic() + 8
        while time.monotonic() < until and marked(mark):
            if child is not None:
                child.poll()
            time.sleep(0.2)


def marked(mark: str) -> list[int]:
    """Processes of this machine that were started with this entry in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # it ended meanwhile, or is not ours
                continue
    return found
