"""A suite of one's own: `harness suite new` writes its folder from a data file, `harness suite check` reads one.

<name>/card.yaml     what the suite is, with what only its author knows left to fill in
<name>/<name>.yaml   the same suite for plain lm-eval
<name>/<file>        the data, copied
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import MissingError, UsageError
from harness.data.suites import Suite, broken_suites, is_own, list_groups, load_suite, suite_of_file
from harness.registry import include, name_fault, place_name
from harness.runs.files import write_text

TO_DO = "TO DO"
"""What a field of a new card holds that only its author can fill in."""
TASK = """# For plain lm-eval: lm_eval run --include_path {folder} --tasks {name} --apply_chat_template --log_samples ...
task: {name}
class: !function harness.benchmarks.task.CardTask  # everything else stands in card.yaml
metadata:
  version: 1.0
"""
_COMMENTS = {
    "source": "where the questions come from, with a link",
    "revision": "of the data: a commit, a date, a number",
    "sha256": "of the file: another one is refused",
    "licence": "of the data",
    "answer_type": "the grader: math, choice, exact, or module:function",
    "prompt": "how a problem is asked: boxed, choice, brief, short, examples or bare",
    "k": "completions per problem, at this temperature, of at most so many tokens",
    "known_defects": "what a reader of scores must know, a sentence each",
    "verified": "true once hash, size and gold answers have been checked",
}


def new_suite(name: str, source: Path, out: Path) -> Suite:
    """Write the folder `out`/`name` from a data file; returns the suite.

    Raises UsageError for a name that cannot be or is taken, for an existing folder, and as `read_problems`; then nothing is
    written.
    """
    if fault := name_fault(name):
        raise UsageError(fault)
    if is_own(name) or name in list_groups():
        raise UsageError(f"{name!r} is the name of one of the harness's own suites or groups; choose another")
    folder = out / name
    if folder.exists():
        raise UsageError(f"{folder} is already there; choose another name or --out")
    suite = replace(suite_of_file(source), name=name, title=name, home=folder)
    folder.mkdir(parents=True)
    shutil.copyfile(source, folder / source.name)
    write_text(folder / f"{name}.yaml", TASK.format(folder=folder.name, name=name))
    write_text(folder / "card.yaml", card_text(suite))  # last: a folder without one is no suite
    return read_folder(folder)[0]


def card_text(suite: Suite) -> str:
    """A card for its author to finish."""
    fields = {**suite.card(), "source": TO_DO, "licence": TO_DO, "known_defects": [TO_DO]}
    lines = []
    for key, value in fields.items():
        first, *rest = yaml.safe_dump({key: value}, allow_unicode=True, width=1000, default_flow_style=False).splitlines()
        lines += [f"{first}  # {_COMMENTS[key]}" if key in _COMMENTS else first, *rest]
    return "\n".join(lines) + "\n"


def to_fill_in(suite: Suite) -> list[str]:
    """The fields of a card that still hold TO_DO."""
    card: dict[str, Any] = suite.card()
    return [key for key, value in card.items() if value == TO_DO or (isinstance(value, list) and TO_DO in value)]


def read_folder(folder: Path) -> list[Suite]:
    """The suites of a folder with a card, or of a folder of such folders.

    Raises MissingError where there is none, UsageError for the first card that cannot be read.
    """
    include(folder)
    places = [folder] if (folder / "card.yaml").exists() else [path.parent for path in sorted(folder.glob("*/card.yaml"))]
    if not places:
        raise MissingError(f"{folder} holds no card.yaml, nor does a folder in it")
    broken = broken_suites()
    for place in places:
        if fault := broken.get(place_name(place.resolve())):
            raise UsageError(fault)
    return [load_suite(place_name(place.resolve())) for place in places]
