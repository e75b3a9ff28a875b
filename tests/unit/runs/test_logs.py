"""What a seed's training began with, read off its rollouts."""

from __future__ import annotations

from harness.core.types import Context, Group, Problem, Rollout
from harness.runs.logs import first_rollouts, rollouts_path
from harness.runs.rundir import RunDir
from harness.training.seedlog import SeedLog
from support.settings import resolve

PROBLEMS = [Problem(f"p{i}", f"q{i}", "1") for i in range(4)]


def group(i=0, texts=("a", "b"), prompt="q", discarded=(), reward=1.0):
    def rollouts(some):
        return [Rollout(Context(prompt, "q"), text, [1, 2], [-1.0] * 2, 7, reward=reward) for text in some]

    return Group(PROBLEMS[i], rollouts(texts), rollouts(discarded))


FIRST = [group(0), group(1)]
WHOLE = [(0, 0, FIRST), (0, 1, [group(2)]), (1, 0, [group(3)])]


def found(tmp_path, batches):
    run = RunDir(tmp_path / str(len(list(tmp_path.iterdir()))))
    log = SeedLog(run, 3, resolve("grpo"), PROBLEMS, lambda done, text: None)
    for epoch, batch, groups in batches:
        log.step(epoch, batch, groups, {"reward": 0.5})
    return first_rollouts(run.path, 3)


def test_what_comes_later_changes_only_what_it_belongs_to(tmp_path):
    whole = found(tmp_path, WHOLE)
    assert found(tmp_path, WHOLE) == whole
    assert found(tmp_path, WHOLE[:2]) == whole, "the second epoch is not looked at"
    other = found(tmp_path, [WHOLE[0], (0, 1, [group(2, ("a", "c"))])])
    assert other.batch == whole.batch and other.epoch != whole.epoch
    short = found(tmp_path, WHOLE[:1])
    assert short.batch == short.epoch == whole.batch


def test_any_other_problem_prompt_or_completion_is_another_batch(tmp_path):
    first = found(tmp_path, WHOLE).batch
    for groups in (
        FIRST[::-1],
        FIRST[:1],
        [group(0), group(2)],
        [group(0, ("a", "c")), group(1)],
        [group(0, prompt="hint q"), group(1)],
        [group(0, discarded=("x",)), group(1)],
    ):
        assert found(tmp_path, [(0, 0, groups)]).batch != first
    same = [group(0, ("b", "a"), reward=0.0), group(1)]
    assert found(tmp_path, [(0, 0, same)]).batch == first, "completions of a problem come in any order; grades do not count"


def test_a_run_without_rollouts_says_nothing(tmp_path):
    assert first_rollouts(tmp_path, 0) is None
    rollouts_path(tmp_path, 0).parent.mkdir()
    rollouts_path(tmp_path, 0).touch()
    assert first_rollouts(tmp_path, 0) is None
