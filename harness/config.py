"""What a run is: typed settings, recipes, overrides, and the resolved spec with its hash.

Precedence, weakest first: class defaults, the recipe, each `--config` file, each `--set`, the command line's own flags.
A recipe may hold a section per method (`p2o: {...}`); the spec keeps the section of the method that runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from harness.errors import MissingError, UsageError, nearest
from harness.method import LossSpec, MethodConfig, Strict
from harness.registry import load_method, methods, recipes
from harness.types import Sampling

M = TypeVar("M", bound=BaseModel)


class TestbedConfig(Strict):
    """Knobs of the embedded world (docs/testbed.md); without effect on any other model or training set."""

    world: Literal["latent", "absent", "open"] = "latent"
    """latent: the right instruction solves what fails without it; absent: none helps; open: sampling finds the way."""
    policy_seed: int = Field(0, ge=0)
    """Seed of the warm-started policy."""
    style_probability: tuple[float, float] | None = None
    """Unprompted share of `let` and, given `let`, of each right style in the warm start; null is the world's own."""
    branch_tokens: Literal[1, 2] = 2
    """Tokens on which the way of working is chosen."""
    easy_share: float = Field(0.4, ge=0, le=1)
    """Share of training problems with at most two operations."""
    problems: int = Field(320, ge=1)
    """Training problems."""

    @model_validator(mode="after")
    def _probabilities(self) -> TestbedConfig:
        if self.style_probability and not all(0 < p < 1 for p in self.style_probability):
            raise ValueError("style_probability holds two probabilities between 0 and 1")
        return self


class ModelConfig(Strict):
    """Which policy is trained."""

    id: str = "testbed"
    """`testbed`, a name of `harness list models`, a Hugging Face id, or a local folder."""
    revision: str | None = None
    """Revision on the hub."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Weights and activations."""
    chat_template: bool = True
    """Render the user turn with the tokenizer's chat template where it has one."""
    chat_options: dict[str, bool] = {}
    """Switches of that template, e.g. enable_thinking."""


class TrainConfig(Strict):
    """How the policy is trained, in the field's own terms; both backends read these."""

    set: str = "testbed"
    """Training set, a name of benchmarks/training_sets.yaml; it also says which suites are in and out of distribution."""
    limit: int | None = Field(None, ge=1)
    """Use a seeded subset of this many training problems."""
    epochs: int = Field(10, ge=0)
    """Passes over the training set, at most; 0 evaluates the initial policy."""
    max_rollouts: int | None = Field(None, ge=1)
    """Stop before the first step that begins at or past this many rollouts, prompt search included; null is no bound."""
    prompts_per_batch: int = Field(128, ge=1)
    """Problems whose groups are sampled together. A last partial batch of an epoch is dropped."""
    rollouts_per_prompt: int = Field(6, ge=2)
    """K, the group size."""
    updates_per_batch: int = Field(2, ge=1)
    """Optimiser steps per sampled batch."""
    temperature: float = Field(0.6, gt=0)
    """Of rollouts and of every log-probability."""
    max_new_tokens: int = Field(12288, ge=1)
    """Per completion."""
    lr: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW; constant after warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Optimiser steps of linear warm-up."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW."""
    grad_clip: float = Field(1.0, gt=0)
    """Bound of the gradient's norm."""
    checkpoint_steps: int = Field(30, ge=1)
    """Optimisation batches between checkpoints; there is one after every epoch too."""
    loss: LossSpec = LossSpec()
    """Policy-gradient loss."""

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.max_new_tokens)

    @model_validator(mode="after")
    def _contradictions(self) -> TrainConfig:
        if self.prompts_per_batch % self.updates_per_batch:
            raise ValueError(
                f"updates_per_batch {self.updates_per_batch} does not divide prompts_per_batch {self.prompts_per_batch}"
            )
        if self.loss.ratio_band is not None:
            raise ValueError("loss.ratio_band belongs to the method (p2o.ratio_band); leave it null here")
        return self


class EvalConfig(Strict):
    """What is measured after training. Null keeps the suite card's own value."""

    bench: str = "ood"
    """Comma-separated suites, or the roles `id`, `ood`, `all` of the training set."""
    k: int | None = Field(None, ge=1)
    """Samples per problem."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature; 0 is greedy and needs k = 1."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Per completion."""
    limit: int | None = Field(None, ge=1)
    """First problems of every suite only; such a run is stamped "not a result"."""

    @model_validator(mode="after")
    def _contradictions(self) -> EvalConfig:
        if self.temperature == 0 and self.k != 1:
            raise ValueError("greedy evaluation (temperature 0) draws the same sample k times; set k to 1")
        return self


class LocalConfig(Strict):
    """The local backend: one process, CPU or one GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU where there is one."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; null leaves torch's choice."""
    generation_rows: int = Field(1024, ge=1)
    """Completions sampled side by side, at most."""
    forward_tokens: int = Field(65536, ge=1)
    """Tokens of one forward and backward pass, padding included; more are accumulated."""


class RunSpec(Strict):
    """A whole run: one arm, several seeds. Written to spec.json before anything starts."""

    method: str
    """A name of `harness list methods`."""
    method_config: dict[str, Any] = {}
    """Resolved settings of the method (its own class checks them)."""
    recipe: str = "testbed"
    """Where the settings came from."""
    backend: Literal["local", "openrlhf"] = "local"
    """Where it runs."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds; every random stream derives from one of them."""
    model: ModelConfig = ModelConfig()
    testbed: TestbedConfig = TestbedConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    local: LocalConfig = LocalConfig()

    @model_validator(mode="after")
    def _contradictions(self) -> RunSpec:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be distinct and not empty, got {list(self.seeds)}")
        if self.model.id == "testbed" and self.train.set != "testbed":
            raise ValueError(f"the testbed policy knows only the testbed's words; it cannot be trained on {self.train.set!r}")
        return self

    def typed_method_config(self) -> MethodConfig:
        return load_method(self.method).Config(**self.method_config)

    def hash(self) -> str:
        """SHA-256 of the canonical JSON of the spec."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def changed(self, other: Mapping[str, Any]) -> list[str]:
        """Dotted names of the fields in which a stored spec differs from this one."""
        mine, theirs = flatten(self.model_dump(mode="json")), flatten(other)
        return sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            out.update(flatten(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file. Raises MissingError if it is not there, UsageError if it is not a mapping."""
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise MissingError(f"no file {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as e:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(e).split())}") from None
    if not isinstance(tree, dict):
        raise UsageError(f"{path} must hold a mapping of settings, not {type(tree).__name__}")
    return tree


def parse_set(item: str) -> dict[str, Any]:
    """`a.b=c` to `{"a": {"b": c}}`, the value read as YAML (`null`, `1e-4`, `[0.01, 10]`)."""
    key, eq, text = item.partition("=")
    if not eq or not all(key.split(".")):
        raise UsageError(f"--set takes key=value, e.g. --set train.lr=1e-4, not {item!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {key}: cannot read the value {text!r}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`; mappings merge, everything else (lists too) is replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def resolve(
    method: str,
    recipe: str = "testbed",
    configs: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunSpec:
    """The spec of a run. Raises UsageError (unknown names, contradictions) or MissingError (no such file)."""
    known = recipes()
    if recipe not in known:
        raise UsageError(f"unknown recipe {recipe!r}{nearest(recipe, known)}")
    tree = read_yaml(known[recipe])
    for path in configs:
        tree = merge(tree, read_yaml(path))
    for item in sets:
        tree = merge(tree, parse_set(item))
    tree = merge(tree, flags or {})
    return build(method, recipe, tree)


def build(method: str, recipe: str, tree: Mapping[str, Any]) -> RunSpec:
    """Check a settings tree and make the spec; method sections other than `method`'s are checked and dropped."""
    own: dict[str, Any] = {}
    rest = dict(tree)
    for name in [n for n in rest if n in methods() or n == method]:
        checked = _check(load_method(name).Config, rest.pop(name), name)
        if name == method:
            own = checked.model_dump(mode="json")
    if not own:
        own = _check(load_method(method).Config, {}, method).model_dump(mode="json")
    for key in ("method", "method_config", "recipe"):
        if key in rest:
            raise UsageError(f"{key!r} cannot be set in a recipe; use --{key.split('_')[0]} or a section named after it")
    unknown = [k for k in rest if k not in RunSpec.model_fields]
    if unknown:
        raise UsageError(f"unknown setting {unknown[0]!r}{nearest(unknown[0], [*RunSpec.model_fields, *methods()])}")
    return _check(RunSpec, {**rest, "method": method, "method_config": own, "recipe": recipe}, "")


def _check(model: type[M], tree: Any, at: str) -> M:
    """Validate; turn pydantic's first complaint into one sentence that names the setting."""
    try:
        return model.model_validate(tree if tree is not None else {})
    except ValidationError as e:
        err = e.errors()[0]
        path = [str(p) for p in ((at,) if at else ()) + err["loc"]]
        name = ".".join(path)
        if err["type"] == "extra_forbidden":
            fields = _fields_at(model, err["loc"][:-1])
            raise UsageError(f"unknown setting {name!r}{nearest(path[-1], fields)}") from None
        message = err["msg"].removeprefix("Value error, ")
        got = "" if isinstance(err["input"], dict | BaseModel) else f" (got {err['input']!r})"
        raise UsageError(f"{name or 'settings'}: {message}{got}") from None


def _fields_at(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """Field names of the (nested) model at `loc`."""
    for part in loc:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
