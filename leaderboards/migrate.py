"""Filed runs of schema 1 as schema 2: `python leaderboards/migrate.py` in the repository's root, once.

The manifest's schema is 2 and the other JSON files have one too; settings and metrics have the names of today, so that the
spec's hash, the run's id and its folder are new. Samples, templates and every figure stay as they are.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from harness.runs import formats
from harness.runs.filed import CurvesFile, FiledFile, Manifest, MetricsFile, read_manifest, run_id, spec_sha256
from harness.runs.packing import sha256

SETTINGS = {"train": {"max_generated_tokens": "max_sampled_tokens"}}
METRICS = {
    "templated_rows": "templated_rollouts",
    "branch_advantage_1_templated": "branch_advantage_1_distilled",
    "branch_advantage_2_templated": "branch_advantage_2_distilled",
}
PAGES = ("*.md", "*.yaml", "*.py")
"""Where runs may be named."""


def renamed(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec with the names of today, in the order it had."""
    return {
        section: {SETTINGS[section].get(k, k): v for k, v in value.items()} if section in SETTINGS else value
        for section, value in spec.items()
    }


def migrate(folder: Path) -> Path:
    """Rewrite one filed run; returns its new folder."""
    m = json.loads((folder / "manifest.json").read_text())
    assert m.pop("schema") == 1, folder
    metrics = msgspec.convert(json.loads((folder / "metrics.json").read_text()), MetricsFile, str_keys=True)
    old = json.loads((folder / "training.json").read_text())
    curves = CurvesFile(curves=msgspec.convert({METRICS.get(k, k): v for k, v in old.items()}, dict[str, list[Any]]))
    (folder / "metrics.json").write_text(json.dumps(formats.tree(metrics), indent=1) + "\n")
    (folder / "training.json").write_text(json.dumps(formats.tree(curves)) + "\n")
    spec = renamed(m["spec"])
    files = {name: msgspec.convert(f, FiledFile) for name, f in m["files"].items()}
    for name in ("metrics.json", "training.json"):
        data = (folder / name).read_bytes()
        files[name] = FiledFile(size=len(data), sha256=sha256(data))
    digest = spec_sha256(spec)
    new = run_id(m["method"], digest, m["seeds"], files)
    tree = {**m, "run": new, "spec": spec, "spec_sha256": digest, "files": formats.tree(files)}
    manifest = msgspec.convert(tree, Manifest, str_keys=True)
    (folder / "manifest.json").write_text(json.dumps(formats.tree(manifest), indent=1) + "\n")
    found = folder.rename(folder.parent / new)
    read_manifest(found)
    return found


def main() -> None:
    names = {}
    for path in sorted(Path("leaderboards").glob("*/*/*/manifest.json")):
        names[path.parent.name] = migrate(path.parent).name
    tracked = subprocess.run(["git", "ls-files", *PAGES], check=True, capture_output=True, text=True).stdout.split()
    for page in map(Path, tracked):
        if page.exists() and any(old in (text := page.read_text()) for old in names):
            for old, new in names.items():
                text = text.replace(old, new)
            page.write_text(text)
            print(f"links: {page}")
    for old, new in names.items():
        print(f"{old} -> {new}")


if __name__ == "__main__":
    main()
