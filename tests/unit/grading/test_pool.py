"""The single steps of the pool, in this process; test_graders.py has the pool and its children."""

import atexit
import os
import resource
import signal
import sys
import time
from concurrent.futures import Future
from multiprocessing import current_process
from types import ModuleType, SimpleNamespace

import pytest
from pebble import ProcessExpired

from harness.core.errors import MissingError, UsageError
from harness.grading import pool


@pytest.fixture
def clock():
    """A child's clock in this process: its handler of the first signal; afterwards everything as before."""
    before = signal.signal(signal.SIGPROF, pool._out_of_time)
    yield
    signal.signal(signal.SIGPROF, before)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "done"


def timers():
    return signal.getitimer(signal.ITIMER_PROF), signal.getitimer(signal.ITIMER_VIRTUAL)


def test_an_item_below_its_limit_returns_and_stops_the_clock(clock):
    seen = []
    assert pool._limited(lambda *args: seen.append((args, timers())) or args[1], (3, "x"), 0.5) == "x"
    [(args, (prof, virtual))] = seen
    assert args == (3, "x")
    assert 0.4 < prof[0] <= 0.51  # the exception's
    assert prof[1] == pytest.approx(pool.GRACE / 4, abs=0.005)  # again and again, should one be swallowed
    assert 0.4 + pool.GRACE < virtual[0] <= 0.51 + pool.GRACE and virtual[1] == 0  # the kill's
    assert timers() == ((0, 0), (0, 0))


def test_an_item_above_its_limit_is_a_timeout_and_stops_the_clock(clock):
    started = time.process_time()
    with pytest.raises(TimeoutError) as raised:
        pool._limited(spin, (5,), 0.4)
    assert 0.36 < time.process_time() - started < 0.59  # before the kill; the timer counts in ticks of several milliseconds
    assert raised.value.__suppress_context__
    assert timers() == ((0, 0), (0, 0))


def test_an_item_that_raises_raises_and_stops_the_clock(clock):
    with pytest.raises(ZeroDivisionError):
        pool._limited(lambda: 1 / 0, (), 0.5)
    assert timers() == ((0, 0), (0, 0))


def test_no_handler_of_exceptions_holds_up_the_clock(clock):
    def stubborn():
        while True:
            try:
                spin(1)
            except Exception:
                pass

    with pytest.raises(TimeoutError):
        pool._limited(stubborn, (), 0.1)


def main_module(monkeypatch, **attributes):
    module = ModuleType("__main__")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "__main__", module)


@pytest.mark.parametrize(
    ("text", "unguarded"), [("grade()\n", True), ("if __name__ == '__main__':\n    grade()\n", False), ("# \xff\n", True)]
)
def test_a_script_without_a_main_guard_is_noticed(monkeypatch, tmp_path, text, unguarded):
    script = tmp_path / "script.py"
    script.write_bytes(text.encode("latin-1"))
    main_module(monkeypatch, __file__=str(script))
    assert pool._unguarded() is unguarded


def test_a_module_a_prompt_and_a_script_that_is_gone_need_no_guard(monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("grade()\n")
    main_module(monkeypatch, __file__=str(script), __spec__=object())  # python -m
    assert pool._unguarded() is False
    main_module(monkeypatch)  # an interactive prompt
    assert pool._unguarded() is False
    main_module(monkeypatch, __file__=str(tmp_path / "gone.py"))
    assert pool._unguarded() is False
    main_module(monkeypatch, __file__=str(script))
    del sys.modules["__main__"].__spec__  # as where Python is embedded
    assert pool._unguarded() is True


def test_an_unguarded_script_is_told_what_to_write(monkeypatch):
    monkeypatch.setattr(pool, "_unguarded", lambda: True)
    with pytest.raises(
        UsageError, match="^grading starts child processes, .* again: put what .* `if __name__ == '__main__':`$"
    ):
        pool._new_pool(1)


def test_without_math_verify_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setattr(pool, "find_spec", lambda name: {"math_verify": None}[name])
    with pytest.raises(MissingError) as raised:
        pool._new_pool(1)
    assert str(raised.value) == "grading mathematics needs math-verify: pip install 'p2o-harness[local]'"


def test_a_child_that_only_imports_the_calling_script_ends(monkeypatch):
    """It would start children of its own, which would import the script again."""

    class Ended(Exception):
        pass

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended, match="^1$"):
        pool._schedule(len, ((),), 1, 1.0)


class Pool:
    """In place of pebble's: what it was made with, what it was asked for, and how it ended."""

    made: list["Pool"] = []

    def __init__(self, workers, initializer, context):
        self.workers, self.initializer, self.context, self.active, self.asked = workers, initializer, context, True, []
        self.made.append(self)

    def schedule(self, function, args, timeout):
        self.asked.append((function, args, timeout))
        return len(self.asked)

    def close(self):
        self.asked.append("close")

    def stop(self):
        self.asked.append("stop")

    def join(self):
        self.asked.append("join")


@pytest.fixture
def pools(monkeypatch):
    monkeypatch.setattr("pebble.ProcessPool", Pool)
    monkeypatch.setattr(Pool, "made", [])
    monkeypatch.setattr(pool, "_pool", None)
    monkeypatch.setattr(pool, "_pool_workers", 0)
    return Pool.made


def test_a_pool_is_kept_until_another_number_of_workers_or_its_end(pools):
    """Its children are not forked and start warm; the pool before ends after its items, another thread's among them."""
    assert [pool._schedule(len, ("a",), 2, cpu_s) for cpu_s in (0.5, 1.5)] == [1, 2]
    [first] = pools
    assert (first.workers, first.initializer, first.context.get_start_method()) == (2, pool._start_child, "spawn")
    assert first.asked == [(pool._limited, (len, ("a",), cpu_s), pool.WALL_S) for cpu_s in (0.5, 1.5)]
    assert pool._schedule(len, ("b",), 3, 1.0) == 1
    assert first.asked[2:] == ["close", "join"] and pools[1].workers == 3
    pools[1].active = False  # as after an interrupt
    assert pool._schedule(len, ("b",), 3, 1.0) == 1
    assert pools[1].asked[1:] == ["close", "join"] and len(pools) == 3


def test_a_closed_pool_is_stopped_and_the_next_item_makes_another(pools):
    pool.close()
    assert pools == []
    pool._schedule(len, ("a",), 1, 1.0)
    pool.close()
    pool.close()
    assert pools[0].asked[1:] == ["stop", "join"]
    pool._schedule(len, ("a",), 1, 1.0)
    assert len(pools) == 2


def test_a_pool_is_closed_at_exit_once(pools, monkeypatch):
    asked = []
    monkeypatch.setattr(atexit, "unregister", lambda f: asked.append(("unregister", f)))
    monkeypatch.setattr(atexit, "register", lambda f: asked.append(("register", f)))
    pool._new_pool(1)
    assert asked == [("unregister", pool.close), ("register", pool.close)]


class Limits:
    """The limit of this process on memory, as the kernel would keep it."""

    def __init__(self, monkeypatch, hard):
        self.hard, self.set = hard, []
        own = {resource.RLIMIT_AS: (resource.RLIM_INFINITY, hard)}
        monkeypatch.setattr(resource, "getrlimit", own.__getitem__)
        monkeypatch.setattr(resource, "setrlimit", lambda which, limits: self.set.append((which, limits)))


@pytest.fixture
def handlers():
    kept = {x: signal.getsignal(x) for x in (signal.SIGPROF, signal.SIGVTALRM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux tells a process its size")
@pytest.mark.parametrize("hard", [resource.RLIM_INFINITY, 1 << 60])
def test_a_child_bounds_its_memory_above_what_it_has(monkeypatch, handlers, hard):
    limits = Limits(monkeypatch, hard)
    signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    pool._start_child()
    assert signal.getsignal(signal.SIGPROF) is pool._out_of_time
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL  # the kill
    [(which, (soft, kept))] = limits.set
    assert (which, kept) == (resource.RLIMIT_AS, hard)
    with open("/proc/self/status") as status:
        size = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmSize"))
    assert soft - pool.MEMORY == pytest.approx(size, rel=0.05)


def test_a_child_leaves_a_tighter_bound_alone(monkeypatch, handlers):
    limits = Limits(monkeypatch, pool.MEMORY)
    pool._start_child()
    assert limits.set == []


def test_the_children_are_warm_before_the_clock_starts(monkeypatch, handlers):
    Limits(monkeypatch, pool.MEMORY)
    seen = []
    monkeypatch.setattr("harness.grading.equivalence.verify_pair", lambda gold, answer: seen.append((gold, answer)))
    pool._start_child()
    [(gold, answer)] = seen
    assert gold != answer and "frac" in gold and "frac" in answer  # they have to be read, and compared by value


def done(outcome):
    future = Future()
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
    return future


def test_outcomes():
    error = ValueError("no")
    assert pool._outcome(done(7)) == 7
    assert pool._outcome(done(error)) is error
    killed, died = ProcessExpired("killed", -signal.SIGVTALRM), ProcessExpired("died", -signal.SIGKILL)
    assert type(pool._outcome(done(killed))) is TimeoutError
    assert pool._outcome(done(died)) is died


def test_only_overruns_are_paid():
    outcomes = [None] * 3
    assert pool._settle(outcomes, 1, 0.4, done(5)) == 0
    assert pool._settle(outcomes, 0, 0.4, done(TimeoutError())) == 0.4
    assert pool._settle(outcomes, 2, 0.4, done(ValueError())) == 0
    assert outcomes[1] == 5 and [type(outcomes[i]) for i in (0, 2)] == [TimeoutError, ValueError]


class Schedule:
    """In place of the pool: items with their CPU seconds in the order of handing out; an item overruns below what it needs."""

    def __init__(self, monkeypatch):
        self.given, self.open, self.most = [], 0, 0
        monkeypatch.setattr(pool, "_schedule", self)

    def __call__(self, function, args, workers, cpu_s):
        self.given.append((args[0], round(cpu_s, 9)))
        self.open += 1
        self.most = max(self.most, self.open)
        needs = function(*args)
        return SimpleNamespace(result=lambda: self.settle(args[0], needs, cpu_s))

    def settle(self, name, needs, cpu_s):
        self.open -= 1
        if needs > cpu_s:
            raise TimeoutError
        return name


def run(schedule, needs, workers=1, cpu_s=1.0):
    outcomes = pool.run_many(lambda i, x: x, list(enumerate(needs)), workers, cpu_s)
    return ["late" if isinstance(x, TimeoutError) else x for x in outcomes]


def test_items_have_a_first_try_in_order_and_results_keep_it(monkeypatch):
    schedule = Schedule(monkeypatch)
    assert run(schedule, [0.1] * 30, workers=2) == list(range(30))
    assert schedule.given == [(i, pool.FIRST_TRY) for i in range(30)]
    assert schedule.most == pool.AHEAD * 2 + 1
    assert run(schedule, []) == []


def test_an_item_that_overruns_has_a_second_try_with_the_rest_of_its_seconds(monkeypatch):
    schedule = Schedule(monkeypatch)
    assert run(schedule, [0.1, 0.5, 0.9], cpu_s=1.0) == [0, 1, "late"]
    assert schedule.given == [(0, 0.2), (1, 0.2), (2, 0.2), (1, 0.8), (2, 0.8)]


def test_a_call_that_has_lost_its_seconds_gives_less_and_no_second_try(monkeypatch):
    schedule = Schedule(monkeypatch)
    # 16 lost first tries are 3.2 s of the 3 that a call may lose: from then on the short try, and none again.
    found = run(schedule, [9.0] * 30 + [0.04] * 3)
    assert found == ["late"] * 30 + [30, 31, 32]
    short = [i for i, (_, cpu_s) in enumerate(schedule.given) if cpu_s == pool.LATE]
    lost = round(pool.BATCH / pool.FIRST_TRY)
    assert short == list(range(lost + pool.AHEAD, 33)) and len(schedule.given) == 33


def test_second_tries_stop_when_the_seconds_are_lost(monkeypatch):
    schedule = Schedule(monkeypatch)
    assert run(schedule, [9.0] * 6) == ["late"] * 6
    # 6 first tries leave 1.8 s: three second tries of .8 each.
    assert schedule.given[6:] == [(0, 0.8), (1, 0.8), (2, 0.8)]


def test_what_died_is_tried_again_and_what_raised_is_not(monkeypatch):
    given = []
    first = {0: ProcessExpired("died", -9), 1: ValueError("no"), 2: "fine"}

    def schedule(function, args, workers, cpu_s):
        given.append((*args, cpu_s))
        return done(first[args[0]] if len(given) <= 3 else "again")

    monkeypatch.setattr(pool, "_schedule", schedule)
    outcomes = pool.run_many(len, [(0,), (1,), (2,)], 1, 1.0)
    assert outcomes[0] == "again" and isinstance(outcomes[1], ValueError) and outcomes[2] == "fine"
    assert given[3:] == [(0, 0.8)]


def test_workers_are_the_cores_up_to_four(monkeypatch):
    for cores, workers in [(None, 1), (1, 1), (3, 3), (4, 4), (64, 4)]:
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert pool.default_workers() == workers
