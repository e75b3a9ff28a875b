"""What the shell offers while a command is typed: names of methods, recipes, suites, models, studies, claims, runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.core.errors import HarnessError

Names = Callable[[click.Context], Iterable[tuple[str, str]]]
"""Names with what they are, as things stand on a line that is being typed."""


def offer(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """For `shell_complete=`: the names of a kind in NAMES with what they are, or files where a path is being typed.

    In a list with commas it is the last name that is completed.
    """

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        if "/" in typed:
            return [CompletionItem(typed, type="file")]
        before, comma, last = typed.rpartition(",")
        try:
            found = {name: text for name, text in NAMES[what](ctx) if name.startswith(last)}
        except HarnessError:  # of a name typed before; the command itself will say it
            return []
        return [CompletionItem(before + comma + name, help=text) for name, text in found.items()]

    return complete


def _listed(what: str, key: str = "name", text: str = "summary") -> Names:
    """The rows of `harness list`."""

    def names(ctx: click.Context) -> Iterable[tuple[str, str]]:
        from harness.cli.listing import LISTS

        return [(row[key], _first_line(row.get(text))) for row in LISTS[what].rows() if not row[key].startswith("<")]

    return names


def _first_line(text: Any) -> str:
    return " ".join(str(text or "").split())[:80]


def _benches(ctx: click.Context) -> Iterable[tuple[str, str]]:
    from harness.data.suites import list_groups

    roles = [("id", "in distribution"), ("ood", "out of distribution"), ("all", "both")]
    groups = [(name, f"group of {len(members)} suites") for name, members in list_groups().items()]
    return [*roles, *groups, *_listed("benches", text="title")(ctx)]


def _claims(ctx: click.Context) -> Iterable[tuple[str, str]]:
    from harness.stats.claims import load_claims

    return [(name, _first_line(claim.text)) for name, claim in load_claims().items()]


def _settings(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """Of a run, with those of the method that has been typed; sections are left out."""
    from harness.config import RunSpec, names_of
    from harness.registry import load_method, method_of

    found = names_of(RunSpec)
    method = ctx.params.get("method")
    if method is not None:
        found += names_of(load_method(method).Config, f"{method_of(method)}.")
    leaves = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
    return [(f"{name}=", "") for name in leaves if name.split(".")[0] not in ("method", "method_config", "recipe")]


NAMES: dict[str, Names] = {
    "methods": _listed("methods"),
    "recipes": _listed("recipes"),
    "benches": _benches,
    "models": _listed("models"),
    "studies": _listed("studies", text="title"),
    "runs": _listed("runs", key="run", text="method"),
    "claims": _claims,
    "settings": _settings,
}
