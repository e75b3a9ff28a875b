"""Rows for `harness list`: light, so that it answers at once."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError


def list_methods() -> list[dict[str, Any]]:
    from harness.registry import methods, presets

    rows = []
    for name, target in methods().items():
        try:
            source = find_spec(target.partition(":")[0]).loader.get_source(target.partition(":")[0])
            summary, error = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0], None
        except (ImportError, AttributeError, SyntaxError) as e:
            summary, error = None, f"cannot be loaded from {target}: {e}"
        rows.append({"name": name, "summary": summary, "error": error})
    return rows + [{"name": n, "summary": f"{p.method}: {p.summary}", "error": None} for n, p in presets().items()]


def list_benches() -> list[dict[str, Any]]:
    from harness.data.suites import list_suites

    return [
        {
            "name": s.name,
            "title": s.title,
            "problems": s.size,
            "k": s.k,
            "temperature": s.temperature,
            "groups": s.groups,
            "licence": s.licence,
        }
        for s in list_suites()
    ]


def list_models() -> list[dict[str, Any]]:
    from harness.models import MODELS

    rows = [{"name": n, "summary": m.summary, "licence": m.licence} for n, m in MODELS.items()]
    return [*rows, {"name": "<id or folder>", "summary": "any Hugging Face id or local folder", "licence": None}]


def list_backends() -> list[dict[str, Any]]:
    from harness.training import BACKENDS

    return [{"name": n, "summary": s} for n, s in BACKENDS.items()]


def list_recipes() -> list[dict[str, Any]]:
    from harness.registry import recipes

    first = {n: p.read_text().split("\n")[0].lstrip("# ") for n, p in recipes().items()}
    return [{"name": n, "summary": s} for n, s in first.items()]


def list_studies() -> list[dict[str, Any]]:
    import yaml

    from harness.registry import studies

    trees = {name: yaml.safe_load(path.read_text()) for name, path in studies().items()}
    return [{"name": name, "title": tree["title"], "arms": list(tree["arms"])} for name, tree in trees.items()]


def list_runs() -> list[dict[str, Any]]:
    """Every run and evaluation below runs/, newest first; one that cannot be read is listed with the reason."""
    from harness.runs.result import is_finished
    from harness.runs.spec import load_spec

    rows = []
    for path in sorted(Path("runs").glob("**/spec.json"), key=lambda p: p.stat().st_mtime, reverse=True):
        run = path.parent
        row: dict[str, Any] = {"run": str(run)}
        try:
            spec = load_spec(run)
            row |= {"method": spec.label, "model": spec.model.id, "bench": spec.eval.bench}
            row |= {"seeds": list(spec.seeds), "finished": is_finished(run)}
        except HarnessError as e:
            row["error"] = str(e)
        rows.append(row)
    return rows


LISTS = {
    "methods": list_methods,
    "benches": list_benches,
    "models": list_models,
    "backends": list_backends,
    "recipes": list_recipes,
    "studies": list_studies,
    "runs": list_runs,
}
