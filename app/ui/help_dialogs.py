"""The keyboard map and About."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui.actions import COMMANDS, MENUS
from app.ui.icons import Icons
from app.ui.theme import Theme, tint


def _close_row(dialog: QDialog) -> QDialogButtonBox:
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, dialog)
    buttons.rejected.connect(dialog.reject)
    return buttons


class KeyboardMap(QDialog):
    """Every command with its keys, as they are on this system."""

    def __init__(self, actions: dict[str, QAction], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard map"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setHorizontalSpacing(28)
        grid.setColumnStretch(0, 1)
        row = 0
        for menu in MENUS:
            title = QLabel(self.tr(menu), inner)
            font = theme.small_font()
            font.setWeight(font.Weight.DemiBold)
            title.setFont(font)
            tint(title, theme.colors.muted)
            grid.setRowMinimumHeight(row, 30)
            grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignBottom)
            row += 1
            for command in COMMANDS:
                keys = actions[command.name].shortcuts()
                if command.menu != menu or not keys:
                    continue
                form = QKeySequence.SequenceFormat.NativeText
                words = ",  ".join(key.toString(form) for key in keys)
                grid.addWidget(QLabel(actions[command.name].text().rstrip("…"), inner), row, 0)
                grid.addWidget(QLabel(words, inner), row, 1)
                row += 1
        area = QScrollArea(self)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(inner)
        column = QVBoxLayout(self)
        column.addWidget(area)
        column.addWidget(_close_row(self))
        self.resize(460, 560)


class About(QDialog):
    """Name, version, licence, and where things stay."""

    def __init__(self, version: str, theme: Theme, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About Garret"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        picture = QLabel(self)
        picture.setPixmap(icons.app_icon().pixmap(72, 72))
        name = QLabel("Garret", self)
        font = theme.text_font(1.5)
        font.setWeight(font.Weight.DemiBold)
        name.setFont(font)
        number = QLabel(self.tr("Version {version}").format(version=version), self)
        tint(number, theme.colors.muted)
        words = QLabel(
            self.tr(
                "Local models under your own roof. What you write stays on this computer; Garret "
                "goes online only for a download or a search that you ask for."
            ),
            self,
        )
        words.setWordWrap(True)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        licence = QLabel(self.tr("Free software under the Apache Licence 2.0."), self)
        tint(licence, theme.colors.muted)
        column = QVBoxLayout(self)
        column.setContentsMargins(36, 28, 36, 18)
        column.setSpacing(8)
        for label in (picture, name, number, words, licence):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        column.addSpacing(8)
        column.addWidget(_close_row(self))
        self.setFixedWidth(400)
