"""Random streams: the same for ever, each its own."""

import hashlib
import random

from harness.core.seeds import derive, stream


def test_a_stream_is_the_same_for_ever():
    """Recorded runs were made with these: other values would move every number, and no checkpoint would resume."""
    digest = hashlib.sha256(b"0\x1frollout\x1f1\x1f2").hexdigest()
    assert derive(0, "rollout", 1, 2) == int(digest[:16], 16) // 2 == 8462317504702951284
    assert stream(0, "rollout", 1, 2).random() == random.Random(8462317504702951284).random()


def test_streams_differ_in_every_part_and_in_where_parts_end():
    names = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), (0, "a"), (1, "a"), ("a", 0), ("a", ""), ("", "a")]
    assert len({derive(*name) for name in names}) == len(names)
    assert all(0 <= derive(*name) < 2**63 for name in names)


def test_a_stream_neither_reads_nor_changes_another():
    first = stream("x")
    alone = [first.random() for _ in range(3)]
    first, other = stream("x"), stream("y")
    mixed = [(first.random(), other.random())[0] for _ in range(3)]
    assert mixed == alone
