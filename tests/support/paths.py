"""Where the checkout and the data lie."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HARNESS_DATA_DIR", ROOT.parent / "shared" / "data"))
"""A folder with `eval/` and `train/`; tests that need it are skipped where it is not there."""
