"""About."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.theme import Theme, tint

_WIDTH = 400


def _close_row(dialog: QDialog) -> QDialogButtonBox:
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, dialog)
    buttons.rejected.connect(dialog.reject)
    return buttons


class About(QDialog):
    """Name, version, licence, and where things stay."""

    licences_wanted = Signal()
    updates_wanted = Signal()

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
        licence.setWordWrap(True)
        column.addSpacing(6)
        licences = FlatButton(self.tr("Licences of all parts…"), self, "outlined")
        licences.clicked.connect(self.licences_wanted)
        column.addWidget(licences, 0, Qt.AlignmentFlag.AlignHCenter)
        updates = FlatButton(self.tr("Look for a newer version"), self, "outlined")
        updates.setToolTip(self.tr("Connects once. Nothing is downloaded or changed."))
        updates.clicked.connect(self.updates_wanted)
        updates.clicked.connect(self.accept)  # the answer is told in the window
        column.addWidget(updates, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(8)
        close = _close_row(self)
        column.addWidget(close)
        close.button(QDialogButtonBox.StandardButton.Close).setFocus()
        # A dialog gives wrapped lines less room than they need where the screen is small.
        self.setFixedSize(_WIDTH, column.totalHeightForWidth(_WIDTH))
