"""Making untrusted text safe to show."""

from __future__ import annotations

import unicodedata

_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (bidi, zero width), lone surrogate, line separators


def one_line(text: str) -> str:
    """The same text with spaces where its lines end."""
    return " ".join(line.strip() for line in text.splitlines())


def visible(text: str) -> str:
    """Spell out control, bidi, zero-width and surrogate characters, e.g. ``<U+202E>``, but not newlines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in _STEERING and c not in "\n\t" else c for c in text)
