"""Every arm that the paper's studies name, on OpenRLHF: contexts, ledger, what is kept.

All of them in one run, two epochs each (toy/toy_rehearsal.py), with the optimiser in main memory and a reflector that thinks
and writes at length; at night each of them in a run of its own, as the study says it.
"""

import json
from collections import Counter

import pytest
from reflecting import LONGEST, SECRET, serving
from running import TINY, harness, left_behind

from harness.config import resolve
from harness.runs.files import read_jsonl
from harness.study.cells import as_sets
from harness.study.file import load_study

K = 4
RECIPE = "qwen3-4b-deepscaler-5k"
STUDIES = ("p2o-table1", "p2o-ablations", "p2o-hints")
ARMS = {arm.method: arm for name in STUDIES for arm in load_study(name).arms.values()}
OF_THE_RUN = ("grpo", "grpo-t1", "grpo-2x", "grpo-hard")
"""Arms that say nothing of a group or of the time between epochs, only of the run as a whole."""
ALONE = ("gepa-grpo", "p2o-policy-reflects", "p2o-initial-reflects")
"""No arm of these studies, but of the recipes: a prompt from before the first step, and engines that reflect."""
TOGETHER = [name for name in (*ARMS, "p2o-policy-reflects") if name not in OF_THE_RUN]
TRAINED = [name for name in TOGETHER if name != "gepa"]


def sets_of(server):
    """The reflector of the arms that have one on a server, and searches that end soon."""
    model = f'kind: openai, base_url: "{server.url}", max_retries: 1, model: '
    return {
        "p2o.reflector": "{" + model + "brief}",
        "p2o.min_hard": 2,
        "p2o.evolve": "{metric_calls: 40, dev_size: 4}",
        "gepa.reflector": "{kind: initial}",
        "gepa.evolve": "{metric_calls: 60, dev_size: 4}",
    }


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """One run of all arms: its folder, and the server that reflected."""
    out = tmp_path_factory.mktemp("arms") / "run"
    with serving() as server:
        settings = {
            "toy-arms.arms": json.dumps(TOGETHER),
            "toy-arms.sets": json.dumps([f"{name}={value}" for name, value in sets_of(server).items()]),
            "testbed.problems": 16,
            "train.problems": "hard",
            "train.prompts_per_batch": 8,
            "train.epochs": 2 * len(TRAINED),
            "train.temperature": 1.0,
            "train.lr": 1e-6,  # what is hard stays hard
            "train.checkpoint_steps": 100,
            "backend.offload": "true",
            "backend.prompt_tokens": 256,  # so that the engines can read a reflection prompt, cut to their room
            "backend.forward_tokens": 280,
        }
        sets = [f"--set={name}={value}" for name, value in settings.items()]
        code, _, err = harness("run", "--method=toy-arms", "--out", out, *TINY, *sets)
        assert code == 0, err
        assert not left_behind(out)
        yield out, server


def epochs_of(out):
    """The arm of every epoch, with the epoch's own row."""
    rows = {r["epoch"]: r for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "epoch" and r["epoch"] >= 0}
    return [rows[e] for e in sorted(rows)]


def groups_of(out, arm, half):
    """The groups of an arm's first or second epoch."""
    [epoch] = [r["epoch"] for r in epochs_of(out) if r["arm"] == arm][half : half + 1]
    return [g for g in read_jsonl(out / "rollouts" / "s0.jsonl") if g["epoch"] == epoch]


def test_all_arms_are_there(together):
    out, _ = together
    assert Counter(r["arm"] for r in epochs_of(out)) == dict.fromkeys(TRAINED, 2)
    assert len(TOGETHER) + len(OF_THE_RUN) == len(ARMS) + 1 >= 24


def test_what_is_sampled_is_metered(together):
    out, _ = together
    ledger = json.loads((out / "result.json").read_text())["ledger"]
    groups = read_jsonl(out / "rollouts" / "s0.jsonl")
    kept, dropped, asked = ([r for g in groups for r in g[key]] for key in ("rollouts", "discarded", "requests"))
    assert all(len(g["rollouts"]) == K for g in groups)
    assert ledger["rollouts"] == len(kept) + len(dropped) + len(asked) + ledger["search_rollouts"]
    assert ledger["trained_tokens"] == sum(r["tokens_T"] for r in kept)
    batches = [r for r in read_jsonl(out / "metrics.jsonl") if r["kind"] == "batch"]
    assert ledger["optimiser_steps"] == len(batches) == len(groups) // 8
    assert max(r["sampler_gap"] for r in batches if "sampler_gap" in r) < 0.05  # of rollouts whose two prompts are one


@pytest.mark.parametrize("arm", [n for n in TOGETHER if n.startswith("p2o") or n == "reflection"])
def test_templates(together, arm):
    """Of the second epoch: the first one's hook made them."""
    out, _ = together
    rollouts = [g["rollouts"] for g in groups_of(out, arm, 1)]
    templated = [r for group in rollouts for r in group if r["context"]["template"]]
    if arm == "p2o-no-templates":
        assert not templated
        return
    assert all(r["context"]["rollout"].startswith(r["context"]["template"].strip()) for r in templated)
    hinted = arm == "p2o-no-distillation"
    assert all((r["context"]["rollout"] == r["context"]["train"]) == hinted for r in templated)
    if arm == "p2o-generic-hint":
        assert {r["context"]["template"] for r in templated} == {"think step by step"}
    for group in rollouts:
        used = [r["context"]["template"] for r in group]
        if arm == "p2o-mixed" and any(used):
            assert used[: K // 2] == [""] * (K // 2)
        if arm in ("p2o-one-template", "reflection", "p2o-generic-hint"):
            assert len(set(used)) == 1
    if arm != "p2o-generic-hint":
        [epoch, _] = [r["epoch"] for r in epochs_of(out) if r["arm"] == arm]
        rows = [r for r in read_jsonl(out / "templates" / "s0.jsonl") if (r["arm"], r["epoch"]) == (arm, epoch)]
        selected = {r["template"] for r in rows if r["selected"]}
        assert {r["context"]["template"] for r in templated} <= selected
        assert templated or selected <= {""}


@pytest.mark.parametrize("arm", [n for n in TOGETHER if n.startswith(("prefix-", "self-hint"))])
def test_hints(together, arm):
    """Of groups that failed; the whole group has one."""
    out, _ = together
    groups = groups_of(out, arm, 0)
    hinted = [g for g in groups if g["rollouts"][0]["context"]["template"]]
    assert hinted
    for g in hinted:
        context = g["rollouts"][0]["context"]
        assert all(r["context"] == context for r in g["rollouts"])
        assert (context["train"] == context["rollout"]) == (not arm.endswith("original"))
        if arm != "prefix-curriculum":
            assert sum(r["reward"] for r in g["discarded"]) == 0 and not g["discarded"][0]["context"]["template"]


def test_refinements(together):
    out, _ = together
    groups = groups_of(out, "critique-refine", 0)
    tried = [r for g in groups for r in (*g["rollouts"], *g["discarded"]) if r["context"]["template"]]
    assert tried and all(r["context"]["train"] != r["context"]["rollout"] for r in tried)


def test_dynamic_sampling(together):
    """Degenerate groups are dropped and their places refilled, with hard problems only."""
    out, _ = together
    groups = groups_of(out, "grpo-dynsample", 0)
    assert any(g["discarded"] for g in groups)
    for g in groups:
        assert len(g["discarded"]) == 9 * K or len({r["reward"] for r in g["rollouts"]}) > 1
        assert len({r["context"]["rollout"] for r in g["rollouts"]}) == 1
    [screened] = [r for r in read_jsonl(out / "metrics.jsonl") if r["epoch"] == -1]
    texts = {r["context"]["rollout"] for g in groups for r in g["rollouts"] + g["discarded"]}
    assert len(texts) <= screened["hard_problems"] < screened["seen_problems"] == 16


def test_reflections_that_think(together):
    """By a server: what it cut or only thought is no template, prompts that it cannot read are shortened."""
    out, server = together
    templates = read_jsonl(out / "templates" / "s0.jsonl")
    assert templates and not any(SECRET in r["template"] or "think>" in r["template"] for r in templates)
    habits = server.habits
    assert all(habits[h] for h in ("field", "tags", "cut", "alone", "endless"))
    assert server.refused and all(len(prompt) <= LONGEST for _, prompt in server.asked)
    ledger = json.loads((out / "result.json").read_text())["ledger"]
    assert ledger["dropped_reflections"] >= sum(habits[h] for h in ("cut", "alone", "endless"))


def test_engines_that_reflect(together):
    """With the initial weights before the first step, with the current ones later: prompts far longer than their room are cut
    to it, and there are proposals."""
    out, _ = together
    [first] = [r for r in read_jsonl(out / "metrics.jsonl") if r["epoch"] == -1]
    [later, _] = [r for r in epochs_of(out) if r["arm"] == "p2o-policy-reflects"]
    for search in (first["gepa"], later):
        assert search["search_rollouts"] and search["proposals"] + search["reflection_faults"]
        assert search["proposals"] or search["reflections_cut"]


ALONE_SETS = (
    "--set=testbed.problems=24",
    "--set=train.prompts_per_batch=8",
    "--set=train.epochs=2",
    "--set=gepa-grpo.evolve={metric_calls: 60, dev_size: 4}",
)


@pytest.mark.slow
@pytest.mark.parametrize("arm", [*ARMS, *ALONE])
def test_arm_alone(tmp_path, arm):
    """As its study says it, reflectors aside; loss, sampling and flags are the arm's own here."""
    out = tmp_path / "run"
    with serving() as server:
        sets = [f"--set={name}={value}" for name, value in sets_of(server).items()]
        if "reflects" in arm:
            sets = [s for s in sets if not s.startswith("--set=p2o.reflector")]
        if arm == "p2o-initial-reflects":
            code, _, err = harness("run", "--method", arm, "--out", out, *TINY, *ALONE_SETS, *sets)
            assert code == 2 and "vllm serve" in err
            return
        own = [f"--set={s}" for s in as_sets(ARMS[arm].settings) if "reflector" not in s] if arm in ARMS else []
        if arm == "critique-refine":  # OpenRLHF has no policy shaping
            own.append(f"--set={arm}.correction={resolve(arm, RECIPE).method_config['correction']}")
        if arm == "critique-refine":  # OpenRLHF has no policy shaping
            own.append(f"--set={arm}.correction={resolve(arm, RECIPE).method_config['correction']}")
        if arm == "p2o-policy-reflects":  # so that the engine can read a reflection prompt
            own += ["--set=backend.prompt_tokens=256", "--set=backend.forward_tokens=280"]
        tiny = [s for s in TINY if arm != "grpo-2x" or "rollouts_per_prompt" not in s]  # the preset doubles what a recipe says
        code, _, err = harness("run", "--method", arm, "--out", out, *tiny, *ALONE_SETS, *sets, *own)
        assert code == 0, err
        asked = len(server.asked)
    assert not left_behind(out)
    ledger = json.loads((out / "result.json").read_text())["ledger"]
    groups = read_jsonl(out / "rollouts" / "s0.jsonl")
    kept, dropped, requests = ([r for g in groups for r in g[key]] for key in ("rollouts", "discarded", "requests"))
    assert ledger["rollouts"] == len(kept) + len(dropped) + len(requests) + ledger["search_rollouts"]
    if arm == "gepa":
        assert not groups and 0 < ledger["search_rollouts"] <= 60 and ledger["reflection_calls"] and not asked
        return
    each = 2 * resolve("grpo", "testbed").train.rollouts_per_prompt if arm == "grpo-2x" else K
    assert groups and {len(g["rollouts"]) for g in groups} == {each}
    assert ledger["optimiser_steps"] == len(groups) // 8
    templated = [r for r in kept + dropped if r["context"]["template"]]
    if arm == "p2o-policy-reflects":  # this policy need not write any
        selected = {r["template"] for r in read_jsonl(out / "templates" / "s0.jsonl") if r["selected"]}
        assert ledger["reflection_calls"] > ledger["dropped_reflections"] and not asked
        assert {r["context"]["template"] for r in templated} <= selected
        return
    assert bool(templated) == (not arm.startswith("grpo") and arm != "p2o-no-templates")
