"""The testbed's policies: small Llama models with a word tokenizer, shipped, cached or built by a warm start."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.core.seeds import derive
from harness.models import cache_dir
from harness.testbed.room import Testbed, TestbedConfig
from harness.testbed.warmstart import Mixture, warm_start
from harness.testbed.world import WORDS
from harness.worlds import folders
from harness.worlds.optim import Log

if TYPE_CHECKING:
    from harness.config import PolicySpec

RECIPE = 1
"""Raised whenever the warm start changes, so that cached policies of an older recipe are not taken for new ones."""
POLICIES = Path(__file__).parent / "policies"
SHIPPED = {
    ("latent", 0): "ca7da183512ac9cb5b08352e52dc7377befeb8410f52c32759ecdd39daa67f00",
    ("latent", 1): "9c3b742f9e6a3930563bacd4fb010f8b8c15405f45287d5092e26407082df7a6",
    ("absent", 0): "32bdf786b360a77a9d479c944bfb52133892461e64c63341d60eea02a3271a49",
    ("open", 0): "b04ec8bbeb1208c7b7c9d5e83612b31a2caa237afc7d89a9737f7114e487aff5",
}
"""Policies that come with the package, by world and seed: SHA-256 of their files, by `folders.digest`."""

_STYLE_PROBABILITY = {"latent": (0.15, 0.10), "absent": (0.15, 0.10), "open": (0.5, 0.4)}


class PolicyConfig(BaseModel):
    """Which policy to build.

    - `world`: `latent`, the useful styles are hardly ever used unprompted; `open`, they often are; `absent`, they
      compute nothing.
    - `seed`: of the initial weights and of the warm start's data. The problems do not depend on it.
    - `style_probability`: without an instruction at T=1, the probability of opening a trace at all, and then that of
      style S (the same for L; the rest is P). The default depends on the world.
    - `branch_tokens`: 2, a header shared by all styles and then the style; 1, the style alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    world: Literal["latent", "absent", "open"] = "latent"
    seed: int = Field(default=0, ge=0)
    style_probability: tuple[float, float] = _STYLE_PROBABILITY["latent"]
    branch_tokens: Literal[1, 2] = 2

    @model_validator(mode="before")
    @classmethod
    def _default_probability(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        default = _STYLE_PROBABILITY.get(str(data.get("world")))
        return {"style_probability": default, **data} if default else data

    @model_validator(mode="after")
    def _check_probability(self) -> PolicyConfig:
        first, second = self.style_probability
        if not (0 <= first <= 1 and 0 <= second <= 0.5):
            raise ValueError(f"style_probability must be in [0, 1] and [0, 0.5], got {first}, {second}")
        return self

    @property
    def shipped(self) -> bool:
        """Whether the policy comes with the package."""
        return (self.world, self.seed) in SHIPPED and self == PolicyConfig(world=self.world, seed=self.seed)

    def key(self) -> str:
        """The name of the cached folder: the world, the seed, and a hash of everything the weights depend on."""
        content = json.dumps({"recipe": RECIPE, "words": WORDS, **self.model_dump()}, sort_keys=True)
        return f"{self.world}-s{self.seed}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the world."""
    return folders.word_tokenizer(WORDS)


def make_model(seed: int) -> LlamaForCausalLM:
    """An untrained policy of 0.5M parameters in float32, its initial weights drawn from `seed`."""
    return folders.small_llama(WORDS, 128, derive("testbed", "weights", seed))


def build(config: PolicyConfig, out_dir: Path, progress: Log | None = None) -> Path:
    """Trains the policy and writes it to `out_dir`, which must not exist yet or be empty; returns `out_dir`.

    The folder appears only when complete. `progress` gets a line of text now and then.
    Raises FileExistsError when `out_dir` is not empty.
    """
    out_dir = Path(out_dir)
    folders.refuse_full(out_dir)
    first, second = config.style_probability
    mixture = Mixture(first, second, useful=config.world != "absent", branch_tokens=config.branch_tokens)
    model, tokenizer = make_model(config.seed), make_tokenizer()
    seed = derive("testbed", "policy", config.world, config.seed)
    warm_start(model, tokenizer.get_vocab(), mixture, seed, progress)
    return folders.write(model, tokenizer, config.model_dump_json(indent=2), out_dir)


def ensure(config: PolicyConfig, cache_dir: Path, progress: Log | None = None) -> Path:
    """The folder of the policy: shipped, else cached under `cache_dir`, else built there (minutes on a CPU)."""
    shipped = POLICIES / f"{config.world}-s{config.seed}"
    if config.shipped and shipped.is_dir():
        return folders.checked(shipped, SHIPPED[config.world, config.seed])
    return folders.cached(Path(cache_dir) / config.key(), lambda folder: build(config, folder, progress))


def locate(spec: PolicySpec, offline: bool) -> Path:
    """The folder of the policy that a spec's section `testbed` describes. Nothing is fetched, so `offline` does nothing."""
    own = spec.world_config(Testbed)
    assert isinstance(own, TestbedConfig)
    given = {} if own.style_probability is None else {"style_probability": own.style_probability}
    config = PolicyConfig(world=own.world, seed=own.policy_seed, branch_tokens=own.branch_tokens, **given)
    return ensure(config, cache_dir() / "testbed")
