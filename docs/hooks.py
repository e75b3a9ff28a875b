"""What mkdocs.yml cannot say: pages that lie outside of docs/, links that hold here and on the repository's own pages, and
the settings reference.

The files keep their relative links, which a repository's web view follows. On the site, a link to a page of the site stays
one, and a link to any other file goes to the repository. A link to nothing ends the build, and so does a page that would
fetch anything from elsewhere when it is opened.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from harness.config import EvalSpec, RunSpec  # noqa: E402
from harness.registry import load_method, methods  # noqa: E402

HOME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "methods/README.md": "methods.md",
    "benchmarks/README.md": "benchmarks.md",
    "leaderboards/README.md": "leaderboards.md",
    "leaderboards/drills/README.md": "leaderboard-drills.md",
    "leaderboards/skills/README.md": "leaderboard-skills.md",
    "leaderboards/testbed/README.md": "leaderboard-testbed.md",
}
"""Files of the repository that are pages of the site, by their path there."""
SETTINGS = "settings.md"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
FETCHES = re.compile(
    r"""<(?:script|img|iframe|source|link[^>]*rel="(?:stylesheet|preload|icon)")[^>]*(?:src|href)="(?:https?:)?//"""
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": HOME, "name": "The repository"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of PAGES, the pictures that they show, and the settings."""
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
        for target, _ in LINK.findall((ROOT / source).read_text()):
            path = normpath(join(dirname(source), target))
            if path.endswith((".svg", ".png")) and files.get_file_from_path(path) is None:
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, SETTINGS, content=settings_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the file's links into the site's. Raises PluginError for a link to nothing."""
    uri = page.file.src_uri
    source = {v: k for k, v in PAGES.items()}.get(uri, f"docs/{uri}")

    def link(found: re.Match[str]) -> str:
        path = normpath(join(dirname(source), found[1]))
        here = PAGES.get(path) or path.removeprefix("docs/")
        if files.get_file_from_path(here) is None:
            if not (ROOT / path).exists():
                raise PluginError(f"{source} links to {found[1]}, which does not exist")
            return f"]({HOME}/blob/main/{path}{found[2] or ''})"
        return f"]({relpath(here, dirname(uri) or '.')}{found[2] or ''})"

    return LINK.sub(link, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Raises PluginError where opening the page would ask another server for something."""
    if found := FETCHES.search(output):
        raise PluginError(f"{page.file.src_uri} would fetch something: {found[0]}")
    return output


# ------------------------------------------------------------------ settings


def settings_page() -> str:
    """Every setting of a run and of an evaluation, and of every method, from the classes that check them."""
    lines = [
        "# Settings",
        "",
        "Every setting, as `--set NAME=VALUE` or as YAML in a recipe or `--config` file. Defaults are those of the classes, "
        "before any recipe: the released P2O recipe's values. [Command line](cli.md) has the order of precedence.",
        "",
    ]
    shared = RunSpec.model_fields.keys() & EvalSpec.model_fields.keys()
    for heading, spec, skip in (("Runs", RunSpec, set()), ("Evaluations", EvalSpec, shared)):
        lines += [f"## {heading}", ""]
        own = {k: f for k, f in spec.model_fields.items() if k not in skip and k not in ("method_config", "recipe", "method")}
        plain = {k: f for k, f in own.items() if not models(f.annotation)}
        lines += table("", plain) if plain else []
        for name, field in own.items():
            if name not in plain:
                lines += section(name, field, 3)
    lines += ["## Methods", "", "What a method has of its own, under its name.", ""]
    for name in methods():
        config = load_method(name).Config
        if config.model_fields:
            lines += [f"### {name}", "", *described(config), *model(name, config, 4)]
    return "\n".join(lines)


def section(name: str, field: FieldInfo, level: int) -> list[str]:
    """A setting that holds settings: a heading, and a table for each kind that it may be."""
    lines = [f"{'#' * level} {name}", ""]
    if field.description:
        lines += [field.description, ""]
    for config in models(field.annotation):
        lines += [*described(config), *model(name, config, level + 1)]
    return lines


def model(name: str, config: type[BaseModel], level: int) -> list[str]:
    plain = {k: f for k, f in config.model_fields.items() if not models(f.annotation)}
    lines = table(f"{name}.", plain)
    for key, field in config.model_fields.items():
        if key not in plain:
            lines += section(f"{name}.{key}", field, level)
    return lines


def described(config: type[BaseModel]) -> list[str]:
    return [" ".join((config.__doc__ or "").split()), ""]


def table(prefix: str, found: dict[str, FieldInfo]) -> list[str]:
    rows = [
        f"| `{prefix}{name}` | {cell(shown(field))} | {cell(default(field))} | {cell(field.description or '')} |"
        for name, field in found.items()
    ]
    return ["| setting | type | default | what it is |", "|---|---|---|---|", *rows, ""]


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes in an annotation, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) if get_origin(annotation) is not Literal for found in models(part)]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    return "none" if value is None else f"`{list(value) if isinstance(value, tuple) else value}`"


def shown(field: FieldInfo) -> str:
    """The type in words, with its bounds."""
    bounds = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    said = [f"{bounds[k]} {getattr(m, k)}" for m in field.metadata for k in bounds if getattr(m, k, None) is not None]
    return ", ".join([" or ".join(dict.fromkeys(words(field.annotation))), *said])


def words(annotation: Any) -> Iterator[str]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from words(parts[0])
    elif origin is Literal:
        yield from (f"`{value}`" for value in parts)
    elif origin in (Union, UnionType):
        for part in parts:
            yield from words(part)
    elif annotation is NoneType:
        yield "none"
    elif origin in (tuple, list):
        inner = [" or ".join(words(part)) for part in parts if part is not Ellipsis]
        yield "list of " + (inner[0] if Ellipsis in parts or origin is list else " and ".join(inner))
    elif origin is dict:
        yield f"mapping of {' or '.join(words(parts[0]))} to {' or '.join(words(parts[1]))}"
    else:
        yield {str: "text", int: "integer", float: "number", bool: "true or false", Any: "anything"}.get(
            annotation, str(annotation)
        )
