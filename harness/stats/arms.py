"""Which runs can be compared, what each is called in the comparison, and which one is the baseline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from harness.config import resolve
from harness.core.errors import UsageError, nearest
from harness.core.kinds import Kind
from harness.core.trees import flatten
from harness.registry import baseline_method, recipes, worlds
from harness.runs.result import Result
from harness.stats.comparable import kind_of, of_policy

PROTOCOL = ("n", "k", "temperature", "max_new_tokens")
"""Suite entries that must be equal: problems, samples per problem, and how they are drawn."""
STOPS = {f"train.{name}" for name in ("epochs", "max_rollouts", "max_sampled_tokens", "max_seconds")}
"""Settings that say when a run stops. They do not name an arm where other settings do: budgets have columns of their own."""
TRAINED_ON = "problems_sha256"
"""The hash of the training problems, which must be equal where both results have one: a set's file may be another."""


def check_identity(results: Sequence[Result], allowed: Sequence[str] = ()) -> list[str]:
    """Raises UsageError naming the difference unless all runs share base policy, training problems, protocol and engine.

    Settings are read from "spec", if a result has one; their fields say which of them count (harness/core/kinds.py). A
    setting that one run has and the other lacks is a difference. Evaluations of different finished policies (`harness
    eval`) may differ in everything that belongs to the policy, including their chat templates.

    `allowed` holds names or sections (`identity`) that may differ nevertheless; those that do are returned, in words. Suites,
    their questions and the number of samples must never differ. Raises UsageError for a name that no run has.
    """
    found = [_identity(result) for result in results]
    known = {key for identity in found for key in identity if not _fixed(key)}
    sections = {key[:i] for key in known for i, char in enumerate(key) if char == "."}
    for name in allowed:
        if name not in known | sections:
            fixed = (
                "; the table rests on it" if any(name in identity for identity in found) else nearest(name, known | sections)
            )
            raise UsageError(f"{name!r} cannot be allowed to differ{fixed}")
    permitted: dict[str, str] = {}
    # Every pair: two evaluations of one policy may both be comparable with that of another, but not with each other.
    for (one, first), (other, second) in combinations(zip(results, found, strict=True), 2):
        differ = {} if first == second else _differences(one, first, other, second)
        within = {key for key in differ if any(key == name or key.startswith(f"{name}.") for name in allowed)}
        if refused := [f"{key}: {text}" for key, text in differ.items() if key not in within or _fixed(key)]:
            what = "; ".join(refused)
            raise UsageError(f"{one.run} and {other.run} cannot be compared, they differ in {what}")
        permitted |= {key: differ[key] for key in differ if key in within and key not in permitted}
    return [f"{key}: {text}" for key, text in permitted.items()]


def _differences(one: Result, first: Mapping[str, Any], other: Result, second: Mapping[str, Any]) -> dict[str, str]:
    """The differences between two identities, by name in the order of the first, with both values in words."""
    alone = one.spec.keys() ^ other.spec.keys()  # a spec without a section says nothing about it
    said = bool(one.identity) and bool(other.identity)
    evaluations = "engine" in one.spec and "engine" in other.spec
    apart = evaluations and _policy(one) != _policy(other)
    out = {}
    for key in [*first, *(key for key in second if key not in first)]:
        a, b = first.get(key), second.get(key)
        if a == b or ("." in key and key.split(".")[0] in alone):
            continue
        if (key.startswith("identity.") and not said) or (evaluations and key == "training set"):
            continue
        if key == TRAINED_ON and None in (a, b):  # an evaluation trains on nothing, and older results do not say
            continue
        if not (apart and _of_policy(key)):
            texts = [_text(x[key]) if key in x else "unset" for x in (first, second)]
            out[key] = f"{texts[0]} and {texts[1]}"
    return out


def _fixed(key: str) -> bool:
    """Whether there could be no table if this differed."""
    return key == "suites" or key.startswith(("n of ", "k of ", "data of "))


def _policy(result: Result) -> tuple[Any, ...]:
    """What distinguishes one finished policy from another."""
    spec = result.spec
    return result.model, flatten(spec).get("model.revision"), spec.get("run"), *(spec.get(name) for name in worlds())


def _of_policy(key: str) -> bool:
    """Whether it belongs to the policy: its settings, and how it renders a prompt."""
    rendered = key == "identity.rendering_sha256" or key.startswith("identity.chat_options")
    return key in ("model", "training set") or rendered or kind_of(key) is Kind.POLICY


def _settings(result: Result) -> dict[str, Any]:
    """Settings of the policy and the training problems, but for those that a result names itself."""
    found = of_policy(result.spec, result.training_set)
    return {key: value for key, value in found.items() if key not in ("model.id", "train.set", "train_set")}


def _identity(result: Result) -> dict[str, Any]:
    """All that must be equal, by name."""
    out: dict[str, Any] = {"training set": result.training_set, "model": result.model, "suites": sorted(result.suites)}
    out |= {f"identity.{key}": value for key, value in flatten(result.identity).items()}
    for name, suite in result.suites.items():
        out |= {f"{key} of {name}": getattr(suite, key) for key in PROTOCOL}
        out[f"data of {name}"] = suite.data_sha256
    if result.problems_sha256 is not None:
        out[TRAINED_ON] = result.problems_sha256
    return out | _settings(result)


def distinguishing_settings(results: Sequence[Result]) -> list[str]:
    """For runs that cannot be compared with each other: the settings by which each can be told from the others, as text."""
    settings = [_settings(r) for r in results]
    differ = [k for k in sorted(set().union(*settings)) if len({_text(s.get(k)) for s in settings}) > 1]
    return [", ".join(f"{k}={_text(s[k])}" for k in differ if k in s) for s in settings]


def labels(results: Sequence[Result]) -> list[str]:
    """A distinct label per arm: its method, plus the settings that differ among arms of that method, or a number; "untrained"
    for a run that was told to train for no epoch and sampled nothing."""
    trained = [r for r in results if not _untrained(r)]
    names = ["untrained" if _untrained(r) else _label(r, [o for o in trained if o.method == r.method]) for r in results]
    total, seen = Counter(names), Counter[str]()
    for i, name in enumerate(names):
        if total[name] > 1:
            seen[name] += 1
            names[i] = f"{name} #{seen[name]}"
    return names


def _untrained(result: Result) -> bool:
    return flatten(result.spec).get("train.epochs") == 0 and not result.ledger.rollouts


def _label(result: Result, same: Sequence[Result], most: int = 3) -> str:
    specs = [flatten(r.spec) for r in same]
    own = flatten(result.spec)
    differ = [k for k in sorted(own) if len({_text(s.get(k)) for s in specs}) > 1]
    shown = [k for k in differ if kind_of(k, result.method) in (Kind.POLICY, Kind.PROTOCOL, Kind.ARM)]
    others = [k for k in shown if k not in STOPS]
    if len({tuple(_text(s.get(k)) for k in others) for s in specs}) == len(specs):
        shown = others
    shown = shown or [k for k in differ if k == "seeds"] or differ
    if not shown:
        return result.method
    parts = [f"{k.replace('method_config', result.method)}={_text(own[k])}" for k in shown[:most]]
    more = [f"{len(shown) - most} more"] if len(shown) > most else []
    return f"{result.method} ({', '.join(parts + more)})"


def _text(value: Any) -> str:
    """A setting as a recipe would have it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _changed(result: Result) -> int:
    """How many settings of training differ from those of the run's recipe; 0 where there is none."""
    name = result.spec.get("recipe")
    if name not in recipes():
        return 0
    plain = flatten(resolve(result.method, name).model_dump(mode="json"))
    return sum(plain.get(key) != value for key, value in flatten(result.spec).items() if key.startswith("train."))


def find_baseline(results: Sequence[Result], names: Sequence[str], wanted: int | str | None) -> int:
    """The index of the baseline, given as an index, a label, a run or a method; by default the arm of the method that calls
    itself a baseline, of several a trained one with the fewest settings of its own, or else the first arm. Raises UsageError if
    `wanted` matches no arm, or is the method of several.
    """
    if wanted is None:
        own = [i for i, r in enumerate(results) if r.method == baseline_method()]
        return min(own, key=lambda i: (_untrained(results[i]), _changed(results[i])), default=0)
    if isinstance(wanted, int):
        if not 0 <= wanted < len(results):
            raise UsageError(f"no arm {wanted}: there are {len(results)} arms, counted from 0")
        return wanted
    runs = [r.run for r in results]
    for keys in (names, runs, [Path(run).name for run in runs], [r.method for r in results]):
        found = [i for i, key in enumerate(keys) if key == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"baseline {wanted!r} matches {len(found)} arms; choose one of: {', '.join(names)}")
    raise UsageError(f"no arm {wanted!r}{nearest(wanted, names)}")
