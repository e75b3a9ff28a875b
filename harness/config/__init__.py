"""What a run is: recipes and overrides resolved into one spec, with its hash.

Precedence, weakest first: class defaults, then the layers of harness/config/sources.py. A recipe may hold a section per method
(`p2o: {...}`); the spec keeps the section of the method that runs.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from harness.config.sources import layers, merged, recipe_name
from harness.core.errors import UsageError, dotted, nearest
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
from harness.core.trees import flatten, merge, parse_set, read_yaml
from harness.core.world import World, WorldConfig
from harness.registry import (
    DEFAULT_RECIPE,
    home_of,
    load_method,
    load_world,
    method_of,
    methods,
    named,
    named_bench,
    worlds,
)

M = TypeVar("M", bound=BaseModel)


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


def resolve(
    method: str,
    recipe: str = DEFAULT_RECIPE,
    configs: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunSpec:
    """The spec of a run. Raises UsageError (unknown names, contradictions) or MissingError (no such file)."""
    return build(method, recipe_name(recipe), merged(layers(method, recipe, configs, sets, flags)))


def build(method: str, recipe: str, tree: Mapping[str, Any]) -> RunSpec:
    """Check a settings tree and make the spec; method sections other than `method`'s are checked and dropped."""
    own: dict[str, Any] = {}
    rest = dict(_by_name(tree))
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
    unknown = [str(k) for k in rest if k not in known]
    if unknown:
        there = names_of(RunSpec) + names_of(load_method(method).Config, f"{section}.")
        raise UsageError(f"unknown setting {unknown[0]!r}{suggestion(unknown[0], [*known, *methods()], there)}")
    return validated(RunSpec, {**rest, "method": method, "method_config": own, "recipe": recipe}, "")


def resolve_eval(configs: Sequence[Path], sets: Sequence[str], base: Mapping[str, Any], flags: Mapping[str, Any]) -> EvalSpec:
    """The spec of an evaluation: `base` (what the model brings along), files, settings, flags. Raises as `resolve`."""
    tree: Mapping[str, Any] = base
    for path in configs:
        tree = merge(tree, read_yaml(path))
    for item in sets:
        tree = merge(tree, parse_set(item))
    return validated(EvalSpec, _by_name(merge(tree, flags)), "")


def _by_name(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings with names in place of paths of suites and training sets: a spec says nothing of where they lie on one machine.
    Raises as `named`."""
    out = dict(tree)
    for section, key, name in (
        ("eval", "bench", named_bench),
        ("train", "set", lambda item: named(item, training_set=True)),
    ):
        if isinstance(own := tree.get(section), Mapping) and isinstance(own.get(key), str):
            out[section] = {**own, key: name(own[key])}
    if isinstance(out.get("train_set"), str):
        out["train_set"] = named(out["train_set"], training_set=True)
    return out


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
            there = names_of(model, f"{at}." if at else "")
            raise UsageError(f"unknown setting {name!r}{suggestion(name, fields, there)}") from None
        message = err["msg"].removeprefix("Value error, ")
        secret = "written into the run" in message or (isinstance(err["input"], str) and "@" in err["input"])  # perhaps a key
        text = without_secrets(repr(err["input"]))
        text = text if len(text) <= 200 else f"{text[:200]}..."
        got = "" if secret or isinstance(err["input"], dict | BaseModel) else f" (got {text})"
        raise UsageError(f"{name or 'settings'}: {message}{got}") from None


def names_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every setting of a model of settings, and of the models inside it, with dotted names; sections are among them."""
    sections = {name: world.Config for name, world in worlds().items()} if issubclass(model, PolicySpec) else {}
    inner = {name: f.annotation for name, f in model.model_fields.items()} | sections
    out = []
    for name, kind in inner.items():
        out.append(prefix + name)
        kinds = [kind]
        for one in kinds:
            kinds += get_args(one)  # of a union, of one with a note on it
            if isinstance(one, type) and issubclass(one, BaseModel):
                out += names_of(one, f"{prefix}{name}.")
    return out


def suggestion(name: str, here: Sequence[str], there: Sequence[str]) -> str:
    """'; did you mean X?' for an unknown setting: one of this very name elsewhere, one like it here, one like it elsewhere."""
    *above, last = name.split(".")
    ends: dict[str, list[str]] = {}
    for known in there:
        ends.setdefault(known.split(".")[-1], []).append(known)
    found = ends.get(last, [])
    if not found:
        found = [".".join([*above, close]) for close in difflib.get_close_matches(last, here, n=1)]
    if not found:
        found = [known for close in difflib.get_close_matches(last, ends, n=1) for known in ends[close]]
    return f"; did you mean {' or '.join(map(repr, found[:3]))}?" if found else nearest(last, here)


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
