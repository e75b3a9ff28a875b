"""A submission to a board: the filed run as a folder for a pull request, with the text of one.

OUT/<board's folder>/<training set>/<model>/<run>/...     what `harness leaderboard add` files
OUT/PULL_REQUEST.md                                       what was checked, what was not, and what is left to do
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.core.errors import UsageError
from harness.leaderboard.submit import add
from harness.leaderboard.verify import Verified, verify_run
from harness.report.sentences import comparison_sentences
from harness.report.tables import markdown_cell
from harness.runs.filed import Manifest, read_manifest, read_rules
from harness.runs.files import write_text
from harness.runs.result import load_result
from harness.stats.comparison import compare
from harness.stats.questions import load_questions

TEXT = "PULL_REQUEST.md"


def submission(
    run: Path, board: Path, out: Path, *, allow_stamped: bool = False, pilot: bool = False, data_dir: Path | None = None
) -> tuple[Path, Verified]:
    """File a finished run below `out` as it would be below `board`, verify what was filed, and write the text; returns the
    filed run's folder and what was computed again. The board stays as it is, and `out` appears whole or not at all.

    Raises as `add`, and UsageError where files are in the way, or the board has this run already.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out} already holds files; name another --out")
    temporary = out.absolute().with_name(f".submitting-{out.name}")
    shutil.rmtree(temporary, ignore_errors=True)  # of one that was killed
    home = Path(board.name or "leaderboards")
    try:
        for rules in board.glob("*/*/rules.json"):  # what each board asks for
            own = temporary / home / rules.relative_to(board)
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(rules, own)
        folder, _ = add(run, temporary / home, allow_stamped=allow_stamped, pilot=pilot, data_dir=data_dir)
        place = folder.relative_to(temporary)
        if (board / place.relative_to(home)).exists():
            raise UsageError(f"{board / place.relative_to(home)} is this run: it is on the board already")
        verified = verify_run(folder, data_dir)
        least = read_rules(folder.parent).least_seeds
        for rules in (temporary / home).glob("*/*/rules.json"):
            rules.unlink()
        for empty in sorted((temporary / home).rglob("*"), reverse=True):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
        write_text(temporary / TEXT, _text(run, place, read_manifest(folder), verified, least))
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / place, verified


def _text(run: Path, place: Path, m: Manifest, v: Verified, least: int) -> str:
    """Title, what came out, and a list whose ticks are what `add` and `verify_run` have just found to hold."""
    result = load_result(run)
    found = comparison_sentences(compare([result], questions=[load_questions(result)]))
    unseen = [name for name in m.suites if name not in (*v.golds, *v.listed)]
    ticked = [
        f"{v.samples:,} samples of {len(m.suites)} suites were graded again, and every grade agrees"
        + (f" but for {v.faults} on which the grader failed" if v.faults else ""),
        f"{v.figures} figures were computed again from them, and every one agrees",
        "settings, suites, training problems, ledgers and curves agree with each other",
        "the seeds are 0 and up without a gap, and their samples are independent of each other",
        *([f"prompts and gold answers of {', '.join(v.golds)} are those of the data"] if v.golds else []),
        *([f"prompts and gold answers of {', '.join(v.listed)} are those of the published lists"] if v.listed else []),
    ]
    enough = f"{len(m.seeds)} seeds; the board asks for {least}" + (", so this is a pilot" if len(m.seeds) < least else "")
    checks = [*((True, text) for text in ticked), (len(m.seeds) >= least, enough)]
    stamp = f"not a result: {m.not_a_result}" if m.not_a_result else "nothing keeps it from being a result"
    checks.append((m.not_a_result is None, stamp))
    if unseen:
        checks.append(
            (False, f"prompts and gold answers of {', '.join(unseen)}: held against ids at most, --data-dir has more")
        )
    clean = m.code is not None and not m.code.dirty
    checks.append((clean, "made by a commit, without changes" if clean else "made by code that no commit names"))
    home = place.parts[0]
    todo = [
        f"copy `{home}/` into the repository, then `harness leaderboard build {home}` and commit what it writes",
        f"`harness leaderboard verify {home}` passes",
        "completions may quote problems of gated suites: looked at",
    ]
    lines = [
        f"# {markdown_cell(m.method)} on {markdown_cell(m.training_set)}, {markdown_cell(m.model)}: {len(m.seeds)} seeds",
        "",
        *(markdown_cell(s.text) for s in found),
        "",
        f"Filed as `{place}`.",
        "",
        "## Checked when this was written",
        "",
        *(f"- [{'x' if held else ' '}] {markdown_cell(text)}" for held, text in checks),
        "",
        "## Left to do",
        "",
        *(f"- [ ] {text}" for text in todo),
    ]
    return "\n".join(lines) + "\n"
