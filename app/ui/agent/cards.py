"""The cards of a run, as cells of the transcript."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.agent.code_box import CodeBox
from app.ui.agent.values import ApprovalCard, QuestionCard, TodoCard, ToolCard
from app.ui.buttons import FlatButton
from app.ui.theme import mix, tint
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, CustomCell
from app.ui.transcript.look import Look

_MARKS = {"running": "…", "done": "✓", "failed": "✕", "denied": "⊘", "stopped": "■"}
_LIVE_LINES = 8
_TODO_MARKS = {"pending": "○", "in_progress": "◐", "completed": "●"}


class CardView(CellView):
    """A cell laid out by Qt: one column in a rounded frame."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self.stands_out = False
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(12, 8, 12, 8)
        self.column.setSpacing(6)

    def height_for(self, width: int) -> int:
        self.setFixedWidth(width)
        self.column.activate()
        if self.column.hasHeightForWidth():
            return self.column.totalHeightForWidth(width)
        return self.column.totalSizeHint().height()

    def label(self, *, small: bool = False, bold: bool = False, muted: bool = False) -> QLabel:
        made = QLabel(self)
        made.setTextFormat(Qt.TextFormat.PlainText)
        made.setWordWrap(True)
        font = QFont(self.look.small if small else self.look.text)
        if bold:
            font.setBold(True)
        made.setFont(font)
        if muted:
            tint(made, self.look.colors.muted)
        return made

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self.look.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colors.accent if self.stands_out else colors.border)
        painter.setBrush(mix(colors.base, colors.accent, 0.05 if self.stands_out else 0.0))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.end()


class ToolCardView(CardView):
    """One line; a click opens what the tool said or changed."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._card: ToolCard | None = None
        self._open: bool | None = None  # None: open while it runs
        self.head = FlatButton("", self)
        self.head.setFont(look.text)
        self.head.clicked.connect(self._on_toggle)
        self._note = self.label(small=True, muted=True)
        self._note.setWordWrap(False)
        self._box = CodeBox(look.colors, parent=self)
        self._box.setFont(look.code)
        self._box.hide()
        row = QHBoxLayout()
        row.addWidget(self.head)
        row.addStretch(1)
        row.addWidget(self._note)
        self.column.setContentsMargins(4, 3, 12, 3)
        self.column.addLayout(row)
        self.column.addWidget(self._box)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, CustomCell)
        card = value.payload
        assert isinstance(card, ToolCard)
        self._card = card
        self.head.setText(f"{_MARKS[card.state]}  {card.summary[:120]}")
        self.head.setAccessibleName(f"{card.summary}: {card.state}")
        self.head.setToolTip(self.tr("Show what it did") if card.details else "")
        self.head.updateGeometry()
        self._note.setText(card.note)
        colors = self.look.colors
        tint(self.head, colors.warning if card.state in ("failed", "denied") else colors.text)
        self._show_details()

    def _on_toggle(self) -> None:
        self._open = not self._is_open()
        self._show_details()
        self.resized_itself.emit()

    def _is_open(self) -> bool:
        if self._open is not None or self._card is None:
            return bool(self._open)
        return self._card.state == "running"

    def _show_details(self) -> None:
        card = self._card
        visible = card is not None and bool(card.details) and self._is_open()
        self._box.setVisible(visible)
        if card is not None and visible:
            live = card.state == "running"
            lines = card.details.rstrip("\n").split("\n")[-_LIVE_LINES:] if live else ()
            self._box.show_text("\n".join(lines) if live else card.details, is_diff=card.is_diff)


class ApprovalView(CardView):
    """Says what, why, the exact bytes, and whether it can be undone. Deny is the default."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self.stands_out = True
        self._card: ApprovalCard | None = None
        self._title = self.label(bold=True)
        self._why = self.label()
        self._reason = self.label(small=True, muted=True)
        self._box = CodeBox(look.colors, 18, self)
        self._box.setFont(look.code)
        self._undo = self.label(small=True, muted=True)
        self._warnings = self.label(small=True)
        tint(self._warnings, look.colors.warning)
        self._answered = self.label(small=True, muted=True)
        for widget in (self._title, self._why, self._box, self._reason, self._warnings, self._undo):
            self.column.addWidget(widget)
        self.deny = self._button(self.tr("Don't allow"), "deny")
        self.once = self._button(self.tr("Allow once"), "allow_once")
        self.always = self._button(self.tr("Always allow"), "allow_always")
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in (self.deny, self.once, self.always):
            row.addWidget(button)
        row.addStretch(1)
        self.column.addLayout(row)
        self.column.addWidget(self._answered)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, CustomCell)
        card = value.payload
        assert isinstance(card, ApprovalCard)
        self._card = card
        request = card.request
        self.setAccessibleName(self.tr("Permission needed: {}").format(request.title))
        self._set(self._title, request.title)
        self._set(self._why, f"“{request.why}”" if request.why else "")
        self._set(self._reason, card.reason)
        self._box.setVisible(bool(card.exact))
        self._box.show_text(card.exact, is_diff=not request.command)
        self._set(self._warnings, "\n".join(request.warnings))
        self._set(self._undo, card.undo_words)
        waiting = not card.answered
        self.stands_out = waiting
        self.deny.setVisible(waiting)
        self.once.setVisible(waiting)
        self.always.setVisible(waiting and bool(request.always_rule))
        self.always.setToolTip(request.always_rule)
        self._set(self._answered, card.answered)
        self.update()

    def focus_default(self) -> None:
        """The keyboard goes to the answer that changes nothing."""
        self.deny.setFocus(Qt.FocusReason.OtherFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.action.emit("deny", self._card)
            return
        super().keyPressEvent(event)

    def _button(self, text: str, verb: str) -> FlatButton:
        button = FlatButton(text, self, "outlined")
        button.clicked.connect(lambda: self.action.emit(verb, self._card))
        return button

    def _set(self, label: QLabel, text: str) -> None:
        label.setText(text)
        label.setVisible(bool(text))


class QuestionView(CardView):
    """Go on, or stop here. No is the default."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._text = self.label()
        self._card: QuestionCard | None = None
        self._answered = self.label(small=True, muted=True)
        self.no = FlatButton("", self, "outlined")
        self.yes = FlatButton("", self, "outlined")
        self.no.clicked.connect(lambda: self.action.emit("no", self._card))
        self.yes.clicked.connect(lambda: self.action.emit("yes", self._card))
        row = QHBoxLayout()
        row.addWidget(self.no)
        row.addWidget(self.yes)
        row.addStretch(1)
        self.column.addWidget(self._text)
        self.column.addLayout(row)
        self.column.addWidget(self._answered)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, CustomCell)
        card = value.payload
        assert isinstance(card, QuestionCard)
        self._card = card
        self._text.setText(card.text)
        self.no.setText(card.no)
        self.yes.setText(card.yes)
        self.stands_out = not card.answered
        for button in (self.no, self.yes):
            button.setVisible(not card.answered)
        self._answered.setText(card.answered)
        self._answered.setVisible(bool(card.answered))

    def focus_default(self) -> None:
        """The keyboard goes to No."""
        self.no.setFocus(Qt.FocusReason.OtherFocusReason)


class TodoView(CardView):
    """The checklist."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._rows: list[QLabel] = []
        self.column.setSpacing(3)
        self._title = self.label(small=True, muted=True)
        self.column.addWidget(self._title)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, CustomCell)
        card = value.payload
        assert isinstance(card, TodoCard)
        done = sum(item.status == "completed" for item in card.items)
        self._title.setText(self.tr("Plan: {} of {} done").format(done, len(card.items)))
        while len(self._rows) < len(card.items):
            self._rows.append(self.label())
            self.column.addWidget(self._rows[-1])
        for row in self._rows[len(card.items) :]:
            row.hide()
        colors = self.look.colors
        for row, item in zip(self._rows, card.items, strict=False):
            row.setText(f"{_TODO_MARKS.get(item.status, '○')}  {item.content}")
            font = QFont(self.look.text)
            font.setBold(item.status == "in_progress")
            row.setFont(font)
            tint(row, colors.muted if item.status == "completed" else colors.text)
            row.show()
