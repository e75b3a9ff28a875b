"""What a run takes of a machine: each part against a sum made by hand or a file that was written, and both outcomes."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from harness.doctor.machine import Machine
from harness.doctor.memory import GB, local_needs, openrlhf_needs
from harness.doctor.room import advice, changed, check_disk, check_gpus, check_memory, fits, needs_of
from harness.doctor.shapes import KNOWN, config_of, shape
from harness.registry import recipes
from harness.training.local.generation import cache_bytes
from harness.training.local.memory import SHARE
from support.settings import resolve

PAPER, ONE, TWO = "qwen3-4b-deepscaler-5k", "qwen3-4b-deepscaler-1gpu", "qwen3-4b-deepscaler-2nodes"
QWEN3_4B = 4_022_468_096
"""Parameters of Qwen3-4B: 151,936 x 2,560 embeddings (tied), 36 layers of 100,930,816, a norm."""


def node(**more):
    return Machine(**{"gpus": 8, "gpu_memory_gb": 80, "host_memory_gb": 1000, "disk_gb": 2000, **more})


def model_of(spec):
    return shape(config_of(spec, True), spec.model.dtype)


def examined(recipe, machine, *sets, method="p2o"):
    spec = resolve(method, recipe, sets=sets)
    model = model_of(spec)
    needs = needs_of(spec, machine, model)
    return [check_gpus(spec, machine), *check_memory(spec, machine, model, needs), check_disk(needs, machine)]


def statuses(checks):
    return {check.what: check.status for check in checks}


def part(needs, name):
    [found] = [p for p in needs.parts if p.name == name]
    return found


# ---------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize("name", KNOWN)
def test_a_shape_has_as_many_parameters_as_its_model(name):
    counts = {"Qwen/Qwen3-4B": QWEN3_4B, "qwen2.5-coder-0.5b-instruct": 494_032_768, "smollm2-135m-instruct": 134_515_008}
    [recipe] = [r for r in recipes() if resolve("grpo", r).model.id == name][:1]
    assert sum(p.numel() for p in model_of(resolve("grpo", recipe)).parameters()) == counts[name]


def test_the_parts_of_the_papers_recipe_by_hand():
    spec = resolve("p2o", PAPER)
    needs = openrlhf_needs(spec, model_of(spec), 80 * GB)
    p, tokens = QWEN3_4B, 16_384
    assert part(needs, "weights").training == part(needs, "gradients").training == 2 * p / 8
    assert part(needs, "masters and optimiser").training == 12 * p / 8
    assert part(needs, "masters and optimiser").host == 12 * p, "in main memory while the engines sample"
    assert part(needs, "logits").training == pytest.approx(3.4 * 4 * tokens * 151_936)
    layers, residual = 36 * tokens * 2560 * 2, tokens * 12 * 2560
    assert part(needs, "activations").training == layers + residual
    assert part(needs, "engine").sampling == pytest.approx(0.6 * 80 * GB)
    assert part(needs, "engines asleep").host == 8 * 2 * p
    assert part(needs, "checkpoints").disk == 2 * 14 * p and 56 * GB < 14 * p < 57 * GB
    assert part(needs, "trained policies").disk == 3 * 2 * p
    cache = 16_384 * 2 * 36 * 8 * 128 * 2  # keys and values of every layer
    assert needs.engine == 2 * p + 2 * GB + cache
    assert needs.cached == pytest.approx((48 * GB - 2 * p - 2 * GB) / cache)


def test_offload_moves_the_optimiser_and_two_nodes_halve_it():
    one = resolve("p2o", ONE)
    needs = openrlhf_needs(one, model_of(one), 80 * GB)
    assert part(needs, "masters and optimiser").training == part(needs, "gradients").training == 0
    assert part(needs, "masters and optimiser").host == 12 * QWEN3_4B + 4e9, "and float32 gradients of a group of 1e9"
    two = resolve("p2o", TWO)
    needs = openrlhf_needs(two, model_of(two), 80 * GB)
    assert part(needs, "masters and optimiser").training == 12 * QWEN3_4B / 16
    assert part(needs, "masters and optimiser").host == 12 * QWEN3_4B / 2


def test_an_engine_over_several_gpus_holds_its_weights_once():
    spec = resolve("p2o", PAPER, sets=["backend.tensor_parallel=4"])
    needs = openrlhf_needs(spec, model_of(spec), 80 * GB)
    assert part(needs, "engines asleep").host == 2 * 2 * QWEN3_4B


def test_checkpoints_on_disk_are_what_the_local_backend_writes(tmp_path):
    """The lasting parts against the files of an optimiser and a model that are really written."""
    heads = {"num_attention_heads": 4, "head_dim": 16, "num_key_value_heads": 2}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 2000}
    model = Qwen3ForCausalLM(Qwen3Config(**sizes, **heads, tie_word_embeddings=True)).to(torch.bfloat16)
    spec = resolve("grpo", "qwen2.5-0.5b-gsm8k", sets=["model.id=x"])
    masters = [p.detach().float().requires_grad_() for p in model.parameters()]
    optimiser = torch.optim.AdamW(masters)
    for m in masters:
        m.grad = torch.ones_like(m)
    optimiser.step()
    torch.save({"optimizer": optimiser.state_dict(), "masters": masters}, tmp_path / "state.pt")
    model.save_pretrained(tmp_path)
    written = sum(f.stat().st_size for f in tmp_path.iterdir())
    needs = local_needs(spec, model, 80 * GB)
    assert 2 * written == pytest.approx(part(needs, "checkpoints").disk, rel=0.05)
    assert part(local_needs(changed(spec, ["train.checkpoint_steps=null"]), model, None), "checkpoints").disk == 0


def test_the_local_backends_parts_are_those_of_its_own_estimate():
    spec = resolve("grpo", "qwen2.5-0.5b-gsm8k")
    model = model_of(spec)
    p = sum(x.numel() for x in model.parameters())
    roomy, tight = (local_needs(spec, model, gb * GB) for gb in (80, 24))
    assert part(roomy, "weights").training == 2 * p and part(roomy, "masters and optimiser").training == 12 * p
    assert part(roomy, "gradients").training == 4 * p
    assert part(roomy, "cache of sampling").sampling == 400_000 * cache_bytes(model.config, 2)
    assert part(tight, "a pass").training < part(roomy, "a pass").training, "a pass has fewer tokens where no more fit"
    assert tight.training <= 24 * GB


# ---------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("recipe", "machine"),
    [(PAPER, node()), (ONE, node(gpus=1)), (TWO, node(nodes=2)), ("qwen2.5-0.5b-gsm8k", node(gpus=1, gpu_memory_gb=24))],
)
def test_a_machine_that_suffices_passes(recipe, machine):
    assert set(statuses(examined(recipe, machine)).values()) == {"ok"}


def test_a_card_of_24_gb_is_refused_with_what_fits_and_that_does():
    small = node(gpus=1, gpu_memory_gb=24)
    checks = {c.what: c for c in examined(ONE, small)}
    failure = checks["GPU memory, training"]
    assert failure.status == "fails" and failure.found == "52.4 GB are needed, there are 24.0"
    assert "--recipe qwen2.5-0.5b-gsm8k fits" in failure.todo
    assert set(statuses(examined("qwen2.5-0.5b-gsm8k", small)).values()) == {"ok"}


@pytest.mark.parametrize(
    ("recipe", "machine", "sets", "settings"),
    [
        (ONE, node(gpus=1), ["backend.offload=false"], ["backend.offload=true"]),
        (PAPER, node(), ["backend.forward_tokens=65536"], ["backend.forward_tokens=16384"]),
        (PAPER, node(), ["backend.engine_memory=0.95"], ["backend.engine_memory=0.7"]),
        (PAPER, node(gpu_memory_gb=50), ["backend.gpus_per_node=1"], ["backend.gpus_per_node=8", "backend.offload=true"]),
    ],
)
def test_the_least_setting_that_fits_is_proposed_and_it_does(recipe, machine, sets, settings):
    spec = resolve("p2o", recipe, sets=sets)
    model = model_of(spec)
    assert not fits(spec, machine, model)
    assert advice(spec, machine, model) == "it fits with " + " ".join(f"--set {s}" for s in settings)
    assert fits(resolve("p2o", recipe, sets=[*sets, *settings]), machine, model)


def test_shorter_answers_are_named_as_another_experiment_and_fit():
    spec, machine = resolve("p2o", ONE), node(gpus=1, gpu_memory_gb=40)
    model = model_of(spec)
    text = advice(spec, machine, model)
    assert "as another experiment: --set train.max_new_tokens=" in text
    sets = text.split("experiment: ")[1].replace("--set ", "").split()
    assert fits(resolve("p2o", ONE, sets=sets), machine, model)


def test_too_few_gpus_or_nodes():
    few = examined(PAPER, node(gpus=7))[0]
    assert (few.status, few.todo, few.missing) == ("fails", "--set backend.gpus_per_node=6", True)  # 384 samples over 6, not 7
    assert examined(PAPER, node(gpus=0))[0].status == "fails"
    assert examined(TWO, node(nodes=1))[0].status == "fails"
    assert examined(PAPER, node(gpus=16))[0].found == "8 of 16 a node"
    assert examined("qwen2.5-0.5b-gsm8k", node(gpus=0), "local.device=cuda")[0].status == "fails"


def test_main_memory_and_disk():
    found = statuses(examined(PAPER, node(host_memory_gb=128, disk_gb=100)))
    assert (found["host memory"], found["disk"]) == ("fails", "fails")
    spec = resolve("p2o", PAPER)
    needs = needs_of(spec, node(), model_of(spec))
    assert check_disk(needs, node(disk_gb=100), held=60 * GB).status == "ok", "what a resumed run has written already"
    tight = needs.host / GB / SHARE * 0.99
    assert statuses(examined(PAPER, node(host_memory_gb=tight)))["host memory"] == "warning"


def test_a_small_share_of_an_engine_is_a_warning_and_too_small_a_failure():
    assert statuses(examined(PAPER, node(), "backend.engine_memory=0.2"))["share of the engine"] == "warning"
    assert statuses(examined(PAPER, node(), "backend.engine_memory=0.1"))["share of the engine"] == "fails"


def test_what_a_description_leaves_out_is_unchecked():
    found = statuses(examined(PAPER, Machine()))
    assert set(found.values()) == {"unchecked"} and {"GPUs", "GPU memory, training", "host memory", "disk"} <= set(found)


def test_a_cpu_needs_its_memory():
    assert statuses(examined("smollm2", node(gpus=0, host_memory_gb=64)))["host memory"] == "ok"
    found = [c for c in examined("smollm2", node(gpus=0, host_memory_gb=1)) if c.what == "host memory"]
    assert found[0].status == "fails" and "local.forward_tokens" in found[0].todo
