"""A pytest plugin that runs mutants: the tests once, then every mutant in a fork, by the tests that reach its function.

A fork has what the tests imported and what their session's fixtures made, so that a mutant costs no more than its tests;
those are run the quickest first, up to the first that fails. A fork is stopped by the CPU time that it uses, so that a busy
machine does not change a verdict. It forgets what the functions of the mutant's package remember by `functools.cache`, which
was found without the mutant. What a session's fixture computed is computed without mutants: where only that reaches a
function, nothing is noticed, which errs on the side of survivors.

tests/robustness/mutants.py starts it, with the environment's MUTANTS, a JSON file: `names` to be run, `verdicts`, the file
for exit codes by name in mutmut's terms, and `deadline`, a reading of the monotonic clock.
"""

import functools
import gc
import json
import math
import os
import resource
import signal
import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation import trampoline

NO_TESTS, TIMEOUT = 33, 36  # as mutmut's
FACTOR, LEAST = 4, 5
"""CPU seconds of a test on a mutant: so many times those that it takes without it, and so many more."""
WAIT = 20
"""Seconds by the clock for each of those, after which a mutant that only waits is stopped."""


def pytest_runtestloop(session: pytest.Session) -> bool:
    asked = json.loads(Path(os.environ["MUTANTS"]).read_text())
    reach = _reach(session)
    found: dict[str, int] = {}
    for i, name in enumerate(asked["names"]):
        if time.monotonic() > asked["deadline"]:
            break
        tests = sorted(reach.get(name.rpartition("__mutmut_")[0], []), key=lambda x: x[0])
        found[name] = _verdict(session, name, tests) if tests else NO_TESTS
        print(f"{i + 1}/{len(asked['names'])} {found[name]} {name}", flush=True)
        Path(asked["verdicts"]).write_text(json.dumps(found))
    return True


def _reach(session: pytest.Session) -> dict[str, list[tuple[float, pytest.Item]]]:
    """By function, the tests that call it with their CPU seconds. Ends pytest where one fails."""
    called: set[str] = set()
    trampoline.record_trampoline_hit = lambda name, caller=None: called.add(name)
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    reach: dict[str, list[tuple[float, pytest.Item]]] = {}
    for item, following in zip(session.items, [*session.items[1:], session], strict=True):
        _forget("harness")  # else a test that finds all it needs in a cache seems to call nothing
        called.clear()
        started = time.process_time()
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            pytest.exit(f"{item.nodeid} fails without any mutant", returncode=1)
        for name in called:
            reach.setdefault(name, []).append((time.process_time() - started, item))
    os.environ["MUTANT_UNDER_TEST"] = ""
    return reach


def _verdict(session: pytest.Session, name: str, tests: list[tuple[float, pytest.Item]]) -> int:
    """The exit code of a fork that runs these tests on a mutant: 1 once one fails, 0 if none does, or a time-out."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setsid()
            os.environ["MUTANT_UNDER_TEST"] = name
            _forget(".".join(name.split(".")[:2]))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            code = int(any(_fails(session, item, LEAST + FACTOR * seconds) for seconds, item in tests))
        finally:
            os._exit(code)  # whatever was raised: a mutant that ends pytest is noticed
    end = time.monotonic() + WAIT * sum(LEAST + FACTOR * seconds for seconds, _ in tests)
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return TIMEOUT
        time.sleep(0.005)
    try:
        os.killpg(child, signal.SIGKILL)  # what its tests have started
    except ProcessLookupError:
        pass
    code = os.waitstatus_to_exitcode(done[1])
    return TIMEOUT if code in (-signal.SIGXCPU, -signal.SIGKILL) else code


def _forget(package: str) -> None:
    """Empty the caches of all functions of a package."""
    for found in gc.get_objects():
        if type(found) is functools._lru_cache_wrapper and found.__module__.startswith(f"{package}."):
            found.cache_clear()


def _fails(session: pytest.Session, item: pytest.Item, seconds: float) -> bool:
    """Whether a test fails; the kernel ends this process once the test has used so many CPU seconds."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), most))
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=session))
