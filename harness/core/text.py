"""Making untrusted text safe to show."""

from __future__ import annotations

import unicodedata

_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (bidi, zero width), lone surrogate, line separators


def one_line(text: str) -> str:
    """The same text with spaces where its lines end."""
    return " ".join(line.strip() for line in text.splitlines())


class _Spelled(dict[int, str]):
    """What `visible` writes for a code point, worked out when it is first met: pages hold tens of millions of characters."""

    def __missing__(self, point: int) -> str:
        c = chr(point)
        steers = unicodedata.category(c) in _STEERING and c not in "\n\t"
        self[point] = found = f"<U+{point:04X}>" if steers else c
        return found


_SPELLED = _Spelled()


def visible(text: str) -> str:
    """Spell out control, bidi, zero-width and surrogate characters, e.g. ``<U+202E>``, but not newlines and tabs."""
    return text if text.isascii() and text.isprintable() else text.translate(_SPELLED)
