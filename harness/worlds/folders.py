"""What policies of embedded worlds share: a tokenizer of a world's words, folders that are shipped, cached or built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.core.errors import HarnessError

SPECIAL = ["<pad>", "<eos>", "<unk>"]


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token per word. A blank line becomes the word `|`; decoding joins words with one space."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace("\n\n", " | ")
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def small_llama(words: Sequence[str], width: int, seed: int) -> LlamaForCausalLM:
    """An untrained policy of three layers and four heads in float32, its initial weights drawn from `seed`."""
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.06,
        bos_token_id=None,
        pad_token_id=SPECIAL.index("<pad>"),
        eos_token_id=SPECIAL.index("<eos>"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.02)
    return model


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes weights (stored as float16, loaded as float32) and tokenizer in the transformers layout."""
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=halves)
    # The stored precision saves space only; the policy computes in float32, which `dtype` tells the loader.
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "dtype": "float32"}, indent=2, sort_keys=True) + "\n")
    tokenizer.save_pretrained(folder)


def write(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: str, out_dir: Path) -> Path:
    """Writes a policy with its settings (JSON) to `out_dir`, which appears only when complete; returns `out_dir`."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.parent))
    try:
        save(model, tokenizer, unfinished)
        (unfinished / "policy.json").write_text(settings + "\n")
        for path in (unfinished, *unfinished.iterdir()):  # the temporary folder and the weights are private so far
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.replace(unfinished, out_dir)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return out_dir


def refuse_full(out_dir: Path) -> None:
    """Raises FileExistsError when `out_dir` is not empty."""
    if out_dir.exists() and any(out_dir.iterdir()):
        raise FileExistsError(f"{out_dir} is not empty")


def digest(folder: Path) -> str:
    """SHA-256 over name and content of a folder's files."""
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def checked(shipped: Path, sha256: str) -> Path:
    """A shipped folder. Raises HarnessError where it is not the one whose digest is known."""
    if digest(shipped) != sha256:
        raise HarnessError(f"the policy in {shipped} is not the one that was shipped: install the package again")
    return shipped


def cached(folder: Path, build: Callable[[Path], Path]) -> Path:
    """`folder` if it is there, else what `build` makes of it (minutes on a CPU).

    Two processes may build the same policy at once; the first to finish wins, and both get the same folder.
    """
    if folder.is_dir():
        return folder
    try:
        return build(folder)
    except OSError:
        if folder.is_dir():
            return folder
        raise
