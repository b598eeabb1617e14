"""One demo card: a large button with a title, a sentence and how long it takes."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.ui.demo.values import CardFace
from app.ui.models.row_view import Pill
from app.ui.theme import Theme, mix, tint


class CardView(QWidget):
    """Enter, Space or a click choose it."""

    chosen = Signal(str)
    focused = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._face = CardFace("", "", "", "")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._title, self._summary, self._footer = (QLabel(self) for _ in range(3))
        for label in (self._title, self._summary, self._footer):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self._kind = Pill(theme, self)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._title, 1)
        head.addWidget(self._kind, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 13, 14, 13)
        column.setSpacing(5)
        column.addLayout(head)
        column.addWidget(self._summary)
        column.addStretch(1)
        column.addWidget(self._footer)
        theme.changed.connect(self._restyle)
        self._restyle()

    @property
    def face(self) -> CardFace:
        return self._face

    def show_face(self, face: CardFace) -> None:
        """Other words."""
        self._face = face
        self._title.setText(face.title)
        self._summary.setText(face.summary)
        self._footer.setText(face.below or " ")
        self._kind.set_text(face.kind, "good" if face.kind.startswith("Agent") else "quiet")
        self.setAccessibleName(face.spoken)
        self._restyle()

    def minimumSizeHint(self) -> QSize:
        return QSize(round(self._theme.em() * 12), super().minimumSizeHint().height())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.pos()):
            self.chosen.emit(self._face.card_id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self._face.card_id)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: object) -> None:
        super().focusInEvent(event)  # type: ignore[arg-type]  # Qt hands in a QFocusEvent
        self.focused.emit(self._face.card_id)
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: object) -> None:
        super().leaveEvent(event)  # type: ignore[arg-type]  # Qt hands in a QEvent
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colors.accent if self.hasFocus() else colors.border)
        back = mix(colors.base, colors.text, 0.05 if self.underMouse() else 0.018)
        painter.setBrush(back)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 11, 11)
        painter.end()

    def _restyle(self) -> None:
        colors = self._theme.colors
        title = self._theme.text_font(1.05)
        title.setWeight(title.Weight.DemiBold)
        self._title.setFont(title)
        self._summary.setFont(self._theme.text_font(0.95))
        self._footer.setFont(self._theme.small_font())
        self._kind.setFont(self._theme.small_font())
        self._kind.updateGeometry()
        tint(self._title, colors.text)
        tint(self._summary, colors.text)
        tint(self._footer, colors.warning if self._face.obstacle else colors.muted)
        self.update()
