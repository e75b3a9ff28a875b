"""Packages that only some verbs need, and the extra of this package that brings each."""

from __future__ import annotations

from importlib.util import find_spec

from harness.core.errors import MissingError

EXTRAS = {
    module: extra
    for extra, modules in {
        "local": "torch transformers tokenizers safetensors huggingface_hub datasets pyarrow gepa lm_eval math_verify sympy "
        "mpmath antlr4 latex2sympy2_extended datasketch gguf",
        "sft": "trl",
        "lora": "peft",
        "procedural": "reasoning_gym",
        "trackers": "tensorboard wandb trackio",
        "openrlhf": "openrlhf vllm ray deepspeed einops",
    }.items()
    for module in modules.split()
}
"""By the name that is imported."""


def require(*modules: str) -> None:
    """Raises MissingError for packages that would be found missing only after hours of training."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingError(f"this needs the package {module}: pip install 'p2o-harness[{EXTRAS[module]}]'")


def how_to_install(error: Exception) -> str | None:
    """The command that brings the package which an import did not find; None for a package that no extra brings."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return f"pip install 'p2o-harness[{EXTRAS[package]}]'" if package in EXTRAS else None
