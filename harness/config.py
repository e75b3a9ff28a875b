"""What a run is: recipes and overrides resolved into one spec, with its hash.

Precedence, weakest first: class defaults, the recipe, the preset (methods/presets.yaml), each `--config` file, each
`--set`, the command line's own flags. A recipe may hold a section per method (`p2o: {...}`); the spec keeps the section of
the method that runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from harness.core.errors import UNREADABLE, MissingError, UsageError, dotted, nearest
from harness.core.kinds import Kind, kind_in
from harness.core.secrets import without_secrets
from harness.core.settings import (
    BackendConfig,
    EngineConfig,
    EvalConfig,
    LocalConfig,
    MethodConfig,
    ModelConfig,
    Strict,
    TrainConfig,
)
from harness.core.world import World, WorldConfig
from harness.registry import (
    DEFAULT_RECIPE,
    Preset,
    home_of,
    load_method,
    load_world,
    method_of,
    methods,
    presets,
    recipes,
    worlds,
)

M = TypeVar("M", bound=BaseModel)
MAX_VALUES = 100_000
"""Of a YAML text, each alias counted as what it stands for: a few lines of aliases of aliases unfold to any number."""


class PolicySpec(Strict):
    """What a run and an evaluation share: a policy, and how this process holds it.

    Beside its fields it has a section per world (harness/core/world.py), checked by the world's own settings class: that of
    the training set, and those that belong to every spec.
    """

    model_config = ConfigDict(extra="allow")

    seeds: Annotated[tuple[int, ...], Kind.PLACE] = (0,)
    """Training seeds; every random stream derives from one of them."""
    model: Annotated[ModelConfig, Kind.POLICY] = ModelConfig()
    eval: Annotated[EvalConfig, Kind.PROTOCOL] = EvalConfig()
    local: Annotated[LocalConfig, Kind.PLACE] = LocalConfig()

    @model_validator(mode="before")
    @classmethod
    def _check_worlds(cls, data: Any) -> Any:
        """The worlds' sections as their settings classes, defaults where not given; refuses all other unknown keys."""
        if not isinstance(data, Mapping):
            return data
        fields: dict[str, Any] = {name: (world.Config, world.Config()) for name, world in worlds().items()}
        sections = create_model("Worlds", __base__=Strict, **fields)
        checked = sections.model_validate({k: v for k, v in data.items() if k not in cls.model_fields})
        return {**{k: v for k, v in data.items() if k in cls.model_fields}, **dict(checked)}

    @model_validator(mode="after")
    def _drop_worlds(self) -> PolicySpec:
        """Keep the sections that belong here."""
        own, extra = load_world(self.trained_on), self.__pydantic_extra__ or {}
        for name, world in worlds().items():
            if not world.in_every_spec and world is not own:
                extra.pop(name, None)
        return self

    @model_validator(mode="after")
    def _seeds(self) -> PolicySpec:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be distinct and not empty, got {list(self.seeds)}")
        return self

    @property
    def label(self) -> str:
        """First part of the run directory's name."""
        raise NotImplementedError

    @property
    def trained_on(self) -> str:
        """Name of the training set."""
        raise NotImplementedError

    def world_config(self, world: type[World]) -> WorldConfig:
        """The settings of a world; its defaults where the spec has no section for it."""
        config: WorldConfig = (self.__pydantic_extra__ or {}).get(world.section, world.Config())
        return config

    def hash(self) -> str:
        """SHA-256 of the canonical JSON of the spec."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def changed(self, other: Mapping[str, Any]) -> list[str]:
        """Dotted names of the fields in which a stored spec differs from this one, so that it is of another run. How a server
        is reached does not make another one."""
        mine, theirs = flatten(self.model_dump(mode="json")), flatten(other)
        differ = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))
        return [k for k in differ if self._kind(k.split(".")) is not Kind.ACCESS]

    def _kind(self, path: Sequence[str]) -> Kind:
        return kind_in(type(self), path, Kind.ARM)


class RunSpec(PolicySpec):
    """A whole run: one arm, several seeds. Written to spec.json before anything starts."""

    method: Annotated[str, Kind.ARM]
    """A name of `harness list methods`: a method or a preset of one."""
    method_config: Annotated[dict[str, Any], Kind.ARM] = {}
    """Resolved settings of the method (its own class checks them)."""
    recipe: Annotated[str, Kind.PLACE]
    """Where the settings came from."""
    train: Annotated[TrainConfig, Kind.ARM] = TrainConfig()
    backend: Annotated[BackendConfig, Kind.PLACE] = BackendConfig()

    @model_validator(mode="after")
    def _contradictions(self) -> RunSpec:
        if (home := home_of(self.model.id)) and self.train.set != home:
            raise ValueError(
                f"the {self.model.id} policy knows only the {home}'s words; it cannot be trained on {self.train.set!r}"
            )
        return self

    @property
    def label(self) -> str:
        return self.method

    @property
    def trained_on(self) -> str:
        return self.train.set

    def _kind(self, path: Sequence[str]) -> Kind:
        if path[0] == "method_config":
            return kind_in(load_method(self.method).Config, path[1:], Kind.ARM)
        return super()._kind(path)

    def typed_method_config(self) -> MethodConfig:
        return load_method(self.method).Config(**self.method_config)


class EvalSpec(PolicySpec):
    """An evaluation of a policy that is trained already. `seeds` are evaluation seeds, or the training seeds of `run`."""

    run: Annotated[str | None, Kind.ARM] = None
    """Run directory whose trained policies are evaluated, one a seed."""
    train_set: Annotated[str, Kind.POLICY] = "deepscaler"
    """Training set whose roles `id`, `ood` and `all` may be named as suites."""
    engine: Annotated[EngineConfig, Kind.PROTOCOL] = EngineConfig()

    @model_validator(mode="after")
    def _contradictions(self) -> EvalSpec:
        if (self.engine.name == "openai") != (self.engine.base_url is not None):
            raise ValueError("engine.base_url goes with engine.name=openai, and that with a base_url")
        return self

    @property
    def label(self) -> str:
        return "eval"

    @property
    def trained_on(self) -> str:
        return self.train_set


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


def resolve(
    method: str,
    recipe: str = DEFAULT_RECIPE,
    configs: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunSpec:
    """The spec of a run. Raises UsageError (unknown names, contradictions) or MissingError (no such file)."""
    known = recipes()
    if recipe not in known:
        raise UsageError(f"unknown recipe {recipe!r}{nearest(recipe, known)}")
    tree = read_yaml(known[recipe])
    if method in presets():
        tree = _apply(presets()[method], tree)
    for path in configs:
        tree = merge(tree, read_yaml(path))
    for item in sets:
        tree = merge(tree, parse_set(item))
    tree = merge(tree, flags or {})
    return build(method, recipe, tree)


def _apply(preset: Preset, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The preset on top of a recipe; `times` multiplies the recipe's value, or else the class default."""
    tree = merge(tree, preset.set)
    for key, factor in preset.times.items():
        base = flatten(tree).get(key, flatten(TrainConfig().model_dump(), "train.")[key])
        tree = merge(tree, parse_set(f"{key}={base * factor}"))
    return tree


def build(method: str, recipe: str, tree: Mapping[str, Any]) -> RunSpec:
    """Check a settings tree and make the spec; method sections other than `method`'s are checked and dropped."""
    own: dict[str, Any] = {}
    rest = dict(tree)
    section = method_of(method)
    for name in [n for n in rest if n in methods() or n == section]:
        checked = validated(load_method(name).Config, rest.pop(name), name)
        if name == section:
            own = checked.model_dump(mode="json")
    if not own:
        own = validated(load_method(method).Config, {}, section).model_dump(mode="json")
    for key in ("method", "method_config", "recipe"):
        if key in rest:
            raise UsageError(f"{key!r} cannot be set in a recipe; use --{key.split('_')[0]} or a section named after it")
    known = [*RunSpec.model_fields, *worlds()]
    unknown = [k for k in rest if k not in known]
    if unknown:
        raise UsageError(f"unknown setting {unknown[0]!r}{nearest(str(unknown[0]), [*known, *methods()])}")
    return validated(RunSpec, {**rest, "method": method, "method_config": own, "recipe": recipe}, "")


def resolve_eval(configs: Sequence[Path], sets: Sequence[str], base: Mapping[str, Any], flags: Mapping[str, Any]) -> EvalSpec:
    """The spec of an evaluation: `base` (what the model brings along), files, settings, flags. Raises as `resolve`."""
    tree: Mapping[str, Any] = base
    for path in configs:
        tree = merge(tree, read_yaml(path))
    for item in sets:
        tree = merge(tree, parse_set(item))
    return validated(EvalSpec, merge(tree, flags), "")


def validated(model: type[M], tree: Any, at: str) -> M:
    """Validate; turn pydantic's first complaint into one sentence that names the setting."""
    try:
        return model.model_validate(tree if tree is not None else {})
    except ValidationError as e:
        err = e.errors()[0]
        path = [str(p) for p in ((at,) if at else ()) + err["loc"]]
        name = dotted(path)
        if err["type"] == "extra_forbidden":
            fields = _fields_at(model, err["loc"][:-1])
            raise UsageError(f"unknown setting {name!r}{nearest(path[-1], fields)}") from None
        message = err["msg"].removeprefix("Value error, ")
        secret = "written into the run" in message or (isinstance(err["input"], str) and "@" in err["input"])  # perhaps a key
        text = without_secrets(repr(err["input"]))
        text = text if len(text) <= 200 else f"{text[:200]}..."
        got = "" if secret or isinstance(err["input"], dict | BaseModel) else f" (got {text})"
        raise UsageError(f"{name or 'settings'}: {message}{got}") from None


def _fields_at(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """Field names, and worlds' sections, of the (nested) model at `loc`."""
    sections = {name: world.Config for name, world in worlds().items()} if issubclass(model, PolicySpec) else {}
    for part in loc:
        inner = model.model_fields[part].annotation if part in model.model_fields else sections.pop(part, None)
        if get_origin(inner) is dict:  # the part after this one is a key
            inner = get_args(inner)[1]
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model, sections = inner, {}
    return [*model.model_fields, *sections]
