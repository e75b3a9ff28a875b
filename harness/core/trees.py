"""Trees of settings: read from YAML, from `a.b=c`, merged, flattened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import UNREADABLE, MissingError, UsageError

MAX_VALUES = 100_000
"""Of a YAML text, each alias counted as what it stands for: a few lines of aliases of aliases unfold to any number."""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            out.update(flatten(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file. Raises MissingError if it is not there, UsageError if it is not a mapping."""
    try:
        tree = _yaml(path.read_text())
    except FileNotFoundError:
        raise MissingError(f"no file {path}") from None
    except (yaml.YAMLError, *UNREADABLE, IsADirectoryError) as e:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(e).split())}") from None
    if not isinstance(tree, dict):
        raise UsageError(f"{path} must hold a mapping of settings, not {type(tree).__name__}")
    return tree


def _yaml(text: str) -> Any:
    """The value of a YAML text, which JSON can say too. Raises YAMLError or, for a scalar that is none of its tag's, anything
    of UNREADABLE; ValueError for what could not be stored or would unfold to more than MAX_VALUES."""
    tree = yaml.safe_load(text)
    inside, count = [tree], 0
    while inside:
        value = inside.pop()
        if isinstance(value, bytes | set):
            raise ValueError("a setting is neither binary data nor a set")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise ValueError("a whole number has at most 63 bits")
        if isinstance(value, str):
            value.encode()  # not half of a surrogate pair
        parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if (count := count + len(parts)) > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values")
        inside += parts
    return tree


def parse_set(item: str) -> dict[str, Any]:
    """`a.b=c` to `{"a": {"b": c}}`, the value read as YAML (`null`, `1e-4`, `[0.01, 10]`); `a."b.c"=d` quotes a dot."""
    key, eq, text = item.partition("=")
    parts = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."]*)(?:\.|$)', key) if quoted or plain]
    if not eq or not parts or not key.isprintable() or key.startswith(".") or key.endswith(".") or ".." in key:
        raise UsageError(f"--set takes key=value, e.g. --set train.lr=1e-4, not {item!r}")
    try:
        value = _yaml(text)
    except (yaml.YAMLError, *UNREADABLE):  # ValueError: 2024-99-99, or thousands of digits
        raise UsageError(f"--set {key}: cannot read the value {text!r}") from None
    for part in reversed(parts):
        value = {part: value}
    out: dict[str, Any] = value
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`; mappings merge, everything else (lists too) is replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
