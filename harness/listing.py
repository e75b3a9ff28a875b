"""Rows for `harness list`: light, so that it answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import HarnessError


def list_methods() -> list[dict[str, Any]]:
    from harness.registry import load_method, methods

    rows = []
    for name in methods():
        try:
            module = __import__(load_method(name).__module__, fromlist=["__doc__"])
            rows.append({"name": name, "summary": (module.__doc__ or "").strip().split("\n")[0], "error": None})
        except HarnessError as e:
            rows.append({"name": name, "summary": None, "error": str(e)})
    return rows


def list_benches() -> list[dict[str, Any]]:
    from harness.suites import list_suites

    return [
        {"name": s.name, "title": s.title, "problems": s.size, "k": s.k, "temperature": s.temperature,
         "licence": s.licence}
        for s in list_suites()
    ]


def list_models() -> list[dict[str, Any]]:
    from harness.models import MODELS

    rows = [{"name": n, "summary": m.summary, "licence": m.licence} for n, m in MODELS.items()]
    return [*rows, {"name": "<id or folder>", "summary": "any Hugging Face id or local folder", "licence": None}]


def list_backends() -> list[dict[str, Any]]:
    from harness.backends import BACKENDS

    return [{"name": n, "summary": s} for n, s in BACKENDS.items()]


def list_recipes() -> list[dict[str, Any]]:
    from harness.config import recipes

    first = {n: p.read_text().split("\n")[0].lstrip("# ") for n, p in recipes().items()}
    return [{"name": n, "summary": s} for n, s in first.items()]


def list_runs() -> list[dict[str, Any]]:
    from harness.rundir import find_runs

    return find_runs(Path("runs"))


LISTS = {
    "methods": list_methods, "benches": list_benches, "models": list_models, "backends": list_backends,
    "recipes": list_recipes, "runs": list_runs,
}
