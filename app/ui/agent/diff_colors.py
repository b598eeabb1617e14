"""Syntax colours of two versions of a file, line by line. Takes long: for a thread."""

from __future__ import annotations

from dataclasses import dataclass, field

from pygments.lexers import find_lexer_class_for_filename
from PySide6.QtGui import QColor

from app.agent.review import FileReview
from app.agent.types import visible
from app.ui.transcript.highlight import spans

Stretch = tuple[int, int, QColor]


@dataclass(frozen=True, slots=True)
class FileColors:
    """Stretches (start, length, colour) by 1-based line number of the old and the new file."""

    old: dict[int, list[Stretch]] = field(default_factory=dict)
    new: dict[int, list[Stretch]] = field(default_factory=dict)


def file_colors(review: FileReview, *, dark: bool) -> FileColors:
    """Both versions; empty where the language is not known or the file is very long."""
    lexer = find_lexer_class_for_filename(review.path)
    if lexer is None or not lexer.aliases or not review.groups:
        return FileColors()
    language = str(lexer.aliases[0])
    return FileColors(
        _by_line(review.before or b"", language, dark),
        _by_line(review.after or b"", language, dark),
    )


def _by_line(content: bytes, language: str, dark: bool) -> dict[int, list[Stretch]]:
    lines = [visible(line.decode("utf-8", "replace")) for line in content.splitlines()]
    found: dict[int, list[Stretch]] = {}
    number, line_start = 1, 0
    for start, length, color in spans("\n".join(lines), language, dark):
        at, left = start, length
        while left > 0 and number <= len(lines):
            line_end = line_start + len(lines[number - 1])
            if at > line_end:
                line_start, number = line_end + 1, number + 1
                continue
            take = min(left, line_end - at)
            if take:
                found.setdefault(number, []).append((at - line_start, take, color))
            at, left = at + take, left - take
            if left:  # over the line's end
                at, left = at + 1, left - 1
    return found
