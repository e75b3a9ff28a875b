"""Optimiser steps of the local backend: rows from groups, log-probabilities, the correction, the clipped loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.advantages import group_advantages
from harness.core.settings import LossSpec, TrainConfig
from harness.core.types import Group
from harness.training.local.logps import can_share, completion_logps, recomputed_layers
from harness.training.local.passes import passes_by_length, passes_by_prompt
from harness.training.loss import aggregate, correction_weights, token_losses
from harness.training.metrics import Row, batch_metrics


class Updater:
    """AdamW with linear warm-up on a policy, `updates_per_batch` clipped updates per call of `step`.

    Lower-precision weights have float32 masters: a step of 1e-6 is lost on a bfloat16 weight.
    """

    def __init__(
        self,
        model: Any,
        cfg: TrainConfig,
        loss: LossSpec,
        pad: int,
        forward_tokens: int,
        advantages: Callable[[Group], list[float]] | None = None,
        recompute: bool = False,
        share: bool = False,
    ) -> None:
        """`advantages` of one group; by default those that the loss names. `recompute`: gradient checkpointing. `share`:
        completions behind one copy of their prompt, if the model can."""
        self.model, self.cfg, self.loss, self.pad, self.forward_tokens = model, cfg, loss, pad, forward_tokens
        self.advantages = advantages or (lambda group: group_advantages(group.rewards_K, loss.advantage))
        self.recompute, self.share = recompute, share and can_share(model)
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.masters = [p if p.dtype == torch.float32 else p.detach().float() for p in self.params]
        fused = True if any(m.is_cuda for m in self.masters) else None  # a GPU's default makes copies of all weights in a step
        self.optimizer = torch.optim.AdamW(self.masters, lr=cfg.lr, betas=cfg.betas, weight_decay=cfg.weight_decay, fused=fused)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda s: min(1.0, (s + 1) / (cfg.warmup_steps + 1)))

    def save(self, path: Path) -> None:
        """Everything but the weights themselves; of lower-precision ones the masters."""
        masters = [m for p, m in zip(self.params, self.masters, strict=True) if m is not p]
        state = {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict(), "masters": masters}
        torch.save(state, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True, map_location=self.model.device)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for p, master in zip(self.params, self.masters, strict=True):
            # AdamW passes over what has no gradient, and moves what has one of zeros by its momentum: a batch without
            # advantages moved the weights in the process that wrote this, and must here.
            if master in self.optimizer.state:
                p.grad = torch.zeros_like(p)
        masters = [m for p, m in zip(self.params, self.masters, strict=True) if m is not p]
        for mine, stored in zip(masters, state["masters"], strict=True):
            mine.copy_(stored)

    def step(self, groups: Sequence[Group], encode: Callable[[str], list[int]]) -> tuple[list[Row], dict[str, float]]:
        """All updates of one batch of groups; the rows (for observers) and what to log."""
        updates = self._rows(groups, encode)
        self._score_bare([r for rows in updates for r in rows], encode)
        for rows in updates[1:]:  # the first update's old log-probabilities are those of its own forward pass
            self._score_old(rows)
        stats: dict[str, float] = {"loss": 0.0, "grad_norm": 0.0, "clipped_tokens": 0.0}
        ratio = 1.0
        for rows in updates:
            done, largest = self._update(rows)
            ratio = max(ratio, largest)
            for key, value in done.items():
                stats[key] += value / len(updates)
            if self._broken(stats):
                break
        rows = [r for update in updates for r in update]
        return rows, {**stats, "ratio_max": ratio, **batch_metrics(groups, rows), "lr": self.schedule.get_last_lr()[0]}

    def _rows(self, groups: Sequence[Group], encode: Callable[[str], list[int]]) -> list[list[Row]]:
        """Rows per update; the groups of one update are neighbours in the batch, and no group straddles two."""
        share = max(1, -(-len(groups) // self.cfg.updates_per_batch))
        prompts = {r.context.train for g in groups for r in g.rollouts}
        ids = {p: encode(p) for p in prompts}
        updates = []
        for start in range(0, len(groups), share):
            rows = []
            for g in groups[start : start + share]:
                pairs = zip(g.rollouts, self.advantages(g), strict=True)
                rows += [Row(g.problem, r, ids[r.context.train], a) for r, a in pairs]
            updates.append(rows)
        return updates

    def _needs_forward(self, row: Row) -> bool:
        """A row without advantage has no gradient; a templated one is scored all the same, for the log."""
        return row.advantage != 0.0 or row.distilled

    def _micro_batches(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows that are passed together: of similar length, at most `forward_tokens` tokens with padding; or by prompt."""
        pairs = [(r.prompt_ids, r.rollout.tokens_T) for r in rows]
        plan = passes_by_prompt if self.share else passes_by_length
        return [[rows[i] for i in part] for part in plan(pairs, self.forward_tokens)]

    def _logps(self, rows: Sequence[Row], prompts: Sequence[list[int]] | None = None) -> tuple[Tensor, Tensor]:
        """Of rows after their prompts, or after these."""
        prompts = prompts or [r.prompt_ids for r in rows]
        completions = [r.rollout.tokens_T for r in rows]
        return completion_logps(self.model, prompts, completions, self.cfg.temperature, self.pad, self.share)

    def _set_old(self, rows: Sequence[Row], logps_B_T: Tensor) -> None:
        """Store log pi_old(y|x) and the correction's weights per row."""
        rollout_B_T = pad_rows([r.rollout.logps_T for r in rows], logps_B_T.shape[1], logps_B_T.device)
        distilled_B = torch.tensor([r.distilled for r in rows], device=logps_B_T.device)
        weights_B_T = correction_weights(logps_B_T, rollout_B_T, distilled_B, self.loss)
        for i, row in enumerate(rows):
            n = len(row.rollout.tokens_T)
            row.old_logps_T, row.weights_T = logps_B_T[i, :n], weights_B_T[i, :n]

    @torch.no_grad()
    def _score_bare(self, rows: Sequence[Row], encode: Callable[[str], list[int]]) -> None:
        """For the log: how much a hint that the gradient sees, too, is relied on."""
        hinted = [r for r in rows if r.rollout.context.template and not r.distilled]
        ids = {text: encode(text) for text in {r.problem.text for r in hinted}}
        for micro in self._micro_batches(hinted):  # a prompt without its hint is no longer than with it
            logps_B_T, _ = self._logps(micro, [ids[r.problem.text] for r in micro])
            for i, row in enumerate(micro):
                row.bare_logps_T = logps_B_T[i, : len(row.rollout.tokens_T)].cpu()

    @torch.no_grad()
    def _score_old(self, rows: Sequence[Row]) -> None:
        for micro in self._micro_batches([r for r in rows if self._needs_forward(r)]):
            self._set_old(micro, self._logps(micro)[0])

    def _broken(self, stats: Mapping[str, float]) -> bool:
        """Whether no step may be taken on these: the run's guard stops there, with the weights from before."""
        return self.cfg.guards.finite and not all(map(math.isfinite, stats.values()))

    def _update(self, rows: Sequence[Row]) -> tuple[dict[str, float], float]:
        """One optimiser step; what to log, and the largest ratio of a token's probabilities after and before."""
        tokens = float(sum(len(r.rollout.tokens_T) for r in rows))
        total, clipped, largest = 0.0, 0.0, 1.0
        self.model.zero_grad(set_to_none=False)
        scored = [r for r in rows if self._needs_forward(r)]
        moving = [r for r in scored if r.advantage != 0.0]
        if still := [r for r in scored if r.advantage == 0.0 and r.old_logps_T is None]:
            self._score_old(still)
        for micro in self._micro_batches(moving):
            with recomputed_layers(self.model) if self.recompute else nullcontext():
                logps_B_T, real_B_T = self._logps(micro)
            if micro[0].old_logps_T is None:
                self._set_old(micro, logps_B_T.detach())
            width, device = logps_B_T.shape[1], logps_B_T.device
            old_B_T = pad_rows([r.old_logps_T for r in micro], width, device)
            weights_B_T = pad_rows([r.weights_T for r in micro], width, device)
            advantages_B = torch.tensor([r.advantage for r in micro], device=device)
            distilled_B = torch.tensor([r.distilled for r in micro], device=device)
            losses_B_T = token_losses(logps_B_T, old_B_T, advantages_B, self.loss, distilled_B)
            loss = aggregate(losses_B_T, real_B_T, weights_B_T, self.loss.aggregation, tokens, len(rows))
            with self._gathering():
                loss.backward()
            total += loss.item()
            ratio_B_T = torch.exp(logps_B_T.detach() - old_B_T)
            outside = (ratio_B_T < 1 - self.loss.clip_low) | (ratio_B_T > 1 + self.loss.clip_high)
            clipped += (outside * real_B_T).sum().item()
            largest = max(largest, (ratio_B_T * real_B_T).max().item())
        norm = self._step(total)
        return {"loss": total, "grad_norm": norm, "clipped_tokens": clipped / max(tokens, 1.0)}, largest

    def _step(self, loss: float = 0.0) -> float:
        """Clip the gradient, step, and give lower-precision weights their masters' values; the gradient's norm.

        No step is taken where the guard will stop at this loss or norm.
        """
        self._gather()
        for p, master in zip(self.params, self.masters, strict=True):
            if master is not p and master.grad is None and master in self.optimizer.state:
                master.grad = torch.zeros_like(master)
        norm = float(torch.nn.utils.clip_grad_norm_(self.masters, self.cfg.grad_clip))
        if self._broken({"loss": loss, "grad_norm": norm}):
            return norm
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for p, master in zip(self.params, self.masters, strict=True):
                if master is not p:
                    p.copy_(master)
                    master.grad = None  # its memory is the sampler's until the next step
        return norm

    def _gather(self) -> None:
        """Add what lower-precision weights have gathered to their masters' gradients, in float32."""
        for p, master in zip(self.params, self.masters, strict=True):
            if master is not p and p.grad is not None:
                _add_gradient(p, master)

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """Inside, a lower-precision gradient goes to its master as soon as it is made: they never all exist side by side."""
        pairs = [(p, m) for p, m in zip(self.params, self.masters, strict=True) if m is not p]
        hooks = [p.register_post_accumulate_grad_hook(partial(_add_gradient, master=m)) for p, m in pairs]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _add_gradient(p: Tensor, master: Tensor) -> None:
    """Move a weight's gradient to its master's, in float32."""
    assert p.grad is not None
    master.grad = p.grad.float() if master.grad is None else master.grad.add_(p.grad)
    p.grad = None


def pad_rows(rows: Sequence[Sequence[float] | Tensor], width: int, device: torch.device) -> Tensor:
    """[B, width] float tensor, zeros on the right."""
    tensors = [torch.as_tensor(r, dtype=torch.float32, device=device) for r in rows]
    return torch.stack([torch.nn.functional.pad(t, (0, width - len(t))) for t in tensors])
