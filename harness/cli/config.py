"""`harness config show`: what a run would be set to, and where each value comes from."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options as o
from harness.cli.complete import offer


@click.group()
def config() -> None:
    """The settings of a run."""


@config.command()
@click.option("--method", required=True, shell_complete=offer("methods"), help="A name from `harness list methods`.")
@o.recipe
@o.configs
@o.sets
@click.option("--all", "everything", is_flag=True, help="Also what is at its default.")
@o.as_json
def show(
    method: str, recipe: str | None, configs: tuple[Path, ...], sets: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Show every setting of a run that is not at its default, with the place it comes from."""
    import yaml

    from harness.config import resolve
    from harness.config.sources import layers, origins
    from harness.core.trees import flatten
    from harness.registry import DEFAULT_RECIPE, method_of

    recipe = DEFAULT_RECIPE if recipe is None else recipe
    spec = resolve(method, recipe, configs, sets)
    known = origins(layers(method, recipe, configs, sets))
    tree = spec.model_dump(mode="json", exclude={"method", "method_config", "recipe"})
    values = flatten({**tree, method_of(method): spec.method_config})
    rows = [
        {"setting": name, "value": value, "origin": known.get(name, "default")}
        for name, value in values.items()
        if everything or name in known
    ]
    if as_json:
        o.echo_json(rows)
        return
    flow = [(r["setting"], yaml.safe_dump(r["value"], default_flow_style=True, width=60), r["origin"]) for r in rows]
    shown = [(name, text.removesuffix("...\n").strip(), origin) for name, text, origin in flow]
    o.say_table(("setting", "value", "from"), "lll", shown)
    if not everything:
        o.say(f"{len(values) - len(rows)} more are at their defaults; --all shows them")
