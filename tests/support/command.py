"""The command line in this process."""

import sys

import pytest

from harness.cli import main


def harness(capsys, *args):
    """(exit code, standard output, standard error) of the command in this process."""
    sys.argv = ["harness", *map(str, args)]
    with pytest.raises(SystemExit) as e:
        main()
    out = capsys.readouterr()
    return e.value.code, out.out, out.err
