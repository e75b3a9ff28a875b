"""Studies: many runs as one. A YAML file says arms x conditions x seeds; every cell of the product is one `harness run`."""

from harness.study.cells import Cell, cell_name, cells_dir, prepare_study
from harness.study.file import Study, StudyArm, load_study
from harness.study.folder import StudyDir
from harness.study.tables import plan_table, summary, summary_table

__all__ = [
    "Cell",
    "Study",
    "StudyArm",
    "StudyDir",
    "cell_name",
    "cells_dir",
    "load_study",
    "plan_table",
    "prepare_study",
    "summary",
    "summary_table",
]
