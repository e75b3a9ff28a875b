"""The typed settings: one class per section of a recipe. Each field's docstring is its help text; a `Kind` says what the
setting means for a comparison, where that is not what its section means (harness/core/kinds.py).

Class defaults are the released P2O recipe's values (Lu et al. 2026, section 5); a recipe states what it changes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.core.kinds import Kind
from harness.core.secrets import check_address
from harness.core.types import Sampling


def _address(url: str | None) -> str | None:
    return url if url is None else check_address(url)


def _without_keys(extra: dict[str, Any]) -> dict[str, Any]:
    inside: list[Any] = [extra]
    while inside:
        value = inside.pop()
        if isinstance(value, dict):
            if found := next((name for name in value if _KEY.fullmatch(str(name))), None):
                raise ValueError(f"{found} would be written into the run; keys come from the environment")
            inside += value.values()
        elif isinstance(value, list):
            inside += value
    return extra


_KEY = re.compile(
    r"(x-)?((api|access|secret|auth)[-_]?)?(key|token|password|passwd|secret)|authorization|bearer", re.IGNORECASE
)

Url = Annotated[str | None, AfterValidator(_address)]
"""Server URL without anything that may be a key."""
Extra = Annotated[dict[str, Any], AfterValidator(_without_keys)]
"""More fields of a request, none of them a key; a null one is not sent."""


class Strict(BaseModel):
    """Base of every configuration class: unknown keys are errors, values are fixed once resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class MethodConfig(Strict):
    """Base of a method's own settings."""


Correction = Literal["none", "clip", "mask", "shaping"]
"""How to correct for tokens that were sampled under a different prompt than the gradient sees (harness/training/loss.py):
not at all (context distillation), truncated importance weights, a 0/1 mask on the ratio of the two probabilities, or policy
shaping."""


RewardRule = Literal["evaluation", "strict"]
"""What a rollout's answer earns 1 by: the evaluation's grader, or that and the gold answer's form in exactly one box, which is
what P2O's release trains with (harness/grading/strict.py)."""


class LossSpec(Strict):
    """The policy-gradient loss, in terms both backends can say (Schulman et al. 2017; Shao et al. 2024, section 4.1)."""

    clip_low: float = Field(0.2, gt=0, lt=1)
    """PPO clip range below 1."""
    clip_high: float = Field(0.2, gt=0)
    """PPO clip range above 1."""
    dual_clip: float | None = Field(3.0, gt=1)
    """Dual clip: bounds the loss for negative advantages (Ye et al. 2020); null turns it off."""
    advantage: Literal["group_norm", "group_centre"] = "group_norm"
    """(r - mean) / (std + 1e-6) with the sample std, or r - mean (Dr. GRPO)."""
    aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """Mean over all completion tokens of an update (masked ones stay in the denominator), or mean of per-rollout means."""
    correction: Correction = "none"
    """For rollouts sampled under a different prompt than the gradient sees. Set it on the method, e.g. `p2o.correction`."""
    ratio_band: tuple[float, float] = (0.01, 10.0)
    """Range of pi_old(y|train prompt) / pi_old(y|rollout prompt): mask keeps tokens inside it, clip caps weights there."""

    @model_validator(mode="after")
    def _band(self) -> LossSpec:
        if not 0 < self.ratio_band[0] < 1 < self.ratio_band[1]:
            raise ValueError(f"ratio_band must hold 1 between two positive bounds, got {list(self.ratio_band)}")
        return self


class ModelConfig(Strict):
    """Which policy is trained."""

    id: str = "testbed"
    """A name of `harness list models`, a Hugging Face id, or a local folder. Every recipe names its own."""
    revision: str | None = None
    """Hub revision."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of weights and activations."""
    chat_template: bool = True
    """Render the user turn with the tokenizer's chat template; false puts its bare text to the model."""
    chat_options: dict[str, bool] = {}
    """Switches passed to that template, e.g. enable_thinking."""


class GuardConfig(Strict):
    """When to stop a seed whose numbers are broken (harness/core/guards.py). Null turns a rule off."""

    finite: bool = True
    """Stop at a NaN or infinity in the loss, gradient norm, log-probabilities or any other metric, before taking the step."""
    max_ratio: float | None = Field(1e4, gt=1)
    """Stop when a token becomes this many times as likely within one batch, if the backend logs it (local does)."""
    max_sampler_gap: float | None = Field(0.2, gt=0)
    """Stop when trainer and sampler disagree by more than this many nats per token (mean, same prompt, same weights)."""
    min_entropy: float | None = Field(1e-6, gt=0)
    """Stop when entropy, in nats per token, stays below this although not every reward is 1."""
    patience: int = Field(5, ge=1)
    """Consecutive batches of such entropy before stopping."""


class LoraConfig(Strict):
    """Low-rank adapters in the place of all weights (LoRA: Hu et al. 2021, arXiv 2106.09685), by peft; local backend only."""

    rank: int = Field(0, ge=0)
    """Rank r of an adapter; 0 trains all weights."""
    alpha: float = Field(16.0, gt=0)
    """What the adapters add is multiplied by alpha / rank."""
    targets: Literal["all-linear"] | tuple[str, ...] = Field("all-linear", min_length=1)
    """Linear layers with an adapter, by the ends of their names, e.g. `[q_proj, v_proj]`; all-linear is all but the head."""


class TrainConfig(Strict):
    """How the policy is trained, in the field's own terms; both backends read these."""

    set: Annotated[str, Kind.POLICY] = "testbed"
    """Training set, named in benchmarks/training_sets.yaml, which also says which suites are in and out of distribution, or in
    that of an include path; or the path of a data file, whose name is kept. Every recipe names its own."""
    limit: Annotated[int | None, Kind.POLICY] = Field(None, ge=1, le=1_000_000)
    """Train on a random subset of this many problems (seeded)."""
    with_solutions: Annotated[bool, Kind.POLICY] = False
    """Train only on problems that have a reference solution; `limit` draws among these. For arms whose hints are made of
    solutions, and all that they are compared with."""
    problems: Literal["all", "hard"] = "all"
    """hard: only those that the initial policy solves less than twice in rollouts_per_prompt tries; these count as rollouts."""
    reward: Annotated[RewardRule, Kind.POLICY] = "evaluation"
    """strict: 0 for an unevaluated expression, an unreduced fraction, another form than the gold answer's, or two boxes."""
    epochs: int = Field(10, ge=0, le=100_000)  # a plan walks through them
    """Most passes over the training set; 0 evaluates the initial policy."""
    max_rollouts: int | None = Field(None, ge=1)
    """Take no further step once this many rollouts have been sampled, prompt search included; null is no limit."""
    max_sampled_tokens: int | None = Field(None, ge=1)
    """The same limit in sampled tokens: completions, discarded ones too, and reflections."""
    max_seconds: float | None = Field(None, gt=0)
    """The same limit in seconds of training."""
    prompts_per_batch: int = Field(128, ge=1)
    """Problems per batch. The incomplete last batch of an epoch is dropped."""
    rollouts_per_prompt: int = Field(6, ge=2)
    """Group size K."""
    updates_per_batch: int = Field(2, ge=1)
    """Optimiser steps per batch."""
    temperature: float = Field(0.6, gt=0)
    """Sampling temperature; log-probabilities use it too."""
    max_new_tokens: int = Field(12288, ge=1)
    """Token limit per completion."""
    lr: float = Field(1e-6, gt=0)
    """AdamW learning rate; constant after warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """Linear warm-up, in optimiser steps."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW betas."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    grad_clip: float = Field(1.0, gt=0)
    """Gradient-norm clip."""
    checkpoint_steps: int | None = Field(30, ge=1)
    """Batches between checkpoints; every epoch ends with one too. null writes none: a seed that is interrupted begins anew."""
    loss: LossSpec = LossSpec()
    """Policy-gradient loss."""
    lora: LoraConfig = LoraConfig()
    """What is trained: all weights, or adapters."""
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
    """One completion per problem, always the likeliest token."""

    kind: Literal["greedy"]


class SampledDecoding(Strict):
    """k completions per problem. Null keeps the value on the suite's card."""

    kind: Literal["sampled"]
    k: int | None = Field(None, ge=1)
    """Samples per problem."""
    temperature: float | None = Field(None, gt=0)
    """Sampling temperature; top-p is 1."""


class EvalConfig(Strict):
    """What to measure after training. Null keeps the value on the suite's card."""

    bench: Annotated[str, Kind.COVERAGE] = "ood"
    """Comma-separated suites, groups of suites, or the roles `id`, `ood`, `all` of the training set; of a suite's path the name
    is kept."""
    decoding: Annotated[GreedyDecoding | SampledDecoding, Field(discriminator="kind")] | None = None
    """`{kind: greedy}` or `{kind: sampled, k: 4, temperature: 0.6}`; null: as the suite's card says, its greedy pass too."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Token limit per completion."""
    limit: Annotated[int | None, Kind.COVERAGE] = Field(None, ge=1)
    """Only the first so many problems of each suite; such a run is marked "not a result"."""


class EngineConfig(Strict):
    """Who answers in `harness eval`: this process (transformers), vLLM in this process, or a server."""

    name: Annotated[Literal["transformers", "vllm", "openai"], Kind.COVERAGE] = "transformers"
    """openai: any server with OpenAI's chat-completions API, including vLLM and SGLang."""
    base_url: Annotated[Url, Kind.ACCESS] = None
    """Server URL, e.g. http://127.0.0.1:8000/v1; its key, if it wants one, is in the variable HARNESS_ENGINE_KEY."""
    concurrency: Annotated[int, Kind.ACCESS] = Field(32, ge=1)
    """Concurrent requests."""
    retries: Annotated[int, Kind.ACCESS] = Field(6, ge=0)
    """Retries of a request that failed for a passing reason (429, 5xx, no connection), with growing pauses."""
    requests_per_minute: Annotated[float | None, Kind.ACCESS] = Field(None, gt=0)
    """Rate limit; null is none."""
    timeout_s: Annotated[float, Kind.ACCESS] = Field(1800.0, gt=0)
    """Timeout per request, in seconds."""
    extra: Extra = {}
    """openai: more fields of the request, e.g. `{top_k: -1}` to overrule the model's own default, and null for one that must
    not be sent; vllm: more arguments of the class LLM, e.g. `{enforce_eager: true}`."""
    max_model_len: int | None = Field(None, ge=1)
    """vLLM: most tokens of prompt plus completion; null is the model's own limit."""
    tensor_parallel: Annotated[int, Kind.PLACE] = Field(1, ge=1)
    """vLLM: GPUs per engine."""
    memory: Annotated[float, Kind.PLACE] = Field(0.9, gt=0, lt=1)
    """vLLM: share of a GPU's memory."""


class BackendConfig(Strict):
    """Where to train. All but `name` is for openrlhf: Ray, vLLM and DeepSpeed on `nodes` x `gpus_per_node` GPUs."""

    name: Annotated[Literal["local", "openrlhf"], Kind.COVERAGE] = "local"
    """A name of `harness list backends`."""
    nodes: int = Field(1, ge=1)
    """Machines in the Ray cluster."""
    gpus_per_node: int = Field(8, ge=1)
    """GPUs per machine; trainer and engines share them."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs per vLLM engine; as many engines start as fit."""
    zero_stage: Literal[2, 3] = 3
    """DeepSpeed ZeRO stage: 3 shards optimiser states, gradients and weights; 2 is refused, since it loses gradients here."""
    offload: bool = False
    """Keep optimiser states in main memory."""
    prompt_tokens: int = Field(4096, ge=1)
    """Token budget of a prompt, template included; a longer prompt shortens the completion."""
    forward_tokens: int = Field(16384, ge=1)
    """Tokens per forward and backward pass, per GPU: a prompt and its completion at least."""
    engine_memory: float = Field(0.6, gt=0, lt=1)
    """Share of GPU memory that vLLM may use while sampling."""
    flags: Annotated[dict[str, Any], Kind.ARM] = {}
    """Any other OpenRLHF flag, without the dashes, e.g. `backend.flags."actor.entropy_coef"=0.001`; true is a bare flag."""
    rehearse: bool = False
    """Run the same path without a GPU, to find mistakes before renting a cluster."""


class LocalConfig(Strict):
    """The local backend: one process, CPU or one GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto uses a GPU if there is one."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; null leaves the choice to torch."""
    sampler: Literal["auto", "transformers", "vllm"] = "auto"
    """What samples in a run: transformers, or vLLM in this process. auto takes vLLM on a GPU where it is installed, for a model
    from 10M parameters on. `harness eval` goes by engine.name instead."""
    generation_tokens: int = Field(65536, ge=1)
    """Most tokens in one sampling pass: prompts plus completions of full length; with vLLM, what its cache holds."""
    forward_tokens: int = Field(8192, ge=1)
    """Most tokens per forward and backward pass, padding included; gradients are accumulated over passes."""
    shared_prompts: bool | None = None
    """Read a prompt once for all its completions, when sampling and in the training pass, if the model type allows it; null
    does so from 10M parameters on."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, up to a third more time."""
    cuda_graphs: bool = True
    """On a GPU, replay sampling steps as CUDA graphs, if the model type allows it."""
