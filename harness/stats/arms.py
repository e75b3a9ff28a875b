"""Which runs may stand in one comparison, what each is called there, and which one is the baseline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.config import flatten
from harness.core.errors import UsageError, nearest
from harness.registry import baseline_method
from harness.runs.result import Result

PROTOCOL = ("n", "k", "temperature", "max_new_tokens")
"""What of a suite must be equal: problems, samples per problem, and how they are drawn."""


def check_identity(results: Sequence[Result]) -> None:
    """Raises UsageError, naming what differs, unless all share base policy, training problems, protocol and engine.

    Settings of the policy and of the training problems are looked up in "spec", where a result has one. Evaluations of
    finished policies (`harness eval`) may be of different ones, each under its own chat template.
    """
    first = _identity(results[0])
    for other in results[1:]:
        second = _identity(other)
        keys = [key for key in first if key in second and first[key] != second[key]]
        differ = [key for key in keys if not (_evaluation(results[0]) and _evaluation(other) and _of_policy(key))]
        if differ:
            what = "; ".join(f"{key}: {_text(first[key])} and {_text(second[key])}" for key in differ)
            raise UsageError(f"{results[0].run} and {other.run} cannot be compared, they differ in {what}")


def _evaluation(result: Result) -> bool:
    return "engine" in result.spec


def _of_policy(key: str) -> bool:
    return key.startswith(("model", "testbed.")) or key in ("training set", "identity.rendering_sha256")


def _identity(result: Result) -> dict[str, Any]:
    out: dict[str, Any] = {"training set": result.training_set, "model": result.model, "suites": sorted(result.suites)}
    out |= {f"identity.{key}": value for key, value in flatten(result.identity).items()}
    for name, suite in result.suites.items():
        out |= {f"{key} of {name}": getattr(suite, key) for key in PROTOCOL}
        out[f"data of {name}"] = suite.data_sha256
    own = ("model.", "testbed.") if result.training_set == "testbed" else ("model.",)
    for key, value in flatten(result.spec).items():
        if key == "train.limit" or (key.startswith(own) and key != "model.id"):
            out[key] = value
    return out


def distinguishing_settings(results: Sequence[Result]) -> list[str]:
    """For runs that cannot be compared with each other: the settings in which each differs from another, as text."""
    settings = [{k: v for k, v in _identity(r).items() if k.startswith(("model.", "testbed.", "train."))} for r in results]
    differ = [k for k in sorted(set().union(*settings)) if len({_text(s.get(k)) for s in settings}) > 1]
    return [", ".join(f"{k}={_text(s[k])}" for k in differ if k in s) for s in settings]


def labels(results: Sequence[Result]) -> list[str]:
    """One distinct name per arm: its method, with the settings in which arms of that method differ, or a number."""
    names = [_label(r, [o for o in results if o.method == r.method]) for r in results]
    total, seen = Counter(names), Counter[str]()
    for i, name in enumerate(names):
        if total[name] > 1:
            seen[name] += 1
            names[i] = f"{name} #{seen[name]}"
    return names


def _label(result: Result, same: Sequence[Result], most: int = 3) -> str:
    specs = [flatten(r.spec) for r in same]
    own = flatten(result.spec)
    hidden = ("seeds", "recipe", "eval.", "local.")
    differ = [k for k in sorted(own) if len({_text(s.get(k)) for s in specs}) > 1]
    shown = [k for k in differ if not k.startswith(hidden)] or [k for k in differ if k == "seeds"]
    if not shown:
        return result.method
    parts = [f"{k.replace('method_config', result.method)}={_text(own[k])}" for k in shown[:most]]
    more = [f"{len(shown) - most} more"] if len(shown) > most else []
    return f"{result.method} ({', '.join(parts + more)})"


def _text(value: Any) -> str:
    """A setting as it is written in a recipe."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def find_baseline(results: Sequence[Result], names: Sequence[str], wanted: int | str | None) -> int:
    """Position of the baseline: an index, a label, a run or a method; None is the first grpo arm, else the first.

    Raises UsageError where `wanted` is none of the arms, or a method that several arms have.
    """
    if wanted is None:
        return next((i for i, r in enumerate(results) if r.method == baseline_method()), 0)
    if isinstance(wanted, int):
        if not 0 <= wanted < len(results):
            raise UsageError(f"no arm {wanted}: there are {len(results)}, counted from 0")
        return wanted
    runs = [r.run for r in results]
    for keys in (names, runs, [Path(run).name for run in runs], [r.method for r in results]):
        found = [i for i, key in enumerate(keys) if key == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"baseline {wanted!r} is {len(found)} of the arms; name one of: {', '.join(names)}")
    raise UsageError(f"no arm {wanted!r}{nearest(wanted, names)}")
