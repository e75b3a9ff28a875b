"""The policies of the world of skills: small Llama models with a word tokenizer, shipped, cached or built by a warm start."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.core.seeds import derive
from harness.models import cache_dir
from harness.skills.room import Skills, SkillsConfig
from harness.skills.warmstart import STEPS, warm_start
from harness.skills.world import ENDS, FLOOR, WORDS
from harness.worlds import folders
from harness.worlds.optim import Log

if TYPE_CHECKING:
    from harness.config import PolicySpec

RECIPE = 2
"""Raised whenever the warm start changes, so that cached policies of an older recipe are not taken for new ones."""
WIDTH = 96
POLICIES = Path(__file__).parent / "policies"
SHIPPED: dict[tuple[float, int], str] = {
    (0.001, 0): "eee9403718e5d4b271b6e90482c955a6a3db381e5ce16b4cb7c1fd8faefe8bb9",
    (0.001, 1): "9ff6f448db31c99b944f762e831c6f385810a429742ae12bd98e22a4dc9c7a5a",
}
"""Policies that come with the package, by floor and seed: SHA-256 of their files, by `folders.digest`."""


class PolicyConfig(BaseModel):
    """Which policy to build: the lowest unprompted rate, and the seed of the initial weights and of the warm start's data.

    The world (families, right ways, rates, phrases) depends on neither.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor: float = Field(default=FLOOR, gt=0, le=0.25)
    seed: int = Field(default=0, ge=0)

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"floor{self.floor:g}-s{self.seed}"

    def key(self) -> str:
        """The name of the cached folder: the settings, and a hash of everything the weights depend on."""
        content = json.dumps({"recipe": RECIPE, "steps": STEPS, "words": WORDS, **self.model_dump()}, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the world."""
    return folders.word_tokenizer(WORDS)


def make_model(seed: int) -> LlamaForCausalLM:
    """An untrained policy of 0.3M parameters in float32, its initial weights drawn from `seed`.

    Each symbol of a last row ends a completion, as the end token does.
    """
    model = folders.small_llama(WORDS, WIDTH, derive("skills", "weights", seed))
    vocabulary = make_tokenizer().get_vocab()
    model.generation_config.eos_token_id = [vocabulary["<eos>"], *(vocabulary[word] for word in ENDS)]
    return model


def build(config: PolicyConfig, out_dir: Path, progress: Log | None = None, steps: int = STEPS) -> Path:
    """Trains the policy and writes it to `out_dir`, which must not exist yet or be empty; returns `out_dir`.

    The folder appears only when complete. `progress` gets a line of text now and then.
    Raises FileExistsError when `out_dir` is not empty.
    """
    out_dir = Path(out_dir)
    folders.refuse_full(out_dir)
    model, tokenizer = make_model(config.seed), make_tokenizer()
    warm_start(model, tokenizer.get_vocab(), config.floor, config.seed, progress, steps)
    return folders.write(model, tokenizer, config.model_dump_json(indent=2), out_dir)


def ensure(config: PolicyConfig, cache_dir: Path, progress: Log | None = None) -> Path:
    """The folder of the policy: shipped, else cached under `cache_dir`, else built there (minutes on a CPU)."""
    if known := SHIPPED.get((config.floor, config.seed)):
        return folders.checked(POLICIES / config.name, known)
    return folders.cached(Path(cache_dir) / config.key(), lambda folder: build(config, folder, progress))


def locate(spec: PolicySpec, offline: bool) -> Path:
    """The folder of the policy that a spec's section `skills` describes. Nothing is fetched, so `offline` does nothing."""
    own = spec.world_config(Skills)
    assert isinstance(own, SkillsConfig)
    return ensure(PolicyConfig(floor=own.floor, seed=own.policy_seed), cache_dir() / "skills")
