"""A unified diff for people, quick on large files."""

from __future__ import annotations

import difflib

_CONTEXT = 3
_MAX_MIDDLE_LINES = 3000


def unified(old: str, new: str, path: str, max_lines: int = 4000) -> str:
    """The difference between two texts, "" when there is none."""
    a, b = old.splitlines(), new.splitlines()
    if a == b:
        return "" if old == new else f"--- {path}\n+++ {path}\nOnly line ends differ.\n"
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    first = max(0, head - _CONTEXT)
    middle_a = a[first : len(a) - max(0, tail - _CONTEXT)]
    middle_b = b[first : len(b) - max(0, tail - _CONTEXT)]
    if len(middle_a) + len(middle_b) > _MAX_MIDDLE_LINES:
        lines = [
            f"@@ -{first + 1},{len(middle_a)} +{first + 1},{len(middle_b)} @@",
            *(f"-{line}" for line in middle_a),
            *(f"+{line}" for line in middle_b),
        ]
    else:
        groups = difflib.unified_diff(middle_a, middle_b, n=_CONTEXT, lineterm="")
        lines = [_moved(line, first) for line in list(groups)[2:]]
    if len(lines) > max_lines:
        lines = [*lines[:max_lines], f"… {len(lines) - max_lines} more lines"]
    return "\n".join([f"--- {path if old else '/dev/null'}", f"+++ {path}", *lines]) + "\n"


def _moved(line: str, by: int) -> str:
    """A hunk header with its line numbers counted from the top of the file."""
    if not line.startswith("@@ -"):
        return line
    marks = line.split()
    moved = []
    for mark in marks[1:3]:
        start, comma, count = mark[1:].partition(",")
        moved.append(f"{mark[0]}{int(start) + by}{comma}{count}")
    return f"@@ {moved[0]} {moved[1]} @@"
