"""What `harness list` shows: light, so that it answers at once."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """One thing to list: its rows as `--json` gives them, and which of their keys make which column (name, key, side)."""

    rows: Callable[[], list[dict[str, Any]]]
    shown: tuple[tuple[str, str, str], ...]

    def table(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], str, list[list[str]]]:
        """Headings, their sides, and cells. A row with an error says that in its last column."""
        header, keys, sides = zip(*self.shown, strict=True)
        return header, "".join(sides), [self._cells(row, keys) for row in rows]

    def _cells(self, row: Row, keys: Sequence[str]) -> list[str]:
        cells = [_text(row.get(key)) for key in keys]
        cells[0] = cells[0] or "unknown"  # a blank one would continue the row above
        if row.get("error"):
            cells[-1] = f"{cells[-1]} ({row['error']})".strip() if cells[-1] else row["error"]
        return cells


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def list_methods() -> list[dict[str, Any]]:
    from harness.registry import broken_presets, methods, presets

    rows = []
    for name, target in methods().items():
        module = target.partition(":")[0]
        summary = error = None
        try:
            found = find_spec(module)
            source = found.loader.get_source(module)  # type: ignore[union-attr]
            summary = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
        except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as e:
            error = f"cannot be loaded from {target}: {e}"
        rows.append({"name": name, "summary": summary, "error": error})
    rows += [{"name": n, "summary": f"{p.method}: {p.summary}", "error": None} for n, p in presets().items()]
    return rows + [{"name": n, "summary": None, "error": reason} for n, reason in broken_presets().items()]


def list_benches() -> list[dict[str, Any]]:
    from harness.data.suites import broken_suites, list_suites

    rows: list[dict[str, Any]] = [
        {
            "name": s.name,
            "title": s.title,
            "problems": s.size,
            "k": s.k,
            "temperature": s.temperature,
            "groups": s.groups,
            "licence": s.licence,
            "error": None,
        }
        for s in list_suites()
    ]
    return [*rows, *({"name": name, "error": error} for name, error in broken_suites().items())]


def list_models() -> list[dict[str, Any]]:
    from harness.models import MODELS

    rows = [{"name": n, "summary": m.summary, "licence": m.licence} for n, m in MODELS.items()]
    return [*rows, {"name": "<id or folder>", "summary": "any Hugging Face id or local folder", "licence": None}]


def list_backends() -> list[dict[str, Any]]:
    from harness.training import BACKENDS

    return [{"name": n, "summary": s} for n, s in BACKENDS.items()]


def list_recipes() -> list[dict[str, Any]]:
    from harness.registry import DEFAULT_RECIPE, recipes

    first = {n: p.read_text().split("\n")[0].lstrip("# ") for n, p in recipes().items()}
    return [{"name": n, "summary": f"{s} The default." if n == DEFAULT_RECIPE else s} for n, s in first.items()]


def list_studies() -> list[dict[str, Any]]:
    import yaml

    from harness.registry import studies

    trees = {name: yaml.safe_load(path.read_text()) for name, path in studies().items()}
    return [{"name": name, "title": tree["title"], "arms": list(tree["arms"])} for name, tree in trees.items()]


def list_runs() -> list[dict[str, Any]]:
    """Every run and evaluation below runs/, newest first; one whose settings cannot be read is listed with the reason."""
    from harness.config import EvalSpec
    from harness.runs.result import is_finished
    from harness.runs.spec import load_spec

    there = [p for p in Path("runs").glob("**/spec.json") if not any(name.startswith(".") for name in p.parts)]  # seeds apart
    found = [(path.stat().st_mtime, path) for path in there]
    rows = []
    for _, path in sorted(found, reverse=True):
        run = path.parent
        row: dict[str, Any] = {"run": str(run)}
        try:
            spec = load_spec(run)
        except HarnessError as e:
            row |= {"kind": None, "error": str(e)}
        else:
            row |= {"kind": "evaluation" if isinstance(spec, EvalSpec) else "training"}
            row |= {"method": None if isinstance(spec, EvalSpec) else spec.method}
            row |= {"model": spec.model.id, "bench": spec.eval.bench, "seeds": list(spec.seeds), "finished": is_finished(run)}
        rows.append(row)
    return rows


LISTS = {
    "methods": Listing(list_methods, (("method", "name", "l"), ("what it is", "summary", "l"))),
    "benches": Listing(
        list_benches,
        (
            ("suite", "name", "l"),
            ("problems", "problems", "r"),
            ("k", "k", "r"),
            ("T", "temperature", "r"),
            ("groups", "groups", "l"),
            ("title", "title", "l"),
        ),
    ),
    "models": Listing(list_models, (("model", "name", "l"), ("licence", "licence", "l"), ("what it is", "summary", "l"))),
    "backends": Listing(list_backends, (("backend", "name", "l"), ("what it is", "summary", "l"))),
    "recipes": Listing(list_recipes, (("recipe", "name", "l"), ("what it is", "summary", "l"))),
    "studies": Listing(list_studies, (("study", "name", "l"), ("what it is", "title", "l"))),
    "runs": Listing(
        list_runs,
        (
            ("kind", "kind", "l"),
            ("method", "method", "l"),
            ("bench", "bench", "l"),
            ("seeds", "seeds", "l"),
            ("finished", "finished", "l"),
            ("run", "run", "l"),
        ),
    ),
}
"""By the word of `harness list`. `k`: samples per problem; `T`: their temperature."""
