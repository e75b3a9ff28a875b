"""The jobs of a study: every one is the `harness run` of a cell, with all of its seeds or with one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.study.cells import Cell

if TYPE_CHECKING:
    from harness.study.folder import StudyDir


@dataclass(frozen=True)
class Job:
    """A process that fills one run folder, `path`; `log` is where its output goes. `words` is the command, which starts,
    resumes or leaves alone what is finished."""

    name: str
    cell: Cell
    seeds: tuple[int, ...]
    path: Path
    log: Path
    words: tuple[str, ...]

    @property
    def units(self) -> int:
        """Its share of the cell's."""
        return self.cell.units // len(self.cell.spec.seeds) * len(self.seeds)


def jobs_of(folder: StudyDir, cell: Cell) -> list[Job]:
    """Of a cell, in the order of its seeds: one, or where the study is done seed by seed, one for each."""
    whole = folder.path(cell.name)
    parts = {seed: folder.part(cell.name, seed) for seed in cell.spec.seeds}
    if folder.by_seed(cell):
        return [_job(folder, cell, f"{cell.name}@s{seed}", (seed,), path) for seed, path in parts.items()]
    return [_job(folder, cell, cell.name, cell.spec.seeds, whole)]


def _job(folder: StudyDir, cell: Cell, name: str, seeds: Sequence[int], path: Path) -> Job:
    spec = cell.spec
    words = ["run", "--method", spec.method, "--recipe", folder.study.recipe, "--bench", spec.eval.bench]
    words += ["--seeds", ",".join(map(str, seeds)), "--out", str(path), "--continue"]
    words += [w for item in cell.sets for w in ("--set", item)]
    words += ["--match-budget", str(folder.path(cell.match))] if cell.match else []
    words += ["--data-dir", str(folder.data_dir)] if folder.data_dir else []
    return Job(name, cell, tuple(seeds), path, folder.log(name), tuple(words))


def study_id(out: Path) -> str:
    """Tells the jobs of this folder from those of others in a queue: eight digits of a hash of its path."""
    return hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:8]
