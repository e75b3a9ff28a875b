"""`--throughput`: numbers of one's own, a finished run, a GPU; and what is refused."""

import pytest

from harness.config import resolve
from harness.core.errors import UsageError
from harness.core.ledger import Ledger
from harness.cost.assumptions import assumptions
from harness.cost.estimate import cost_of, estimate, work_of_ledger
from harness.cost.throughput import given, search_of
from harness.plan import without_data
from harness.runs.result import load_result
from support.results import result
from support.runs import write_run

SPEC = resolve("grpo", "testbed")


@pytest.fixture
def finished(tmp_path):
    """A run of two seeds that took ten times as long as is assumed."""
    spec = resolve("p2o", "testbed", flags={"seeds": [0, 1]})
    ledger = Ledger(
        rollouts=10_000,
        search_rollouts=2400,
        generated_tokens=50_000,
        trained_tokens=38_000,
        optimiser_steps=79,
        wall_seconds=99,
    )
    found = result("p2o", {0: 0.5, 1: 0.6}, ledger=ledger, spec=spec.model_dump(mode="json"))
    return write_run(tmp_path / "run", found, spec=spec.model_dump(mode="json")), spec


def test_numbers_take_the_place_of_assumptions():
    a = given(SPEC, ["sample=43000,train=63000", "sample=5"])
    assert (a["sample"], a["train"], a.rows["train"].source) == (5, 63_000, "--throughput")
    plan = without_data(SPEC)
    slow, usual = estimate(SPEC, plan, a), estimate(SPEC, plan, given(SPEC, []))
    assert slow.hours["sampling"] == pytest.approx(usual.hours["sampling"] * 7800 / 5)
    assert slow.hours["training"] == pytest.approx(usual.hours["training"] * 11_900 / 63_000)


def test_a_gpu_by_its_name():
    spec = resolve("grpo", "qwen3-4b-deepscaler-5k")
    usual, other = given(spec, []), given(spec, ["a100"])
    assert (usual.device, other.device) == ("H100", "A100")
    assert other["train"] == pytest.approx(usual["train"] * 312 / 989, rel=0.01)


def test_a_model_that_is_not_known_needs_its_size():
    spec = resolve("grpo", "qwen3-4b-deepscaler-5k", flags={"model": {"id": "some/7b", "revision": None}})
    assert given(spec, []).lacking == ["sample", "train", "parameters"]
    a = given(spec, ["parameters=7e9"])
    assert not a.lacking and a["sample"] == pytest.approx(3000 * 4.0225 / 7, rel=0.01)
    assert "the most there can be" in a.rows["answer"].source and a["answer"] == 12_288


def test_a_finished_run_gives_its_own_speed(finished):
    path, spec = finished
    a = given(spec, [str(path)])
    assert a["answer"] == 5 and a.rows["sample"].source == "measured by run"
    for ledger in load_result(path).ledgers.values():
        cost = cost_of(spec, work_of_ledger(spec, ledger, search_of(spec)), a.changed({"start": 0}, ""))
        assert 3600 * cost.wall_hours == pytest.approx(99, rel=0.01), "what it took comes out again"
    assert given(spec, [str(path), "sample=1"])["sample"] == 1


def test_runs_that_tell_nothing(finished, tmp_path):
    path, _ = finished
    with pytest.raises(UsageError, match="trained testbed, not skills"):
        given(resolve("p2o", "skills"), [str(path)])
    empty = write_run(tmp_path / "empty", result("p2o", {0: 0.5}, ledger=Ledger()))
    with pytest.raises(UsageError, match="trained nothing from which"):
        given(SPEC, [str(empty)])
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="holds no finished run"):
        given(SPEC, [str(tmp_path / "none")])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sample=0", "sample must be above 0"),
        ("sample=-1", "sample must be above 0"),
        ("train=nan", "train must be above 0"),
        ("train=inf", "train must be above 0"),
        ("accepted=2", "accepted must be a share from 0 to 1"),
        ("batch=-1", "batch must be 0 or more"),
        ("sample=fast", "not 'sample=fast'"),
        ("sample=1,", "not ''"),
        ("sampl=5", "did you mean 'sample'"),
        ("H300", "did you mean 'H200'"),
        ("runs/none", "is no run and no GPU"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(word, told):
    with pytest.raises(UsageError, match=told) as e:
        given(SPEC, [word])
    assert e.value.exit_code == 2 and "\n" not in str(e.value)


def test_openrlhf_has_no_cpu():
    with pytest.raises(UsageError, match="trains on GPUs"):
        given(resolve("grpo", "qwen3-4b-deepscaler-5k"), ["CPU"])


def test_every_row_says_where_it_comes_from():
    for recipe in ("skills", "qwen3-4b-deepscaler-1gpu", "smollm2"):
        assert all(row.source for row in assumptions(resolve("p2o", recipe)).rows.values())
