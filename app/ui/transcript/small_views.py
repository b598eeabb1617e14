"""The small cells: progress before the first word, notices, files, and the row of buttons."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget

from app.ui.buttons import FlatButton, icon_button
from app.ui.theme import tint
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, FilesCell, FooterCell, NoticeCell, ProgressCell
from app.ui.transcript.look import Look
from app.ui.words import count_words, reading_words


def _muted_label(look: Look, parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(look.small)
    tint(label, look.colors.muted)
    return label


class ProgressView(CellView):
    """How far the prompt is read, in words and as a thin bar. Its height never changes."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._share: float | None = None
        self._label = _muted_label(look, self)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, ProgressCell)
        progress = value.progress
        self._share = None
        words = value.note or self.tr("Waiting for the first word…")
        if progress is not None and progress.total_tokens > 0:
            self._share = min(progress.read_tokens / progress.total_tokens, 1.0)
            words = reading_words(progress)
        self._label.setText(words)
        self.setAccessibleName(words)
        self.update()

    def height_for(self, width: int) -> int:
        line = QFontMetrics(self.look.small).height()
        self._label.setGeometry(0, 2, width, line + 2)
        return line + 16

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._share is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        top, wide = self.height() - 8.0, min(self.width(), round(self.look.em * 18))
        painter.setBrush(self.look.colors.border)
        painter.drawRoundedRect(QRectF(0, top, wide, 3), 1.5, 1.5)
        painter.setBrush(self.look.colors.accent)
        painter.drawRoundedRect(QRectF(0, top, max(wide * self._share, 3), 3), 1.5, 1.5)
        painter.end()


class NoticeView(CellView):
    """A sentence, what to do about it, and a button that does it."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value: NoticeCell | None = None
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setFont(look.text)
        self._icon = QLabel(self)
        self.button = FlatButton("", self, "outlined")
        self.button.setFont(look.small)
        self.button.clicked.connect(self._on_clicked)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, NoticeCell)
        self._value = value
        self._label.setText(f"{value.sentence} {value.remedy}".strip())
        self.setAccessibleName(self._label.text())
        quiet = value.kind == "info"
        colors = self.look.colors
        tint(self._label, colors.muted if quiet else colors.text)
        self._label.setFont(self.look.small if quiet else self.look.text)
        self.button.setText(value.action_label)
        self.button.setVisible(bool(value.action))
        if self.look.icons is not None:
            name, color = ("info", colors.muted) if quiet else ("warning", colors.warning)
            scale = self.devicePixelRatioF()
            self._icon.setPixmap(self.look.icons.pixmap(name, 18, color, scale))
        self._icon.setVisible(not quiet)

    def height_for(self, width: int) -> int:
        assert self._value is not None
        quiet = self._value.kind == "info"
        pad = 0 if quiet else round(self.look.em * 0.65)
        left = pad + (0 if quiet else 28)
        hint = self.button.sizeHint() if self._value.action else QSize(0, 0)
        beside = width - left - pad - (hint.width() + 12 if self._value.action else 0)
        below = beside < self.look.em * 12
        text_width = width - left - pad if below else beside
        height = self._label.heightForWidth(text_width)
        total = height + 2 * pad
        if self._value.action:
            if below:
                total += hint.height() + 6
                self.button.setGeometry(left, pad + height + 6, hint.width(), hint.height())
            else:
                total = max(total, hint.height() + pad)
                top = (total - hint.height()) // 2
                self.button.setGeometry(
                    width - pad - hint.width(), top, hint.width(), hint.height()
                )
        top = pad if below else (total - height) // 2
        self._label.setGeometry(left, top, text_width, height)
        self._icon.setGeometry(pad, top + 1, 20, 20)
        return total

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._value is None or self._value.kind == "info":
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.colors.warning_back)
        painter.drawRoundedRect(QRectF(self.rect()), 9, 9)
        painter.end()

    def _on_clicked(self) -> None:
        if self._value is not None:
            self.action.emit("remedy", self._value.action)


class FilesView(CellView):
    """Attachments as chips, on the right like the question they belong to."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._chips: list[FlatButton] = []

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, FilesCell)
        for chip in self._chips:
            chip.deleteLater()
        self._chips = []
        for index, (name, chars) in enumerate(value.files):
            words = self.tr("{name} · {count} characters").format(
                name=" ".join(name.split())[:60], count=count_words(chars)
            )
            chip = FlatButton(words, self, "outlined")
            chip.setFont(self.look.small)
            chip.setAccessibleName(words)
            if self.look.icons is not None:
                self.look.icons.bind(chip, "file")
            chip.clicked.connect(lambda _checked=False, at=index: self.action.emit("open_file", at))
            chip.show()
            self._chips.append(chip)

    def height_for(self, width: int) -> int:
        right, top, line = width, 0, 0
        for chip in self._chips:
            hint = chip.sizeHint()
            wide = min(hint.width(), width)
            if right - wide < 0 and right < width:
                right, top = width, top + line + 6
            chip.setGeometry(right - wide, top, wide, hint.height())
            right -= wide + 6
            line = hint.height()
        return top + line


class FooterView(CellView):
    """Copy, answer again or edit, switch between siblings; how the answer came about."""

    outset = 6

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value: FooterCell | None = None
        icons = look.icons
        self.copy = self._button("copy", self.tr("Copy"), "copy")
        self.again = self._button("refresh", self.tr("Answer again"), "regenerate")
        self.edit = self._button("edit", self.tr("Edit and ask again"), "edit")
        self.back = icon_button(
            icons, "chevron-left", self.tr("Earlier version"), self, size=self.look.icon_size
        )
        self.back.clicked.connect(lambda: self.action.emit("sibling", -1))
        self.forth = icon_button(
            icons, "chevron-right", self.tr("Later version"), self, size=self.look.icon_size
        )
        self.forth.clicked.connect(lambda: self.action.emit("sibling", 1))
        self.more = self._button("more", self.tr("More"), "more")
        self._place = _muted_label(look, self)
        self._summary = _muted_label(look, self)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, FooterCell)
        self._value = value
        answer = value.role == "assistant"
        several = value.count > 1
        self.again.setVisible(answer and value.can_act)
        self.edit.setVisible(not answer and value.can_act)
        for button in (self.back, self.forth):
            button.setVisible(several)
        self.back.setEnabled(value.index > 0)
        self.forth.setEnabled(value.index < value.count - 1)
        self._place.setVisible(several)
        self._place.setText(f"{value.index + 1}/{value.count}")
        self._summary.setText(value.summary)
        self._summary.setVisible(bool(value.summary) and self.look.show_speed)

    def height_for(self, width: int) -> int:
        assert self._value is not None
        row: list[QWidget] = [self.back, self._place, self.forth]
        if self._value.role == "user":
            row = [*row, self.copy, self.edit, self.more]
        else:
            row = [self.copy, self.again, *row, self.more, self._summary]
        shown = [widget for widget in row if not widget.isHidden()]
        sizes = [widget.sizeHint() for widget in shown]
        height = max(size.height() for size in sizes)
        total = sum(size.width() + 1 for size in sizes)
        at = self.outset - 5
        if self._value.role == "user":
            at = width + self.outset - total + 4
        for widget, size in zip(shown, sizes, strict=True):
            room = size.width()
            if widget is self._summary:
                at += 4
                room = min(room, max(width + self.outset - at, 0))
            widget.setGeometry(at, (height - size.height()) // 2, room, size.height())
            at += room + 1
        return height

    def _button(self, name: str, tip: str, verb: str) -> FlatButton:
        button = icon_button(self.look.icons, name, tip, self, size=self.look.icon_size)
        button.clicked.connect(lambda: self.action.emit(verb, None))
        return button
