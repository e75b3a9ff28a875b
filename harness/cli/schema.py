"""`harness schema`."""

from __future__ import annotations

import json

import click

from harness.cli import options as o


@click.command()
@click.argument("name", required=False)
@o.as_json
def schema(name: str | None, as_json: bool) -> None:
    """Print the JSON Schema of a file that a run or a leaderboard holds; without NAME, list them."""
    from harness.runs.schema import FORMATS, schema_of

    if name is not None:
        o.say(json.dumps(schema_of(name), indent=None if as_json else 1))
        return
    if as_json:
        o.echo_json([{"name": n, "file": f.file, "version": f.version, "lines": f.lines} for n, f in FORMATS.items()])
        return
    rows = [(n, f.file, str(f.version or ""), f.what) for n, f in FORMATS.items()]
    o.say_table(("name", "file", "version", "content"), "llrl", rows)
