"""The structure of the code in numbers and as a picture, read from the source alone.

    python tests/support/structure.py              # this checkout
    python tests/support/structure.py OTHER        # another one, for a before and after

tests/unit/test_structure.py holds the checkout to its limits and CONTRIBUTING.md to the picture.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

RESULT_KEYS = set(
    "suites macro ledger ledgers per_seed per_seed_clean avg avg_clean pass_at not_a_result identity flagged grader_faults "
    "parity_avg disagreement greedy_parity problems_sha256 data_sha256 training_set spec_hash teacher_tokens evidence "
    "content_sha256 content_bytes spec_sha256 wall_seconds generated_tokens reflection_tokens prompt_sha256".split()
)
"""What only result.json, ledgers, samples and manifests have."""
READERS = "harness/runs"
"""Where these may be read by their names."""
OTHER_FORMATS = {
    "harness/search/answers.py": "answers/*.jsonl, which no other module reads",
    "harness/search/asking.py": "a recording of a reflector",
    "harness/training/seedlog.py": "state.json of a checkpoint, which it writes itself",
    "harness/training/openrlhf/trainer.py": "the driver's progress, see harness/training/openrlhf/job.py",
    "harness/report/checks.py": "rows of `harness check contamination`",
}
"""Files that a module writes for itself, with a key of the same name."""


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """(path, text) of every module of the package and of the methods."""
    for path in sorted([*root.glob("harness/**/*.py"), *root.glob("methods/*.py")]):
        yield path.relative_to(root).as_posix(), path.read_text()


def long_files(root: Path, limit: int = 350) -> list[str]:
    return [path for path, text in sources(root) if text.count("\n") > limit]


def long_functions(root: Path, limit: int = 70) -> list[str]:
    return [
        f"{path}:{node.lineno} {node.name}"
        for path, text in sources(root)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > limit
    ]


def loose_modules(root: Path) -> list[str]:
    """Modules that lie in no package of the harness."""
    return sorted(p.stem for p in root.glob("harness/*.py") if not p.stem.startswith("__"))


def key_reads(root: Path) -> list[str]:
    """Places outside of READERS that read what a run left by a key in quotes."""
    found = []
    for path, text in sources(root):
        if path.startswith(READERS) or path in OTHER_FORMATS:
            continue
        for node in ast.walk(ast.parse(text)):
            key: ast.expr | None = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                key = node.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
                key = node.args[0]
            if isinstance(key, ast.Constant) and key.value in RESULT_KEYS:
                found.append(f"{path}:{node.lineno} {key.value}")
    return found


def override_points(root: Path) -> list[str]:
    """Public methods and attributes of the class Method that a subclass may replace."""
    for path, text in sources(root):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name == "Method" and path.endswith("method.py"):
                names = [n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
                names += [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
                return [name for name in names if not name.startswith("_") or name == "__init__"]
    return []


def packages(root: Path) -> dict[str, set[str]]:
    """Which package (or loose module) of the harness imports which, imports inside of functions and for types included."""
    inside = {p.name for p in (root / "harness").iterdir() if p.is_dir()} | set(loose_modules(root)) | {"methods"}
    out: dict[str, set[str]] = defaultdict(set)
    for path, text in sources(root):
        own = "methods" if path.startswith("methods/") else path.split("/")[1].removesuffix(".py")
        if own.startswith("__"):
            continue
        out[own] |= set()
        for node in ast.walk(ast.parse(text)):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "harness" and len(parts) > 1 and parts[1] in inside and parts[1] != own:
                    out[own].add(parts[1])
    return dict(out)


def picture(root: Path) -> str:
    """A Mermaid flow chart: an arrow says `imports`; arrows that longer ways imply are left out."""
    graph = packages(root)

    def reachable(start: str, without: tuple[str, str]) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            at = todo.pop()
            for to in graph.get(at, ()):
                if (at, to) != without and to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen

    lines = ["flowchart TD"]
    for a in sorted(graph):
        lines += [f"  {a} --> {b}" for b in sorted(graph[a]) if b not in reachable(a, (a, b))]
    return "\n".join(lines) + "\n"


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    counts = {
        "modules in no package": loose_modules(root),
        "files over 350 lines": long_files(root),
        "functions over 70 lines": long_functions(root),
        f"reads of a result by a quoted key, outside of {READERS}": key_reads(root),
        "override points of Method": override_points(root),
    }
    for what, found in counts.items():
        print(f"{len(found):>4}  {what}")
    print()
    print(picture(root))


if __name__ == "__main__":
    main()
