"""Parts of a run, each with some of its seeds, and how their files become those of one.

What a seed left in a file or folder of its own is linked, and copied where the file system knows no links to files of that
place; files with rows of several seeds are written anew, seed after seed. `envs/s<seed>.json` keeps the environment of the part
that a seed comes from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from harness.core.errors import HarnessError, MissingError
from harness.runs import formats
from harness.runs.environment import COMPUTES, OF_BACKEND, Environment, write_environment
from harness.runs.filed import spec_sha256
from harness.runs.files import iter_jsonl, sync, write_lines
from harness.runs.result import Result, SeedResult, load_result, seed_path
from harness.runs.rundir import RunDir
from harness.runs.samples import samples_path
from harness.runs.spec import SPEC_FILE, StoredSpec, read_spec

FILES = ("results/s{}.json", "results/s{}.sha256", "rollouts/s{}.jsonl", "templates/s{}.jsonl", "answers/s{}.jsonl")
FOLDERS = ("ckpt/s{}", "openrlhf/s{}", "track/s{}")
"""What a seed leaves in places of its own."""
MUST_AGREE = ("code", "rendering_sha256", "model_revision")
"""Of an environment, beside the versions of packages that compute."""
MAY_DIFFER = ("python", "platform", "cpus", "gpus")


@dataclass(frozen=True)
class Part:
    """A finished run with some of the seeds: what its files say. `environments` and `found` are by seed."""

    path: Path
    stored: StoredSpec
    result: Result
    commands: list[str]
    environments: dict[int, Environment]
    found: dict[int, SeedResult]


def read_part(path: Path) -> Part:
    """A finished run directory, with every sample that it says it drew.

    Raises MissingError where no run is, or a file of it is not there; HarnessError where it is unfinished or damaged.
    """
    stored = read_spec(path)
    result = load_result(path)
    run = RunDir(path)
    env = run.environment()
    own = {seed: path / "envs" / f"s{seed}.json" for seed in result.seeds}
    for name, suite in result.suites.items():
        samples = samples_path(path, name)
        if not samples.exists():
            raise MissingError(f"{samples} is missing")
        rows = dict.fromkeys(result.seeds, 0)
        for _, row in iter_jsonl(samples):
            rows[row["seed"]] = rows.get(row["seed"], 0) + 1
        for seed in result.seeds:
            if rows[seed] != suite.drawn(1):
                raise HarnessError(f"{samples} holds {rows[seed]} samples of seed {seed}, the run drew {suite.drawn(1)}")
    return Part(
        path=path,
        stored=stored,
        result=result,
        commands=env.commands,
        environments={seed: formats.read(file, Environment) if file.exists() else env for seed, file in own.items()},
        found={seed: run.read_seed(seed) for seed in result.seeds},
    )


def disagreements(environments: Iterable[Environment], backend: str) -> dict[str, str]:
    """Of what results are computed with, what is not the same in all environments: by name, the values in words."""
    said = [_said(env) for env in environments]
    out = {}
    for key in (*MUST_AGREE, *COMPUTES, *OF_BACKEND.get(backend, ())):
        values = [own.get(key, "none") for own in said]
        if key == "code":  # an installed wheel has no commit, but a version
            values = [value for value in values if value != "none"]
        if len(set(values)) > 1:
            out[key] = " and ".join(dict.fromkeys(values))
    return out


def _said(env: Environment) -> dict[str, str]:
    """An environment by the names of what may differ, in words."""
    code = f"{env.code.commit[:12]}{' with changes' if env.code.dirty else ''}" if env.code else None
    own = {"code": code, **{key: getattr(env, key) for key in (*MUST_AGREE[1:], *MAY_DIFFER)}, **env.packages}
    return {key: "none" if value is None else str(value) for key, value in own.items()}


def shown(environments: Mapping[int, Environment]) -> list[str]:
    """A line for all seeds of one environment, with what differs from that of others; none where nothing does."""
    said = {seed: _said(env) for seed, env in environments.items()}
    keys = list(dict.fromkeys(key for own in said.values() for key in own))
    apart = [key for key in keys if len({own.get(key) for own in said.values()}) > 1]
    lines: dict[str, list[int]] = {}
    for seed, own in said.items():
        lines.setdefault(", ".join(f"{key} {own.get(key, 'none')}" for key in apart), []).append(seed)
    return [f"seeds {', '.join(map(str, seeds))}: {line}" for line, seeds in lines.items() if apart]


def merged_spec(parts: Sequence[Part], seeds: Sequence[int]) -> StoredSpec:
    """The settings of the first part with all seeds, and the hashes of all that the parts read."""
    tree: dict[str, Any] = {**parts[0].stored.spec, "seeds": list(seeds)}
    data = {name: sha256 for part in reversed(parts) for name, sha256 in part.stored.data.items()}
    return StoredSpec(hash=spec_sha256(tree), spec=tree, data=data)


def merged_environment(parts: Sequence[Part], command: str) -> Environment:
    """What the parts agree in, with all their commands and this one; where they differ, both values, and which seeds have
    which among the remarks. There is no one commit where theirs differ, and no one number of processors."""
    environments = by_seed(parts)
    all_of = list(environments.values())
    first = all_of[0]

    def both(values: Iterable[str | None]) -> str | None:
        return " and ".join(dict.fromkeys(value for value in values if value)) or None

    return replace(
        first,
        python=both(env.python for env in all_of) or first.python,
        platform=both(env.platform for env in all_of) or first.platform,
        gpus=both(env.gpus for env in all_of),
        cpus=first.cpus if len({env.cpus for env in all_of}) == 1 else None,
        code=first.code if len({_said(env)["code"] for env in all_of}) == 1 else None,
        packages={name: both(env.packages.get(name) for env in all_of) for name in first.packages},
        started=min(env.started for env in all_of),
        commands=[*dict.fromkeys(line for part in parts for line in part.commands), command],
        remarks=list(dict.fromkeys([*(text for env in all_of for text in env.remarks), *shown(environments)])),
    )


def by_seed(parts: Iterable[Part]) -> dict[int, Environment]:
    """The environments of all seeds, in order."""
    return dict(sorted((seed, env) for part in parts for seed, env in part.environments.items()))


def write_merged(folder: Path, parts: Sequence[Part], seeds: Sequence[int], command: str) -> None:
    """All that the seeds left, in a new folder; result.json and the reports are yet to be made of it."""
    of = {seed: part.path for part in parts for seed in part.found}
    for seed, env in by_seed(parts).items():
        formats.write(folder / "envs" / f"s{seed}.json", env)
    for seed in seeds:
        for name in FILES:
            _bring(of[seed] / name.format(seed), folder / name.format(seed))
        for name in FOLDERS:
            for path in sorted((of[seed] / name.format(seed)).rglob("*")):
                if path.is_file():
                    _bring(path, folder / path.relative_to(of[seed]))
    names = [samples_path(Path(), suite) for suite in parts[0].result.suites]
    for file in (Path("metrics.jsonl"), *names):
        if any((part.path / file).exists() for part in parts):
            write_lines(folder / file, _rows(of, seeds, file))
    formats.write(folder / SPEC_FILE, merged_spec(parts, seeds))
    write_environment(folder, merged_environment(parts, command))


def _rows(of: Mapping[int, Path], seeds: Sequence[int], file: Path) -> Iterator[str]:
    for seed in seeds:
        yield from (line for line, row in iter_jsonl(of[seed] / file) if row["seed"] == seed)


def adopt(run: RunDir, part: Path, seed: int) -> None:
    """Make a finished seed that has a run directory of its own, `part`, one of the run's, as if it had been trained there.

    May be done again after a crash: what says that the seed is done is written last. Raises HarnessError for a part of other
    settings, or one that is damaged.
    """
    stored, mine = read_spec(part), read_spec(run.path)
    if {**stored.spec, "seeds": None} != {**mine.spec, "seeds": None}:
        raise HarnessError(f"{part} was begun under other settings than {run.path}; delete it, and its seed is trained again")
    RunDir(part).read_seed(seed)
    for path in [part / "metrics.jsonl", *sorted((part / "samples").glob("*.jsonl"))]:
        if path.exists():
            target = run.path / path.relative_to(part)
            kept = (line for line, row in iter_jsonl(target) if row["seed"] != seed)
            write_lines(target, chain(kept, _rows({seed: part}, [seed], path.relative_to(part))))
    env = RunDir(part).environment()
    if env.rendering_sha256 is not None:
        run.note(rendering_sha256=env.rendering_sha256, model_revision=env.model_revision)
    run.remark(env.remarks)
    for name in FOLDERS:
        for path in sorted((part / name.format(seed)).rglob("*")):
            if path.is_file():
                _bring(path, run.path / path.relative_to(part))
    for name in (*FILES[2:], FILES[1], FILES[0]):
        _bring(part / name.format(seed), run.path / name.format(seed))
    sync(seed_path(run.path, seed).parent)


def _bring(source: Path, target: Path) -> None:
    """A second name for a file, or, on another file system, a copy; nothing where there is no such file."""
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
