"""Text files and long pastes that travel with a message."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.core.messages import AttachmentPart
from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.words import count_words, size_words

BIG_PASTE_CHARS = 4_000
"""A longer paste becomes a chip, so that the box stays a box."""
MAX_FILE_BYTES = 2_000_000


def paste_name(parts: tuple[AttachmentPart, ...]) -> str:
    """A name no other paste of this message has."""
    taken = {part.name for part in parts}
    number = 1
    while (name := f"paste-{number}.txt") in taken:
        number += 1
    return name


def read_text_file(path: Path) -> tuple[AttachmentPart | None, str]:
    """The file as an attachment, or None and one sentence why not."""
    name = " ".join(path.name.split())
    try:
        if not path.is_file():
            return None, f"“{name}” is not a file; open a folder in the agent instead."
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            return None, f"“{name}” is too big to attach ({size_words(size)}, 2 MB at most)."
        raw = path.read_bytes()
    except OSError as error:
        return None, f"“{name}” cannot be read: {error.strerror or 'unknown error'}."
    if b"\0" in raw[:8192]:
        return None, f"“{name}” is not a text file."
    text = raw.decode("utf-8", errors="replace").removeprefix("\ufeff")
    kind = mimetypes.guess_type(path.name)[0] or "text/plain"
    return AttachmentPart(name, kind, text), ""


class AttachmentRow(QWidget):
    """Chips over the text, each with a cross."""

    changed = Signal()

    def __init__(self, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icons = icons
        self._parts: list[AttachmentPart] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        self._row.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self.hide()

    @property
    def parts(self) -> tuple[AttachmentPart, ...]:
        return tuple(self._parts)

    def add(self, part: AttachmentPart) -> None:
        """One more chip."""
        self._parts.append(part)
        self._rebuild()

    def clear(self) -> None:
        """No chips."""
        if self._parts:
            self._parts.clear()
            self._rebuild()

    def _remove(self, part: AttachmentPart) -> None:
        self._parts.remove(part)
        self._rebuild()

    def _rebuild(self) -> None:
        while (entry := self._row.takeAt(0)) is not None:
            widget = entry.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for part in self._parts:
            words = f"{part.name[:40]} · {count_words(len(part.text))}"
            chip = FlatButton(words, self, "outlined")
            self._icons.bind(chip, "close")
            tip = self.tr("Remove {name}").format(name=part.name)
            chip.setAccessibleName(tip)
            chip.setToolTip(tip)
            chip.clicked.connect(lambda _checked=False, gone=part: self._remove(gone))
            self._row.addWidget(chip)
        self.setVisible(bool(self._parts))
        self.changed.emit()
