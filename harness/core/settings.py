"""The typed settings: one class per section of a recipe. Each field's docstring is its help text; a `Kind` says what the
setting means for a comparison, where that is not what its section means (harness/core/kinds.py).

Class defaults are the released P2O recipe's values (Lu et al. 2026, section 5); a recipe states what it changes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.core.kinds import Kind
from harness.core.types import Sampling


def _without_userinfo(url: str | None) -> str | None:
    if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("an address holds no user or key, which would be written into the run; keys come from the environment")
    return url


Url = Annotated[str | None, AfterValidator(_without_userinfo)]
"""Of a server, without credentials."""


class Strict(BaseModel):
    """Base of every configuration class: unknown keys are errors, values are fixed once resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class MethodConfig(Strict):
    """Base of a method's own settings."""


Correction = Literal["none", "clip", "mask", "shaping"]
"""What is done about tokens that were sampled under another prompt than the gradient's (harness/training/loss.py):
nothing (context distillation); weights of the ratio of the two probabilities, cut above; a 0/1 mask on that ratio; or
policy shaping."""


class LossSpec(Strict):
    """The policy-gradient loss, in terms both backends can say (Schulman et al. 2017; Shao et al. 2024, section 4.1)."""

    clip_low: float = Field(0.2, gt=0, lt=1)
    """PPO clip below 1."""
    clip_high: float = Field(0.2, gt=0)
    """PPO clip above 1."""
    dual_clip: float | None = Field(3.0, gt=1)
    """Bound of the ratio times a negative advantage (Ye et al. 2020); null is off."""
    advantage: Literal["group_norm", "group_centre"] = "group_norm"
    """(r - mean) / (std + 1e-6) with the sample std, or r - mean (Dr. GRPO)."""
    aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """Mean over all completion tokens of an update (masked ones stay in the denominator), or mean of per-rollout means."""
    correction: Correction = "none"
    """For rollouts whose prompt is not the gradient's. It belongs to the method, e.g. `p2o.correction`."""
    ratio_band: tuple[float, float] = (0.01, 10.0)
    """Of pi_old(y|train prompt) / pi_old(y|rollout prompt): mask keeps tokens inside, clip cuts weights at the upper end."""

    @model_validator(mode="after")
    def _band(self) -> LossSpec:
        if not 0 < self.ratio_band[0] < 1 < self.ratio_band[1]:
            raise ValueError(f"ratio_band must hold 1 between two positive bounds, got {list(self.ratio_band)}")
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


class GuardConfig(Strict):
    """When a seed is stopped because its numbers are broken (harness/core/guards.py). Null switches a rule off."""

    finite: bool = True
    """Stop at a NaN or an infinity in loss, gradient, log-probabilities or any other metric, before the step it is for."""
    max_ratio: float | None = Field(1e4, gt=1)
    """Stop when a token becomes this many times as likely within a batch; where the backend logs it (local)."""
    max_sampler_gap: float | None = Field(0.2, gt=0)
    """Stop when trainer and sampler disagree by more nats per token (mean, same prompt, same weights)."""
    min_entropy: float | None = Field(1e-6, gt=0)
    """Stop when the entropy, in nats per token, stays below this while not every reward is 1."""
    patience: int = Field(5, ge=1)
    """Batches in a row with such an entropy."""


class TrainConfig(Strict):
    """How the policy is trained, in the field's own terms; both backends read these."""

    set: Annotated[str, Kind.POLICY] = "testbed"
    """Training set, a name of benchmarks/training_sets.yaml; it also says which suites are in and out of distribution."""
    limit: Annotated[int | None, Kind.POLICY] = Field(None, ge=1, le=1_000_000)
    """Use a seeded subset of this many training problems."""
    problems: Literal["all", "hard"] = "all"
    """hard: those that the initial policy solves in fewer than 2 of rollouts_per_prompt tries, which are paid for."""
    epochs: int = Field(10, ge=0, le=100_000)  # a plan walks through them
    """Passes over the training set, at most; 0 evaluates the initial policy."""
    max_rollouts: int | None = Field(None, ge=1)
    """Stop before the first step that begins at or past this many rollouts, prompt search included; null is no bound."""
    max_sampled_tokens: int | None = Field(None, ge=1)
    """The same bound in tokens written: completions, also discarded ones, and reflections."""
    max_seconds: float | None = Field(None, gt=0)
    """The same bound in seconds of training."""
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
    guards: GuardConfig = GuardConfig()
    """Stop rules."""

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.max_new_tokens)

    @model_validator(mode="after")
    def _contradictions(self) -> TrainConfig:
        if self.prompts_per_batch % self.updates_per_batch:
            raise ValueError(
                f"updates_per_batch {self.updates_per_batch} does not divide prompts_per_batch {self.prompts_per_batch}"
            )
        if self.loss.correction != "none":
            raise ValueError("loss.correction belongs to the method (e.g. p2o.correction); leave it out here")
        return self


class GreedyDecoding(Strict):
    """One completion a problem, the likeliest token each time."""

    kind: Literal["greedy"]


class SampledDecoding(Strict):
    """k completions a problem. Null keeps the suite card's own value."""

    kind: Literal["sampled"]
    k: int | None = Field(None, ge=1)
    """Samples per problem."""
    temperature: float | None = Field(None, gt=0)
    """Sampling temperature; top-p is 1."""


class EvalConfig(Strict):
    """What is measured after training. Null keeps the suite card's own value."""

    bench: Annotated[str, Kind.COVERAGE] = "ood"
    """Comma-separated suites, groups of suites, or the roles `id`, `ood`, `all` of the training set."""
    decoding: Annotated[GreedyDecoding | SampledDecoding, Field(discriminator="kind")] | None = None
    """`{kind: greedy}`, or `{kind: sampled, k: 4, temperature: 0.6}`; null: the card's samples, and its greedy pass."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Per completion."""
    limit: Annotated[int | None, Kind.COVERAGE] = Field(None, ge=1)
    """First problems of every suite only; such a run is stamped "not a result"."""


class EngineConfig(Strict):
    """Who answers in `harness eval`: this process (transformers), vLLM in this process, or a server."""

    name: Annotated[Literal["transformers", "vllm", "openai"], Kind.COVERAGE] = "transformers"
    """openai is any server that speaks OpenAI's chat completions, vLLM's and SGLang's among them."""
    base_url: Annotated[Url, Kind.PLACE] = None
    """Of the server, e.g. http://127.0.0.1:8000/v1; its key comes from the variable HARNESS_ENGINE_KEY."""
    concurrency: Annotated[int, Kind.PLACE] = Field(32, ge=1)
    """Requests to the server under way at once."""
    retries: Annotated[int, Kind.PLACE] = Field(6, ge=0)
    """Of a request that fails for a reason that may pass (429, 5xx, no connection), with growing pauses."""
    requests_per_minute: Annotated[float | None, Kind.PLACE] = Field(None, gt=0)
    """Bound of the server; null is none."""
    timeout_s: Annotated[float, Kind.PLACE] = Field(1800.0, gt=0)
    """Of one request."""
    extra: dict[str, Any] = {}
    """openai: more fields of the request, e.g. `{top_k: -1}` for a server that would use the model's own; vllm: more
    arguments of its class LLM, e.g. `{enforce_eager: true}`."""
    max_model_len: int | None = Field(None, ge=1)
    """vLLM: tokens of prompt and completion; null is the model's own."""
    tensor_parallel: Annotated[int, Kind.PLACE] = Field(1, ge=1)
    """vLLM: GPUs of the engine."""
    memory: Annotated[float, Kind.PLACE] = Field(0.9, gt=0, lt=1)
    """vLLM: share of a GPU's memory."""


class BackendConfig(Strict):
    """Where a run trains. All but `name` is for openrlhf: Ray, vLLM and DeepSpeed on `nodes` x `gpus_per_node` GPUs."""

    name: Annotated[Literal["local", "openrlhf"], Kind.COVERAGE] = "local"
    """A name of `harness list backends`."""
    nodes: int = Field(1, ge=1)
    """Machines of the Ray cluster."""
    gpus_per_node: int = Field(8, ge=1)
    """GPUs of each; trainer and engines share them."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs of one vLLM engine; there are as many engines as fit."""
    zero_stage: Literal[2, 3] = 3
    """DeepSpeed ZeRO: 2 shards optimiser and gradients, 3 the weights too."""
    offload: bool = False
    """Optimiser states in main memory."""
    prompt_tokens: int = Field(4096, ge=1)
    """Room for a prompt, template included; a longer one takes it from the completion."""
    forward_tokens: int = Field(32768, ge=1)
    """Tokens of one forward and backward pass on one GPU."""
    engine_memory: float = Field(0.6, gt=0, lt=1)
    """Share of a GPU's memory that vLLM may take while it samples."""
    flags: Annotated[dict[str, Any], Kind.ARM] = {}
    """Any other OpenRLHF flag, without the dashes, e.g. `backend.flags."actor.entropy_coef"=0.001`; true is a bare flag."""
    rehearse: bool = False
    """The same path without a GPU, to find mistakes before paying for a cluster."""


class LocalConfig(Strict):
    """The local backend: one process, CPU or one GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU where there is one."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; null leaves torch's choice."""
    generation_tokens: int = Field(65536, ge=1)
    """Tokens held while completions are sampled side by side, at most: prompts and longest possible completions."""
    forward_tokens: int = Field(8192, ge=1)
    """Tokens of one forward and backward pass, padding included; more are accumulated."""
    gradient_checkpointing: bool = False
    """Keep only the inputs of the model's layers for the backward pass: less memory, a third more time."""
    cuda_graphs: bool = True
    """On a GPU, replay the steps of sampling as CUDA graphs, where the type of model allows it."""
