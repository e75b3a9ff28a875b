"""What must not be written or shown: keys in the environment, and addresses that hold one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote

_ANYWHERE = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
_AS_A_WORD = re.compile(r"(?:^|_)(?:PASS|PAT|AUTH|AUTHORIZATION|BEARER|COOKIE|JWT|PSK)(?:_|$)|_PWD$", re.IGNORECASE)
_LEAST = 8
"""Shorter values are words like `false`, which stand in many a command line."""

_ADDRESS = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/:@-]*)?", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """Whether an environment variable of this name holds what must not be written anywhere."""
    return bool(_ANYWHERE.search(name) or _AS_A_WORD.search(name))


def planted() -> Iterator[tuple[str, str]]:
    """(name, value) of the environment's secrets, the longest value first: one may hold another."""
    found = [(name, value) for name, value in os.environ.items() if is_secret(name) and len(value) >= _LEAST]
    return iter(sorted(found, key=lambda pair: -len(pair[1])))


def without_secrets(text: str) -> str:
    """`text` with `$NAME` in place of the value of every secret in the environment, also where it is percent-encoded or
    quoted for a shell."""
    for name, value in planted():
        quoted = value.replace("'", "'\"'\"'")  # as shlex has it
        for form in dict.fromkeys((value, value.strip(), quoted, quote(value, safe=""), quote(value))):
            text = text.replace(form, f"${name}")
    return text


def planted_in(text: str) -> str | None:
    """The name of a secret whose value `text` holds; paths, which variables of keys may hold too, are none."""
    return next((name for name, value in planted() if value in text and value[0] not in "/.~"), None)


def check_address(url: str) -> str:
    """`url` if it is a server's plain address. Raises ValueError, which does not quote it, for any part that may hold a key:
    a user, a query, a fragment, parameters, or the value of one of the environment's secrets."""
    if not _ADDRESS.fullmatch(url):
        raise ValueError(
            "an address holds no user or key, ?query or #fragment, which would be written into the run: it is "
            "http(s)://HOST[:PORT][/PATH]; keys come from the environment"
        )
    if name := planted_in(url):
        raise ValueError(f"the address holds the value of {name}, which would be written into the run")
    return url
