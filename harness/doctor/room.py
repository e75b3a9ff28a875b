"""Whether a run fits a machine, and what would where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch

from harness.config import RunSpec, resolve
from harness.core.errors import HarnessError, MissingError
from harness.core.trees import parse_set
from harness.doctor.checks import Check
from harness.doctor.machine import Machine
from harness.doctor.memory import GB, Needs, local_needs, openrlhf_needs
from harness.doctor.shapes import config_of, shape
from harness.registry import home_of, recipes
from harness.training.local.memory import SHARE, free_bytes
from harness.training.openrlhf.flags import divides

STEP = 512
"""A length of completions that is proposed is a multiple of this."""
FEW = 4
"""Completions of full length side by side, below which sampling is slow."""


def needs_of(spec: RunSpec, machine: Machine, model: Any) -> Needs:
    """The table of the run on this machine."""
    memory = None if machine.gpu_memory_gb is None else machine.gpu_memory_gb * GB
    if spec.backend.name == "openrlhf":
        return openrlhf_needs(spec, model, memory)
    return local_needs(spec, model, memory if spec.local.device != "cpu" and machine.gpus != 0 else None)


def check_gpus(spec: RunSpec, machine: Machine) -> Check:
    """How many there are, of those that the recipe wants on a node, and nodes."""
    if spec.backend.name == "local":
        return _check_local_gpu(spec, machine)
    nodes, wanted = spec.backend.nodes, spec.backend.gpus_per_node
    if machine.gpus is None:
        return Check("GPUs", "unchecked", "the description does not say how many", f"{wanted} a node are needed")
    if machine.gpus < wanted:
        todo = f"take a machine with {wanted}, or another recipe"
        if fewer := divides(spec, machine.gpus):
            todo = f"--set backend.gpus_per_node={fewer}"
        return Check("GPUs", "fails", f"{machine.gpus} a node, {wanted} are needed", todo, missing=True)
    if machine.nodes is not None and machine.nodes < nodes:
        return Check("GPUs", "fails", f"{machine.nodes} nodes, {nodes} are needed", f"backend.nodes is {nodes}", missing=True)
    more = f" of {machine.gpus}" if machine.gpus > wanted else ""
    return Check("GPUs", "ok", f"{wanted}{more} a node" + (f", {nodes} nodes" if nodes > 1 else ""))


def _check_local_gpu(spec: RunSpec, machine: Machine) -> Check:
    if machine.gpus is None:
        return Check("GPUs", "unchecked", "the description does not say how many")
    if spec.local.device == "cuda" and not machine.gpus:
        return Check("GPUs", "fails", "none, and local.device is cuda", "--set local.device=auto", missing=True)
    return Check("GPUs", "ok", f"{machine.gpus}; the local backend takes {'one' if machine.gpus else 'the CPU'}")


def check_memory(spec: RunSpec, machine: Machine, model: Any, needs: Needs) -> list[Check]:
    """Of GPUs while they train and while they sample, and of the host."""
    if not needs.gpu:
        peak = max(needs.training, needs.sampling)
        return [_within("host memory", peak, machine.host_memory_gb, lambda: _local_advice(spec, machine))]
    way = cache(lambda: advice(spec, machine, model))
    parts = (("GPU memory, training", needs.training), ("GPU memory, sampling", needs.sampling))
    checks = [_within(name, need, machine.gpu_memory_gb, way) for name, need in parts]
    if spec.backend.name == "openrlhf":
        checks.append(_engine(spec, machine, needs, way))
        checks.append(_within("host memory", needs.host, machine.host_memory_gb, lambda: "take nodes with more main memory"))
    return checks


def _engine(spec: RunSpec, machine: Machine, needs: Needs, way: Callable[[], str]) -> Check:
    name = "share of the engine"
    if machine.gpu_memory_gb is None:
        found = f"{needs.engine / GB:.1f} GB are needed, of GPUs whose memory is not known"
        return Check(name, "unchecked", found)
    share = spec.backend.engine_memory * machine.gpu_memory_gb * GB
    found = f"{share / GB:.1f} GB hold weights and a cache for {needs.cached:.1f} completions of full length"
    if share < needs.engine:
        found = f"{share / GB:.1f} GB; weights and one completion of full length take {needs.engine / GB:.1f}"
        return Check(name, "fails", found, way())
    if needs.cached < FEW:
        return Check(name, "warning", found, "sampling will be slow; raise backend.engine_memory or backend.tensor_parallel")
    return Check(name, "ok", found)


def check_jobs_memory(spec: RunSpec, jobs: int, machine: Machine, offline: bool, gpus: int) -> Check:
    """Whether `jobs` processes of a local run fit side by side: on the GPUs that they are shared out over, `gpus` of them, or
    in the main memory that is available now."""
    on_gpu = bool(spec.local.device != "cpu" and machine.gpus and machine.gpu_memory_gb)
    there = (machine.gpu_memory_gb or 0.0) * GB if on_gpu else free_bytes(torch.device("cpu"))
    if there is None:
        return Check("memory", "unchecked", "how much is available is not known")
    try:
        model = shape(config_of(spec, offline), spec.model.dtype)
    except MissingError as e:
        return Check("memory", "unchecked", str(e))
    sharing = -(-jobs // gpus) if on_gpu else jobs
    peak = _peak(spec, model, there / sharing if on_gpu else None)
    found = f"{sharing} processes take {sharing * peak / GB:.1f} GB of " + ("a GPU" if on_gpu else "main memory")
    if sharing * peak <= there:
        return Check("memory", "ok", f"{found}, of {there / GB:.1f}")
    fit = next((n for n in range(sharing - 1, 0, -1) if n * _peak(spec, model, there / n if on_gpu else None) <= there), 0)
    todo = f"--jobs {fit * (gpus if on_gpu else 1)} fits" if fit else "not even one fits"
    return Check("memory", "fails", f"{found}, {there / GB:.1f} are there", todo)


def _peak(spec: RunSpec, model: Any, gpu_memory: float | None) -> float:
    needs = local_needs(spec, model, gpu_memory)
    return max(needs.training, needs.sampling)


def check_disk(needs: Needs, machine: Machine, held: float = 0.0) -> Check:
    """Checkpoints and trained policies; `held`: bytes that the run directory has already."""
    todo = "free some, choose another --out, or --set train.checkpoint_steps=null (a seed that is interrupted begins anew)"
    return _within("disk", max(0.0, needs.disk - held), machine.disk_gb, lambda: todo)


def _within(name: str, need: float, there: float | None, todo: Callable[[], str]) -> Check:
    """`need` in bytes, `there` in GB. The last 5% are not counted on."""
    if there is None:
        return Check(name, "unchecked", f"{need / GB:.1f} GB are needed, and how much there is, is not known")
    found = f"{need / GB:.1f} GB of {there:.1f}"
    if need > there * GB:
        return Check(name, "fails", f"{need / GB:.1f} GB are needed, there are {there:.1f}", todo())
    if need > SHARE * there * GB:
        return Check(name, "warning", f"{found}, which leaves less than {1 - SHARE:.0%} to spare")
    return Check(name, "ok", found)


# ---------------------------------------------------------------------- what would fit


def changed(spec: RunSpec, sets: Sequence[str]) -> RunSpec:
    """The spec with these settings of `backend` or `train`. The model checks them as it would in a recipe."""
    tree = spec.model_dump()
    for item in sets:
        for section, values in parse_set(item).items():
            tree[section] = {**tree[section], **values}
    return RunSpec.model_validate(tree)


def fits(spec: RunSpec, machine: Machine, model: Any) -> bool:
    """GPUs and main memory alone, with 5% to spare; what is not known counts as enough."""
    needs = needs_of(spec, machine, model)
    if check_gpus(spec, machine).status == "fails" or (needs.gpu and machine.gpu_memory_gb is None):
        return False
    there, host = (machine.gpu_memory_gb or 0.0) * GB * SHARE, machine.host_memory_gb
    if not needs.gpu:
        return host is None or max(needs.training, needs.sampling) <= SHARE * host * GB
    enough = max(needs.training, needs.sampling) <= there and (host is None or needs.host <= SHARE * host * GB)
    share = spec.backend.engine_memory * (machine.gpu_memory_gb or 0.0) * GB
    return enough and (spec.backend.name == "local" or needs.engine <= share)


def advice(spec: RunSpec, machine: Machine, model: Any) -> str:
    """The least change with which the run fits, else a recipe that does and how short completions would have to be."""
    if spec.backend.name == "local":
        return _local_advice(spec, machine)
    for sets in _settings(spec, machine):
        if fits(changed(spec, sets), machine, model):
            return "it fits with " + " ".join(f"--set {item}" for item in sets)
    ways = []
    if other := _recipe(spec, machine):
        ways.append(f"--recipe {other} fits")
    if length := _length(spec, machine, model):
        ways.append(f"so do shorter answers, as another experiment: {length}" if ways else f"shorter answers fit: {length}")
    return "; ".join(ways) or "no recipe fits this machine"


def _settings(spec: RunSpec, machine: Machine) -> Iterator[list[str]]:
    """Changes that leave the experiment what it is, the least first."""
    backend = spec.backend
    row = backend.prompt_tokens + spec.train.max_new_tokens
    fewer = [[], [f"backend.forward_tokens={row}"]] if backend.forward_tokens > row else [[]]
    offload = [[]] if backend.offload else [[], ["backend.offload=true"]]
    more = divides(spec, machine.gpus or 0)
    spread = [[], [f"backend.gpus_per_node={more}"]] if more > backend.gpus_per_node else [[]]
    shares = [[], *([f"backend.engine_memory={x}"] for x in (0.7, 0.6, 0.5, 0.4, 0.3) if x != backend.engine_memory)]
    for gpus in spread:
        for off in offload:
            for tokens in fewer:
                yield from ([*gpus, *off, *tokens, *share] for share in shares if gpus or off or tokens or share)


def _recipe(spec: RunSpec, machine: Machine) -> str | None:
    """A shipped recipe that fits, of a real model: the same model's first, then the most parameters, the longest
    answers."""
    found: list[tuple[bool, int, int, str]] = []
    for name in recipes():
        try:
            other = resolve(spec.method, name)
            if name == spec.recipe or home_of(other.model.id):
                continue
            model = shape(config_of(other, offline=True), other.model.dtype)
        except HarnessError:  # the method's preset and this recipe do not go together, or its model is not known here
            continue
        if fits(other, machine, model):
            size = sum(p.numel() for p in model.parameters())
            found.append((other.model.id == spec.model.id, size, other.train.max_new_tokens, name))
    return max(found)[3] if found else None


def _length(spec: RunSpec, machine: Machine, model: Any) -> str | None:
    """The longest completions that fit with a quarter of the passes' tokens for the prompt."""
    offload = [] if spec.backend.offload else ["backend.offload=true"]
    for new in range(spec.train.max_new_tokens - spec.train.max_new_tokens % STEP, 0, -STEP):
        prompt = min(spec.backend.prompt_tokens, max(STEP, new // 3))
        sets = [
            f"train.max_new_tokens={new}",
            f"backend.prompt_tokens={prompt}",
            f"backend.forward_tokens={new + prompt}",
            *offload,
        ]
        if new < spec.train.max_new_tokens and fits(changed(spec, sets), machine, model):
            return " ".join(f"--set {item}" for item in sets)
    return None


def _local_advice(spec: RunSpec, machine: Machine) -> str:
    ways = "lower local.forward_tokens, or --set local.gradient_checkpointing=true"
    other = _recipe(spec, machine)
    return f"{ways}; --recipe {other} fits" if other else ways
