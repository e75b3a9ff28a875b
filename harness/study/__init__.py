"""Studies: many runs as one. A YAML file says arms x conditions x seeds; every cell of the product is one `harness run`,
or one a seed, merged."""

from harness.study.cells import Cell, cell_name, cells_dir, costs_of, prepare_study
from harness.study.file import Study, StudyArm, load_study
from harness.study.folder import StudyDir
from harness.study.queues import RayJobs, Resources, Slurm
from harness.study.seeds import Apart
from harness.study.tables import plan_table, summary, summary_table

__all__ = [
    "Apart",
    "Cell",
    "RayJobs",
    "Resources",
    "Slurm",
    "Study",
    "StudyArm",
    "StudyDir",
    "cell_name",
    "cells_dir",
    "costs_of",
    "load_study",
    "plan_table",
    "prepare_study",
    "summary",
    "summary_table",
]
