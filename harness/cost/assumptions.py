"""The assumptions behind every estimate of a cost, each with where it comes from: their one home.

Speeds are of one GPU, or of the CPU, which stands for two cores. What was measured for one model on one device is scaled to
others: sampling with the memory's bandwidth, training with the arithmetic, both with the inverse of the model's parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.config import RunSpec
from harness.core.errors import UsageError, nearest
from harness.models import QWEN_CODER, SMOLLM2

NAMES: dict[str, str] = {
    "sample": "tokens/s, many at once",
    "stream": "tokens/s, one of many",
    "train": "tokens/s",
    "answer": "tokens of a completion",
    "searched": "tokens of one in a search",
    "longest": "tokens a turn waits for",
    "prompt": "tokens that training reads too",
    "batch": "s a batch to sync and wake up",
    "start": "s a seed to start",
    "accepted": "share of children that join",
    "parents": "an iteration of a search",
    "read": "tokens of a reflection prompt",
    "written": "tokens of a reflection",
    "latency": "s of a server an iteration",
    "price-in": "$ a million tokens read",
    "price-out": "$ a million tokens written",
    "parameters": "of the model",
}
"""What `--throughput NAME=VALUE` may set, and its unit. Those of ZERO may be 0."""
ZERO = {"longest", "prompt", "batch", "start", "accepted", "latency", "price-in", "price-out"}
SHARES = {"accepted"}


class Assumption(NamedTuple):
    """A number and where it comes from."""

    value: float
    source: str


class Gpu(NamedTuple):
    """From the vendor's data sheet: bfloat16 TFLOP/s without sparsity, TB/s of memory."""

    tflops: float
    bandwidth: float


GPUS = {
    "A100": Gpu(312, 2.04),
    "H100": Gpu(989, 3.35),
    "H200": Gpu(989, 4.8),
    "B200": Gpu(2250, 8.0),
    "L40S": Gpu(362, 0.864),
}
"""A100 and H100: the SXM boards of 80 GB."""
INCLUDED = "in the speeds"
"""The source of what takes no time of its own."""
DEFAULT_GPU = "H100"
CPU = "CPU"


class Measured(NamedTuple):
    """What is known of a model on a device: sampling, one stream, training, in tokens/s; and where from."""

    model: str
    device: str
    sample: float
    stream: float | None
    train: float
    source: str


PARAMETERS = {
    "Qwen/Qwen3-4B": 4_022_468_096,
    QWEN_CODER.name: 494_032_768,
    SMOLLM2.name: 134_515_008,
    "testbed": 504_320,
    "skills": 316_704,
}
"""Counted (harness/doctor/shapes.py)."""
SPEEDS = (
    # 40% of 989 TFLOP/s for 8 FLOP a parameter and token: 6, and 2 more that are computed again.
    Measured("Qwen/Qwen3-4B", "H100", 3000, 80, 12_300, "assumed; training at 40% of the TFLOP/s"),
    Measured(QWEN_CODER.name, "H200", 43_000, 168, 63_000, "python perf/gpu_check.py, 256 rows; training 24 x 608"),
    Measured("skills", CPU, 4000, None, 56_000, "least squares over the filed board's ledgers"),
    Measured("testbed", CPU, 7800, None, 11_900, "least squares over the filed board's ledgers"),
    Measured(SMOLLM2.name, CPU, 72, None, 72, "docs/real_models.md: 64 rollouts of 9 tokens in 16 s, halved"),
    Measured(QWEN_CODER.name, CPU, 80, None, 80, "112 rows sampled in 90 s; training is assumed as fast"),
)
LENGTHS: dict[str, tuple[float, float, str]] = {
    "Qwen/Qwen3-4B": (4000, 6000, "assumed: a third and a half of the limit"),
    "skills": (3.1, 3.1, "the filed board's ledgers"),
    "testbed": (9.5, 9.5, "the filed board's ledgers"),
    SMOLLM2.name: (9, 9, "docs/real_models.md, the first ten batches"),
    QWEN_CODER.name: (250, 250, "GSM8K, the recipe's first batches"),
}
"""Tokens of a completion in training and in a search. None has more than the run allows."""
BRIEF = 8.0
"""Tokens of QWEN_CODER's answer where the prompt asks for one line."""


@dataclass(frozen=True)
class Assumptions:
    """The rows by name, for one model on one device. Without "price-in" and "price-out" a server's price is not known."""

    device: str
    rows: Mapping[str, Assumption]

    def __getitem__(self, name: str) -> float:
        return self.rows[name].value

    @property
    def lacking(self) -> list[str]:
        """Names without which nothing can be estimated, of a model that nothing is known of."""
        return [name for name in ("sample", "train", "parameters") if name not in self.rows]

    def to_dict(self) -> dict[str, dict[str, float | str]]:
        return {name: row._asdict() for name, row in self.rows.items()}

    def changed(self, values: Mapping[str, float], source: str) -> Assumptions:
        """The same with these rows instead. Raises UsageError for a value that none of it can be."""
        for name, value in values.items():
            check(name, value)
        return Assumptions(self.device, {**self.rows, **{n: Assumption(float(v), source) for n, v in values.items()}})


def check(name: str, value: float) -> None:
    """Raises UsageError, with the nearest name, for an assumption that there is not, or a value that it cannot have."""
    if name not in NAMES:
        raise UsageError(f"--throughput: no assumption {name!r}{nearest(name, NAMES)}")
    if not math.isfinite(value) or value < 0 or (not value and name not in ZERO) or (value > 1 and name in SHARES):
        wanted = "a share from 0 to 1" if name in SHARES else "0 or more" if name in ZERO else "above 0"
        raise UsageError(f"--throughput: {name} must be {wanted}, not {value:g} ({NAMES[name]})")


def assumptions(spec: RunSpec, gpu: str | None = None, parameters: float | None = None) -> Assumptions:
    """What is assumed of a run on GPUs of this kind (`default_device`) with a model of so many parameters (by default what is
    known of it). `lacking` says what is not known."""
    device = gpu or default_device(spec)
    size = parameters or PARAMETERS.get(spec.model.id)
    limit, cpu = spec.train.max_new_tokens, device == CPU
    answer, searched, lengths = _lengths(spec)
    big = spec.backend.name == "openrlhf"
    offload = big and spec.backend.offload
    rows = {
        **_speeds(spec.model.id, size, device),
        "answer": Assumption(min(answer, limit), lengths),
        "searched": Assumption(min(searched, limit), lengths),
        "longest": Assumption(0, INCLUDED) if cpu else Assumption(limit, "train.max_new_tokens"),
        "prompt": Assumption(0, INCLUDED) if cpu else Assumption(200, "assumed"),
        "batch": Assumption(0, INCLUDED) if cpu else Assumption(*_batch(big, offload)),
        "start": Assumption(10, "imports and loading") if cpu else Assumption(300, "assumed: engines, CUDA graphs"),
        "accepted": Assumption(0.1, "assumed; .22 simulated, .03 in the world of skills"),
        "parents": Assumption(7, "simulated searches of 11,040 calls"),
        "read": Assumption(*_read(spec, searched)),
        "written": Assumption(min(600, _reflector(spec).get("max_new_tokens", 600)), "assumed"),
        "latency": Assumption(30, "assumed"),
    }
    if size is not None:
        rows["parameters"] = Assumption(size, "counted")
    return Assumptions(device, {name: rows[name] for name in NAMES if name in rows})


def default_device(spec: RunSpec) -> str:
    """GPUs of OpenRLHF's recipes and where `local.device` asks for one; else the CPU."""
    return DEFAULT_GPU if spec.backend.name == "openrlhf" or spec.local.device == "cuda" else CPU


def _speeds(model: str, size: float | None, device: str) -> dict[str, Assumption]:
    """Of the model on the device: as measured, else scaled from the model of the nearest size on some GPU; none on a CPU."""
    own = next((m for m in SPEEDS if (m.model, m.device) == (model, device)), None)
    if own is None and (device == CPU or size is None):
        return {}
    known = [m for m in SPEEDS if m.device != CPU]
    m = own or min(known, key=lambda k: (k.model != model, abs(math.log(PARAMETERS[k.model] / (size or 1)))))
    source = m.source
    by_memory = by_arithmetic = 1.0
    if own is None:
        smaller, gpus = PARAMETERS[m.model] / (size or 1), (GPUS[device], GPUS[m.device])
        by_memory = smaller * gpus[0].bandwidth / gpus[1].bandwidth
        by_arithmetic = smaller * gpus[0].tflops / gpus[1].tflops
        source = f"scaled from {m.model.split('/')[-1]} on {m.device}"
    rows = {"sample": m.sample * by_memory, "train": m.train * by_arithmetic}
    rows["stream"] = m.stream * by_memory if m.stream else m.sample
    return {name: Assumption(float(f"{value:.3g}"), source) for name, value in rows.items()}


def _lengths(spec: RunSpec) -> tuple[float, float, str]:
    if spec.model.id == QWEN_CODER.name and spec.train.max_new_tokens <= 64:
        return BRIEF, BRIEF, "answers in a line, untrained"
    full = float(spec.train.max_new_tokens)
    return LENGTHS.get(spec.model.id, (full, full, "train.max_new_tokens, the most there can be"))


def _batch(big: bool, offload: bool) -> tuple[float, str]:
    if not big:
        return 1, "assumed"
    return (40, "assumed, optimiser in main memory") if offload else (7, "assumed: 8 GB over NVLink")


def _reflector(spec: RunSpec) -> dict[str, Any]:
    """The settings of whoever writes for the training; none where nobody does."""
    own = spec.method_config
    found: dict[str, Any] = own.get("reflector") or own.get("teacher") or {}
    return found


def _read(spec: RunSpec, searched: float) -> tuple[float, str]:
    """A minibatch of responses and a page of instructions, at most what the reflector is shown."""
    evolve = spec.method_config.get("evolve") or {}
    most = _reflector(spec).get("max_prompt_chars", 92160) / 3
    return min(700 + evolve.get("minibatch", 3) * (searched + 200), most), "a minibatch and 700 tokens"
