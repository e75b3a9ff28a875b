"""What crosses from one process of the openrlhf backend to another."""

import pickle

import pytest

from harness.core.errors import HarnessError, MissingError, UsageError
from harness.training.openrlhf.engine import NoRoomError
from harness.training.openrlhf.job import Failure


class Narrower(MissingError):
    """Of a kind that the other side does not know."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (HarnessError("no"), HarnessError),
        (UsageError("too few problems"), UsageError),
        (MissingError("the server is down; --resume continues"), MissingError),
        (Narrower("gone"), MissingError),
        (NoRoomError(300, 280), HarnessError),
    ],
)
def test_an_error_keeps_its_kind_and_its_words(tmp_path, error, kind):
    assert Failure.read(tmp_path) is None
    Failure.of(error).write(tmp_path)
    told = Failure.read(tmp_path)
    assert type(told) is kind and str(told) == str(error)


def test_a_prompt_without_room_is_said_in_every_process():
    """Ray pickles what an executor raises."""
    error = pickle.loads(pickle.dumps(NoRoomError(300, 280)))
    assert (error.tokens, error.room) == (300, 280)
    assert str(error) == "a prompt of 300 tokens leaves no room in 280; raise backend.prompt_tokens"
