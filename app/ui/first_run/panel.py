"""The panel on the empty chat page that offers a better model."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.models.row_view import ModelRowView
from app.ui.models.values import ModelRow
from app.ui.theme import Theme, tint


@dataclass(frozen=True, slots=True)
class PanelView:
    """A heading, models as rows, and quiet words below. No heading: no panel."""

    heading: str = ""
    rows: tuple[ModelRow, ...] = ()
    note: str = ""
    can_use_other_computer: bool = False


class FirstRunPanel(QWidget):
    """Values in; `verb_chosen` carries the verb and the row's key."""

    verb_chosen = Signal(str, str)
    models_wanted = Signal()
    other_computer_wanted = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._view = PanelView()
        self.rows: list[ModelRowView] = []
        self._heading = QLabel(self)
        self._note = QLabel(self)
        for label in (self._heading, self._note):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.models = FlatButton(self.tr("See all models"), self)
        self.models.clicked.connect(self.models_wanted)
        self.other = FlatButton(self.tr("Use another computer’s models…"), self)
        self.other.clicked.connect(self.other_computer_wanted)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(8)
        links = QHBoxLayout()
        links.setSpacing(4)
        links.addWidget(self.models)
        links.addWidget(self.other)
        links.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._heading)
        column.addLayout(self._rows)
        column.addWidget(self._note)
        column.addLayout(links)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    @property
    def view(self) -> PanelView:
        return self._view

    def show_view(self, view: PanelView) -> None:
        """Other values; rows that are there already keep their place and the focus."""
        self._view = view
        self._heading.setText(view.heading)
        self._note.setText(view.note)
        self._note.setVisible(bool(view.note))
        self.other.setVisible(view.can_use_other_computer)
        while len(self.rows) > len(view.rows):
            gone = self.rows.pop()
            gone.hide()
            gone.deleteLater()
        while len(self.rows) < len(view.rows):
            row = ModelRowView(self._theme, self._icons, self)
            row.verb_chosen.connect(self.verb_chosen)
            self._rows.addWidget(row)
            self.rows.append(row)
        for row, values in zip(self.rows, view.rows, strict=True):
            row.show_row(values)
        self.setVisible(bool(view.heading))

    def _restyle(self) -> None:
        font = self._theme.small_font()
        font.setBold(True)
        self._heading.setFont(font)
        self._note.setFont(self._theme.small_font())
        for button in (self.models, self.other):
            button.setFont(self._theme.small_font())
            tint(button, self._theme.colors.muted)
            button.updateGeometry()
        tint(self._heading, self._theme.colors.muted)
        tint(self._note, self._theme.colors.muted)
