"""Where the settings of a run come from.

Weakest first: the recipe with what it extends, the preset (methods/presets.yaml), each `--config` file, each `--set`, the
command line's own flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from harness.core.errors import MissingError, UsageError, nearest
from harness.core.settings import TrainConfig
from harness.core.trees import flatten, merge, parse_set, read_yaml
from harness.registry import DEFAULT_RECIPE, presets, recipes

EXTENDS = "extends"
"""Of a recipe's file: a recipe that it builds on, by name or as a path from the file's own folder."""


@dataclass(frozen=True)
class Layer:
    """Settings of one origin, as one would name it: `recipe skills`, `--set train.lr=1e-4`."""

    origin: str
    tree: Mapping[str, Any]


def layers(
    method: str,
    recipe: str = DEFAULT_RECIPE,
    configs: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> list[Layer]:
    """All that is set, the weakest first. Raises UsageError (unknown names, circles) or MissingError (no such file)."""
    found = _recipe(recipe)
    if method in presets():
        preset, so_far = presets()[method], merged(found)
        tree: dict[str, Any] = dict(preset.set)
        for key, factor in preset.times.items():  # of the recipe's value, or else the class default
            base = flatten(merge(so_far, tree)).get(key, flatten(TrainConfig().model_dump(), "train.")[key])
            tree = merge(tree, parse_set(f"{key}={base * factor}"))
        found.append(Layer(f"preset {method}", tree))
    found += [Layer(f"--config {path}", read_yaml(path)) for path in configs]
    found += [Layer(f"--set {item}", parse_set(item)) for item in sets]
    return [*found, Layer("command line", flags or {})]


def merged(found: Iterable[Layer]) -> dict[str, Any]:
    """All layers as one tree."""
    return reduce(merge, (layer.tree for layer in found), {})


def origins(found: Sequence[Layer]) -> dict[str, str]:
    """The origin of every setting that a layer sets, by its dotted name."""
    by = {name: layer.origin for layer in found for name in flatten(layer.tree)}
    return {name: by[name] for name in flatten(merged(found))}


def recipe_name(word: str) -> str:
    """What a run calls its recipe: a shipped one's name, or the name of a file without its folder."""
    return Path(word).name if is_file(word) else word


def is_file(word: str) -> bool:
    """Whether a recipe is given as a file: it ends in .yaml or .yml, or has a folder."""
    return word.endswith((".yaml", ".yml")) or "/" in word


def _recipe(word: str, folder: Path = Path(), above: tuple[Path, ...] = ()) -> list[Layer]:
    """The layers of a recipe, what it extends first."""
    known = recipes()
    if not is_file(word):
        if word not in known:
            here = f"; for the file of this name, say ./{word}" if (folder / word).is_file() else nearest(word, known)
            raise UsageError(f"unknown recipe {word!r}{here}")
        return [Layer(f"recipe {word}", read_yaml(known[word]))]
    path = folder / word
    if not path.exists():
        raise MissingError(f"no recipe file {path}{nearest(path.stem, known)}")
    if path.resolve() in above:
        raise UsageError(f"recipes extend each other in a circle: {', '.join(map(str, (*above, path.resolve())))}")
    tree = read_yaml(path)
    base = tree.pop(EXTENDS, None)
    if base is not None and not isinstance(base, str):
        raise UsageError(f"{path}: {EXTENDS} must name a recipe or a file, not {base!r}")
    below = _recipe(base, path.parent, (*above, path.resolve())) if base else []
    return [*below, Layer(f"recipe {path}", tree)]
