"""The recipe's terms in OpenRLHF's flags."""

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.core.types import Problem
from harness.registry import load_method
from harness.training.openrlhf.backend import environment
from harness.training.openrlhf.flags import translate
from support.settings import resolve

QWEN = "qwen3-4b-deepscaler-5k"


def flags(method="p2o", recipe=QWEN, sets=(), problems=5000):
    spec = resolve(method, recipe, sets=sets)
    texts = [Problem(str(i), "x", "y") for i in range(problems)]
    made = load_method(method)(spec.typed_method_config(), spec.train, texts, 0, ["a"])
    return translate(spec, made, "MODEL", Path("WORK"), Path("FINAL"), 0, resume=False)


def value(translation, name):
    [flag] = [f for f in translation.flags if f.name == name]
    return flag.value


def test_the_papers_recipe():
    """The values of the release's script (section 5 of the paper and the released code), in OpenRLHF's names."""
    t = flags()
    expected = {
        "rollout.batch_size": 128,
        "rollout.n_samples_per_prompt": 6,
        "train.batch_size": 384,
        "train.max_epochs": 1,
        "rollout.temperature": 0.6,
        "rollout.top_p": 1.0,
        "rollout.max_new_tokens": 12288,
        "data.max_len": 16384,
        "actor.adam.lr": 1e-6,
        "actor.adam.betas": [0.9, 0.999],
        "actor.adam.weight_decay": 0.01,
        "actor.dual_clip": 3.0,
        "actor.eps_clip_low_high": [0.2, 0.2],
        "actor.loss_agg_mode": "token-mean",
        "algo.kl.init_coef": 0,
        "algo.advantage.estimator": "group_norm",
        "algo.advantage.is_correction_threshold": [0.01, 10.0],
        "actor.num_gpus_per_node": 8,
        "vllm.num_engines": 8,
        "actor.max_norm": 1.0,
    }
    assert {name: value(t, name) for name in expected} == expected
    assert "128 prompts x 6 samples = 768 samples, 2 updates of 384 samples (48 a GPU)" in t.arithmetic[0]
    assert "39 batches of 128 (8 problems left out), 78 optimiser steps" in t.arithmetic[1]


def test_warm_up_is_as_many_steps_as_the_recipe_says():
    """OpenRLHF takes ceil(steps x ratio) of len(prompts) * n // batch * episodes steps."""
    import math

    for warmup in (0, 1, 39):
        t = flags(sets=[f"train.warmup_steps={warmup}"])
        steps = 5000 * 6 // 384 * 14
        assert math.ceil(steps * value(t, "actor.lr_warmup_ratio")) == warmup


def test_the_command_is_the_table():
    t = flags(sets=['backend.flags."actor.entropy_coef"=0.001', 'backend.flags."ds.overlap_comm"=true'])
    words = t.command
    assert words[:2] == ["-m", "harness.training.openrlhf.driver"]
    assert words[words.index("--actor.entropy_coef") + 1] == "0.001" and "--ds.overlap_comm" in words
    assert words[words.index("--actor.adam.betas") + 1 :][:2] == ["0.9", "0.999"]
    assert "--train.async_enable" not in words and "--train.colocate_all" in words
    assert all(any(f.name in line for line in t.lines()) for f in t.flags)


def test_an_extra_flag_may_repeat_the_recipe_but_not_contradict_it():
    flags(sets=['backend.flags."rollout.temperature"=0.6'])
    with pytest.raises(UsageError, match="contradicts the recipe, which says 0.6 .train.temperature"):
        flags(sets=['backend.flags."rollout.temperature"=1.0'])
    with pytest.raises(UsageError, match="every group is needed"):
        flags(sets=['backend.flags."algo.dynamic_filtering_enable"=true'])


@pytest.mark.parametrize(
    "sets, words",
    [
        (["backend.gpus_per_node=7"], "cannot be split over 7 GPUs"),
        (["backend.zero_stage=2"], "wrong gradients: .* leave it at 3"),
        (["backend.tensor_parallel=3"], "does not divide the 8 GPUs"),
        (["p2o.correction=shaping"], "set p2o.correction to none, clip or mask"),
        (["p2o.reflector={kind: initial, model: null, base_url: null, extra: {chat_template_kwargs: null}}"], "vllm serve"),
    ],
)
def test_what_openrlhf_cannot_do_is_refused(sets, words):
    with pytest.raises(UsageError, match=words):
        flags(sets=sets)


def test_supervised_fine_tuning_is_refused():
    with pytest.raises(UsageError, match="only --backend local"):
        flags("sft-teacher", sets=["sft-teacher.teacher={kind: openai, model: T}"])


def test_a_frozen_policy_may_reflect_with_its_initial_weights():
    assert flags("gepa").command


def test_a_search_before_the_first_step_may_reflect_with_the_initial_weights():
    assert flags("gepa-grpo").command
    with pytest.raises(UsageError, match="vllm serve"):
        flags("grpo-gepa")


def test_on_several_nodes_a_server_has_a_name_that_all_know():
    assert flags("p2o", "qwen3-4b-deepscaler-2nodes").command
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with pytest.raises(UsageError, match="another machine on each of the 2 nodes; give the server's name"):
            flags("p2o", "qwen3-4b-deepscaler-2nodes", sets=[f"p2o.reflector.base_url=http://{host}:8000/v1"])


def test_corrections():
    """Only the mask drops tokens by OpenRLHF's band; the weights of the others are in the log-probabilities."""
    name = "algo.advantage.is_correction_threshold"
    for correction in ("none", "clip"):
        assert value(flags(sets=[f"p2o.correction={correction}"]), name) == [0.0, 1e30]
    assert value(flags(sets=["train.loss.ratio_band=[0.1, 3]"]), name) == [0.1, 3.0]
    assert value(flags("grpo"), name) == [0.0, 1e30]


def test_environment():
    spec = resolve("p2o", QWEN)
    one = environment(spec, Path("/w"))
    assert one["RAY_ADDRESS"] == "local" and "RAY_OVERRIDE_RESOURCES" not in one
    assert "RAY_ADDRESS" not in environment(resolve("p2o", "qwen3-4b-deepscaler-2nodes"), Path("/w"))
    rehearsal = environment(resolve("p2o", sets=["backend.rehearse=true", "backend.gpus_per_node=1"]), Path("/w"))
    assert rehearsal["RAY_OVERRIDE_RESOURCES"] == '{"CPU": 4, "GPU": 1}'
    shim = Path(rehearsal["PYTHONPATH"].split(":")[0])
    assert (shim / "sitecustomize.py").exists() and (shim / "install.sh").exists()
