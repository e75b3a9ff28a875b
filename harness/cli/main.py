"""The command line. Imports nothing heavy: every verb imports what it needs when it runs.

Exit codes: 0 everything that was planned is done; 1 a run or check failed; 2 usage or settings; 3 data, a model, a package
or a backend is missing; 130 interrupted (the run can be resumed).
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from types import TracebackType

import click

from harness.cli import options as o
from harness.cli.config import config
from harness.cli.data import check, fetch, list_things, regrade
from harness.cli.doctor import doctor
from harness.cli.eval import evaluate
from harness.cli.launch import launch
from harness.cli.leaderboard import leaderboard
from harness.cli.merge import merge
from harness.cli.pages import export, report
from harness.cli.plan import plan
from harness.cli.plant import plant
from harness.cli.run import run
from harness.cli.schema import schema
from harness.cli.study import study
from harness.cli.suite import suite
from harness.cli.verdict import claim, compare, power
from harness.core.errors import HarnessError
from harness.core.extras import how_to_install
from harness.core.text import one_line

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
"""The disk's errors, which are the user's to mend."""
MISPLACED = {errno.EISDIR, errno.ENOTDIR}
UNFIT = {errno.ENAMETOOLONG, errno.ELOOP}
"""Of a name that no file can have, and of a link where none is followed."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "HARNESS"})
@click.version_option(package_name="p2o-harness", prog_name="harness")
def cli() -> None:
    """A referee for RLVR methods: train on equal terms, evaluate in and out of distribution."""


for verb in (
    run,
    doctor,
    launch,
    evaluate,
    compare,
    merge,
    study,
    plan,
    power,
    claim,
    plant,
    leaderboard,
    report,
    export,
    fetch,
    regrade,
    check,
    suite,
    list_things,
    config,
    schema,
):
    cli.add_command(verb)


def main() -> None:
    """Entry point: turns errors into one sentence and a documented exit code."""
    sys.excepthook = _show
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning OpenMP threads cost up to tenfold on a busy machine
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as e:
        told = io.StringIO()
        e.show(told)
        o.say(told.getvalue(), err=True, nl=False)
        code = e.exit_code
    except (KeyboardInterrupt, click.Abort):
        how = "" if "study" in sys.argv[1:2] or "--continue" in sys.argv else " with --resume"
        o.say(f"interrupted; the same command{how} continues from the last checkpoint", err=True)
        code = 130
    except Exception as e:
        if (sentence := _sentence(e)) is None:
            raise  # a fault of ours, to be reported as it is
        o.say(f"error: {one_line(sentence)}", err=True)
        code = 3 if isinstance(e, ModuleNotFoundError) else getattr(e, "exit_code", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _sentence(e: Exception) -> str | None:
    """What a user can act on; None for an error that is nobody's but ours."""
    if isinstance(e, HarnessError):
        return str(e)
    if isinstance(e, ModuleNotFoundError):
        advice = how_to_install(e)
        return advice and f"this needs the package {e.name}: {advice}"
    if not isinstance(e, OSError):
        return None
    name = e.filename2 or e.filename
    if e.errno in UNWRITABLE:
        return (
            f"{e.strerror}: {e.filename or 'a file being written'}; everything written so far is kept, and the same command "
            "with --resume continues from there"
        )
    if e.errno in MISPLACED:
        return f"{name} is " + ("a folder where a file belongs" if e.errno == errno.EISDIR else "below a file, not a folder")
    return f"{e.strerror}: {str(name)[:200]}" if e.errno in UNFIT else None


def _show(kind: type[BaseException], e: BaseException, tb: TracebackType | None) -> None:
    """Python's traceback; what the error says may be anybody's text."""
    o.say("".join(traceback.format_exception(kind, e, tb)), err=True, nl=False)
