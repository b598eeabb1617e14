"""Takes well-known secret shapes out of command output before a model or a log sees them."""

from __future__ import annotations

import re
from collections.abc import Collection

_SHAPES = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|hf_[A-Za-z0-9]{30,}"
    r"|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}|glpat-[A-Za-z0-9_-]{20,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,20000}?(?:-----END [A-Z ]{0,30}KEY-----|\Z)"
)


_VALUE = re.compile(r"^\s*(?:export\s+)?[\w.\-\"']+\s*[=:]\s*(.+?)\s*,?\s*$")
_MIN_CHARS = 6
_GONE = "[secret removed]"


def values_in(text: str) -> set[str]:
    """What a file of secrets (.env, a key) holds: the values of its lines, or its lines."""
    found: set[str] = set()
    for line in text.splitlines():
        pair = _VALUE.match(line)
        value = (pair[1] if pair else line).strip().strip("\"'")
        if len(value) >= _MIN_CHARS and not line.lstrip().startswith(("#", "-----")):
            found.add(value)
    return found


def redact(text: str, values: Collection[str] = ()) -> str:
    """The text with known values, tokens and private keys replaced by a short note."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, _GONE)
    return _SHAPES.sub(_GONE, text)
