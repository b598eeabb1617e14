"""Before the window goes: an answer is not on disk, because the disk is full."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QMessageBox, QWidget


def ask_unsaved(parent: QWidget, quit_anyway: Callable[[], None]) -> QMessageBox:
    """Asks without holding up the event loop; staying is the default."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setText(box.tr("The newest answer is not saved yet, because the disk is full."))
    box.setInformativeText(
        box.tr("Free some space and it is saved at once. If you quit now, part of it may be lost.")
    )
    quit_button = box.addButton(box.tr("Quit anyway"), QMessageBox.ButtonRole.DestructiveRole)
    quit_button.clicked.connect(quit_anyway)
    stay = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.open()
    return box
