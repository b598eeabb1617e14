"""The cards side by side, as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.ui.demo.card_view import CardView
from app.ui.demo.values import CardFace
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint

_MOST_COLUMNS = 3


class CardsPage(QWidget):
    """Arrow keys move between the cards."""

    chosen = Signal(str)
    focused = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.cards: list[CardView] = []
        self._columns = 0
        inner = QWidget(self)
        inner.setBackgroundRole(QPalette.ColorRole.Base)
        self._heading = QLabel(self.tr("Demo"), inner)
        self._note = QLabel(inner)
        for label in (self._heading, self._note):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self._grid = QGridLayout()
        self._grid.setSpacing(12)
        column = QVBoxLayout(inner)
        column.setContentsMargins(28, 22, 28, 28)
        column.setSpacing(6)
        column.addWidget(self._heading)
        column.addWidget(self._note)
        column.addSpacing(10)
        column.addLayout(self._grid)
        column.addStretch(1)
        self._area = QScrollArea(self)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        make_slim(self._area)
        self._area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._area)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_faces(self, note: str, faces: Sequence[CardFace]) -> None:
        """The cards; those that are there keep their place and the focus."""
        self._note.setText(note)
        while len(self.cards) < len(faces):
            card = CardView(self._theme, self)
            card.chosen.connect(self.chosen)
            card.focused.connect(self._on_focused)
            self.cards.append(card)
            self._columns = 0
        for card, face in zip(self.cards, faces, strict=True):
            card.show_face(face)
        self._place()

    def focus_card(self, card_id: str) -> None:
        """Puts the keyboard on a card, or on the first."""
        here = next((card for card in self.cards if card.face.card_id == card_id), None)
        if here is None and self.cards:
            here = self.cards[0]
        if here is not None:
            here.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: -self._columns,
            Qt.Key.Key_Down: self._columns,
        }
        step = steps.get(Qt.Key(event.key()))
        here = next((i for i, card in enumerate(self.cards) if card.hasFocus()), None)
        if step is None or here is None:
            super().keyPressEvent(event)
            return
        if 0 <= here + step < len(self.cards):
            self.cards[here + step].setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def _on_focused(self, card_id: str) -> None:
        card = next(card for card in self.cards if card.face.card_id == card_id)
        self._area.ensureWidgetVisible(card, 0, 24)
        self.focused.emit(card_id)

    def _place(self) -> None:
        each = max(1, round(self._theme.em() * 17))
        columns = min(_MOST_COLUMNS, max(1, (self.width() - 56) // each))
        if columns == self._columns:
            return
        for column in range(self._columns):
            self._grid.setColumnStretch(column, 0)
        self._columns = columns
        for number, card in enumerate(self.cards):
            self._grid.addWidget(card, number // columns, number % columns)
        for column in range(columns):
            self._grid.setColumnStretch(column, 1)

    def _restyle(self) -> None:
        heading = self._theme.text_font(1.5)
        heading.setWeight(heading.Weight.DemiBold)
        self._heading.setFont(heading)
        self._note.setFont(self._theme.text_font(0.95))
        tint(self._note, self._theme.colors.muted)
        self._place()
