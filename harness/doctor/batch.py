"""What would otherwise be noticed at the first batch: the tokenizer's template, and the loss on a batch without content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoTokenizer

from harness.config import RunSpec
from harness.core.method import Method
from harness.core.types import Context, Problem
from harness.doctor.checks import Check
from harness.doctor.shapes import at_hand, shape
from harness.registry import load_method
from harness.training.local.fake import Live, on_fake_cpu, rows
from harness.training.prompts import encode, rendering
from harness.training.update import Updater

LAYERS = 2
"""Of the model that a batch is sent through: all of them are alike."""
WHAT = "a batch through the loss"


def check_template(spec: RunSpec, offline: bool, problems: Sequence[Problem], here: bool) -> Check:
    """The model's own template renders a turn with the recipe's options, and the longest prompt leaves room for its answer.
    `here`: whether the run will be on this machine. Raises as `harness.training.prompts.encode`."""
    source = at_hand(spec)
    if source is None:
        return Check("chat template", "unchecked", f"{spec.model.id} has not been fetched yet")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=spec.model.revision, local_files_only=offline)
    except (OSError, ValueError) as e:
        found = f"the tokenizer of {spec.model.id} is not here: {str(e).strip().splitlines()[0].rstrip('.')}"
        if not here:
            return Check("chat template", "unchecked", found)
        return Check("chat template", "fails", found, "the first run fetches it where a hub can be reached", missing=True)
    found = f"rendered, SHA-256 {rendering(tokenizer, spec.model)[:12]}"
    if not problems:
        return Check("chat template", "ok", found)
    longest = len(encode(tokenizer, spec.model, max((p.text for p in problems), key=len)))
    found = f"{found}; the longest prompt has {longest:,} tokens"
    bound = spec.backend.prompt_tokens
    if spec.backend.name == "openrlhf" and longest > bound:
        todo = "its completions are shorter; raise backend.prompt_tokens and backend.forward_tokens"
        return Check("chat template", "warning", f"{found}, more than backend.prompt_tokens {bound:,}", todo)
    return Check("chat template", "ok", found)


def check_batch(spec: RunSpec, config: Any, method: Method | None) -> Check:
    """An update of the method's loss on the model's own layers, by fake tensors: no weights, no memory, no GPU. One of two
    completions was sampled under another prompt, so that the correction has its part. `method`: the run's; None where its
    problems are not at hand."""
    if method is None:
        made_up = [Problem("made up", "x", "y", solution="One step. Another step. So it is y.")]
        method = load_method(spec.method)(spec.typed_method_config(), spec.train, made_up, spec.seeds[0], ["a phrase"])
    loss = method.loss
    if loss is None:
        return Check(WHAT, "ok", f"{spec.method} takes no step")
    try:
        model = shape(_shallow(config), spec.model.dtype)
        with FakeTensorMode(), Live():
            on_fake_cpu(model)
            updater = Updater(model, spec.train, loss, 0, spec.local.forward_tokens, recompute=True)
            batch = rows(2, 8, 3, 16)
            batch[0].rollout = replace(batch[0].rollout, context=Context("a hint, x", "x", "a hint"))
            updater._update(batch)
        moved = {id(p) for p, m in zip(updater.params, updater.masters, strict=True) if m in updater.optimizer.state}
        still = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in moved]
    except Exception as e:  # whatever a model's code or the loss may raise
        return Check(
            WHAT, "fails", f"{type(e).__name__}: {' '.join(str(e).split())[:300]}", "the model or the loss does not run"
        )
    if still:
        return Check(WHAT, "fails", f"{len(still)} tensors get no gradient, the first of them {still[0]}", "see train.lora")
    return Check(WHAT, "ok", f"{len(updater.params)} tensors of {LAYERS} layers get gradients; correction {loss.correction}")


def _shallow(config: Any) -> Any:
    """The same model with few layers."""
    tree = config.get_text_config()
    if getattr(tree, "layer_types", None):
        tree.layer_types = tree.layer_types[:LAYERS]
    tree.num_hidden_layers = min(LAYERS, tree.num_hidden_layers)
    return config
