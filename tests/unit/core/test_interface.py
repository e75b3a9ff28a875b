"""A method costs three touches; coroutines are gathered into batched calls; the ledger counts what was sampled."""

import ast
import asyncio

import pytest

from harness.core.ledger import Ledger
from harness.core.method import Method, MethodConfig
from harness.core.types import Context, Group, Problem, Rollout
from harness.registry import load_method, methods
from harness.training.gather import gather_groups

PROBLEMS = [Problem(f"p{i}", f"q{i}", "1") for i in range(8)]

TOY = '''
"""Repeat: sample again once when a whole group fails."""

from harness.core.method import MethodConfig
from harness.methods.grpo import GRPO
from harness.core.types import Context


class RepeatConfig(MethodConfig):
    times: int = 1
    """Further attempts."""


class Repeat(GRPO):
    Config = RepeatConfig

    async def rollout_group(self, problem, k, sample, rng):
        group = await super().rollout_group(problem, k, sample, rng)
        for _ in range(self.config.times):
            if group.successes:
                break
            group = group.replaced_by(await sample([Context.plain(problem.text)] * k))
        return group
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The three touches: a module, its config class, a line in the dict."""
    (tmp_path / "toy_repeat.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    from harness import methods as registry

    monkeypatch.setitem(registry.METHODS, "repeat", "toy_repeat:Repeat")


def test_a_toy_method_costs_three_touches(toy):
    from support.settings import resolve

    cls = load_method("repeat")
    spec = resolve("repeat", sets=["repeat.times=2"])
    m = cls(spec.typed_method_config(), spec.train, PROBLEMS, seed=0)
    calls, ledger = [], Ledger()

    def generate(requests):
        calls.append(len(requests))
        good = len(calls) == 3
        rollouts = [Rollout(c, "t", [1, 2], [0.0, 0.0], 3, reward=float(good)) for _, c in requests]
        ledger.add_rollouts(rollouts)
        return rollouts

    groups = gather_groups(m, PROBLEMS[:2], 4, generate, (0,))
    ledger.add_update(groups, steps=1)
    assert calls == [8, 8, 8], "all waiting coroutines share one call a round"
    assert [g.successes for g in groups] == [4, 4]
    assert (ledger.rollouts, ledger.discarded_rollouts, ledger.discarded_groups) == (24, 16, 2)
    assert (ledger.optimiser_steps, ledger.trained_tokens) == (1, 16)
    assert ledger.generated_tokens == 48 and ledger.prompt_tokens == 72


def test_no_core_file_names_a_method():
    """Adding a method must not need a fourth touch: outside methods/, only recipes and listings name one."""
    from pathlib import Path

    import harness

    names = set(methods()) - {"gepa"}  # also the name of a package
    for path in Path(harness.__file__).parent.rglob("*.py"):
        strings = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
        assert not names & strings, f"{path} names {names & strings}"


def test_methods_know_no_backend_and_no_run():
    """They import the interface and its helpers: what trains, runs or shows them is not among these."""
    from importlib.resources import files
    from pathlib import Path

    own = {"search.asking", "search.prompt_search", "search.reflect", "search.templates", "grading.strict"}
    for path in Path(str(files("harness.methods"))).glob("*.py"):
        nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]
        names = [n.module if isinstance(n, ast.ImportFrom) else a.name for n in nodes for a in n.names]
        used = {name.removeprefix("harness.") for name in names if name and name.startswith("harness.")}
        used = {name for name in used if not name.startswith(("methods.", "core."))}
        assert used <= own, f"{path} imports {used - own}"


def test_methods_derive_from_the_interface_or_from_grpo():
    """What several methods share is composed (harness/search), so that none inherits what it then has to switch off."""
    from harness.core.hints import HintedMethod
    from harness.methods.grpo import GRPO

    for name in methods():
        assert load_method(name).__mro__[1] in (Method, HintedMethod, GRPO), name


def test_the_interface_is_importable_from_the_package_itself():
    import harness
    from harness.core import method, settings, types

    for name in harness.__all__:
        assert getattr(harness, name) is {**vars(types), **vars(settings), **vars(method)}[name] and name in dir(harness)
    with pytest.raises(ImportError, match="cannot import name 'Methods'"):
        from harness import Methods  # noqa: F401


class Staged(Method):
    """Each problem asks as many times as its number, some of them side by side, with a pause in between."""

    async def rollout_group(self, problem, k, sample, rng):
        rollouts = []
        for _ in range(int(problem.id[1:]) % 3 + 1):
            pair = await asyncio.gather(sample([Context.plain("a")]), sample([Context.plain("b")]))
            await asyncio.sleep(0.002)
            rollouts += [r for part in pair for r in part]
        return Group(problem, rollouts)


def test_gather_serves_uneven_coroutines_in_few_calls_and_in_order():
    calls = []

    def generate(requests):
        calls.append(requests)
        return [Rollout(c, f"{p.id}:{c.rollout}", [1], [0.0], 1) for p, c in requests]

    groups = gather_groups(Staged(MethodConfig(), None, PROBLEMS, 0), PROBLEMS, 2, generate, (0,))
    assert [len(g.rollouts) for g in groups] == [2 * (i % 3 + 1) for i in range(8)]
    for g in groups:
        assert {r.text for r in g.rollouts} == {f"{g.problem.id}:a", f"{g.problem.id}:b"}
    assert len(calls[0]) == 16 and sum(map(len, calls)) == sum(len(g.rollouts) for g in groups)


def test_each_problem_has_a_random_stream_of_its_own():
    seen = {}

    class Draw(Method):
        async def rollout_group(self, problem, k, sample, rng):
            seen.setdefault(problem.id, []).append(rng.random())
            return Group(problem, [])

    for order in (PROBLEMS, PROBLEMS[::-1]):
        gather_groups(Draw(MethodConfig(), None, PROBLEMS, 0), order, 2, lambda r: [], (7, "group"))
    assert all(a == b for a, b in seen.values()) and len({a for a, _ in seen.values()}) == 8


def test_an_error_in_a_coroutine_propagates():
    class Broken(Method):
        async def rollout_group(self, problem, k, sample, rng):
            await sample([Context.plain("x")])
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        gather_groups(Broken(MethodConfig(), None, PROBLEMS, 0), PROBLEMS, 2, lambda r: [None] * len(r), (0,))


def test_ledgers_add_up():
    a, b = Ledger(rollouts=3, wall_seconds=1.5), Ledger(rollouts=4, reflection_tokens=2)
    assert Ledger.total([a, b]) == Ledger(rollouts=7, reflection_tokens=2, wall_seconds=1.5)
