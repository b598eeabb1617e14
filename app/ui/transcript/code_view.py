"""Code cells: a header with the language and its buttons, and the code itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QTextCharFormat,
    QTextCursor,
    QTextLayout,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QTextEdit, QWidget

from app.ui.buttons import icon_button
from app.ui.scroll_bar import make_slim
from app.ui.theme import tint
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, CodeCell
from app.ui.transcript.code_modes import CodeMode
from app.ui.transcript.colorer import Colorer
from app.ui.transcript.highlight import Span, has_lexer, language_label, spans
from app.ui.transcript.look import Look
from app.ui.transcript.writer import visible

_SLICE_S = 0.004
_RADIUS = 9.0
_PAD = 12
_COPIED_MS = 1_500
_MAX_LINE_CHARS = 2_000


def _short(line: str) -> str:
    """A monstrous line cut; Copy and Save still give all of it."""
    if len(line) <= _MAX_LINE_CHARS:
        return line
    return f"{line[:_MAX_LINE_CHARS]} … (+{len(line) - _MAX_LINE_CHARS:,})"


class CodeText(QPlainTextEdit):
    """Read-only code; it scrolls sideways itself and leaves up and down to the transcript."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        make_slim(self)
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFont(look.code)
        self.setTabStopDistance(QFontMetricsF(look.code).horizontalAdvance(" ") * 4)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setUndoRedoEnabled(False)
        self.viewport().setAutoFillBackground(False)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.document().setDocumentMargin(0)
        option = QTextOption()
        option.setTextDirection(Qt.LayoutDirection.LeftToRight)
        option.setWrapMode(QTextOption.WrapMode.NoWrap)
        self.document().setDefaultTextOption(option)

    def wheelEvent(self, event: QWheelEvent) -> None:
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        if sideways or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            super().wheelEvent(event)
        else:
            event.ignore()

    def line_tops(self) -> list[float]:
        """Where each line begins, from the top of this widget."""
        tops: list[float] = []
        block = self.document().firstBlock()
        while block.isValid():
            tops.append(self.blockBoundingGeometry(block).translated(self.contentOffset()).top())
            block = block.next()
        return tops

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            event.ignore()
            return False
        return super().event(event)


class CodeView(CellView):
    """One code block, or a part of a long one."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value: CodeCell | None = None
        self._shown = ""
        self._spans: Iterator[Span] | None = None
        self._wraps = False
        self._numbered = False
        self._colorer = look.colorer or Colorer(self)
        self._setup_ui()

    def _setup_ui(self) -> None:
        icons = self.look.icons
        self.header = QWidget(self)
        self._label = QLabel(self.header)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setFont(self.look.small)
        tint(self._label, self.look.colors.muted)
        self._wrap = icon_button(
            icons, "wrap", self.tr("Wrap long lines"), self.header, size=self.look.icon_size
        )
        self._wrap.setCheckable(True)
        self._wrap.clicked.connect(lambda on: self._on_mode("wrap", on))
        self._numbers = icon_button(
            icons, "numbers", self.tr("Line numbers"), self.header, size=self.look.icon_size
        )
        self._numbers.setCheckable(True)
        self._numbers.clicked.connect(lambda on: self._on_mode("numbers", on))
        self._save = icon_button(
            icons, "save", self.tr("Save as a file"), self.header, size=self.look.icon_size
        )
        self._save.clicked.connect(self._on_save)
        self.copy = icon_button(
            icons, "copy", self.tr("Copy this code"), self.header, size=self.look.icon_size
        )
        self.copy.clicked.connect(self._on_copy)
        row = QHBoxLayout(self.header)
        row.setContentsMargins(_PAD, 3, 5, 3)
        row.setSpacing(1)
        row.addWidget(self._label, 1)
        row.addWidget(self._numbers)
        row.addWidget(self._wrap)
        row.addWidget(self._save)
        row.addWidget(self.copy)
        self.text = CodeText(self.look, self)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, CodeCell)
        old, self._value = self._value, value
        self.header.setVisible(value.first_line == 0)
        name = language_label(value.language) or self.tr("Code")
        self._label.setText(name)
        self.text.setAccessibleName(self.tr("Code, {language}").format(language=name))
        shown = visible("\n".join(map(_short, value.code.split("\n"))))
        if old is not None and shown.startswith(self._shown):
            if len(shown) > len(self._shown):
                cursor = QTextCursor(self.text.document())
                cursor.movePosition(QTextCursor.MoveOperation.End)
                cursor.insertText(shown[len(self._shown) :])
        else:
            self.text.setPlainText(shown)
        self._shown = shown
        if (value.is_closed or not value.is_last) and has_lexer(value.language):
            self._spans = spans(shown, value.language, self.look.colors.is_dark)
            self._colorer.add(self)

    def set_modes(self, modes: frozenset[str]) -> None:
        """Wrapped lines and line numbers, as the header's buttons say for the whole block."""
        self._numbered = "numbers" in modes
        self._numbers.setChecked(self._numbered)
        self._wrap.setChecked("wrap" in modes)
        if self._wraps != ("wrap" in modes):
            self._set_wrap("wrap" in modes)
        self.update()

    def height_for(self, width: int) -> int:
        assert self._value is not None
        top = self._top()
        left = _PAD + self._gutter()
        inner = max(width - left - _PAD, 40)
        self.text.setFixedWidth(inner)
        document = self.text.document()
        line = QFontMetricsF(self.look.code).lineSpacing()
        rows = document.blockCount()
        if self._wraps:
            document.setTextWidth(inner)
            layout = document.documentLayout()
            layout.documentSize()
            rows = self._wrapped_rows()
        text_height = round(rows * line + 1)
        bar = self.text.horizontalScrollBar()
        extra = 0
        policy = Qt.ScrollBarPolicy
        if not self._wraps and self._widest() > inner:
            extra = bar.sizeHint().height()
        # ours, or Qt's own idea of the width may put the bar over the last line
        self.text.setHorizontalScrollBarPolicy(
            policy.ScrollBarAlwaysOn if extra else policy.ScrollBarAlwaysOff
        )
        self.text.setGeometry(left, top, inner, text_height + extra)
        self.header.setGeometry(0, 0, width, self.header.sizeHint().height())
        bottom = (_PAD - min(extra, 6)) if self._value.is_last else 0
        return top + text_height + extra + bottom

    def selected_text(self) -> str:
        return self.text.textCursor().selection().toPlainText()

    def clear_selection(self) -> None:
        cursor = self.text.textCursor()
        if cursor.hasSelection():
            cursor.clearSelection()
            self.text.setTextCursor(cursor)

    def set_marks(self, marks: list[QTextEdit.ExtraSelection]) -> None:
        """Hits of a search."""
        self.text.setExtraSelections(marks)

    def paintEvent(self, _event: QPaintEvent) -> None:
        assert self._value is not None
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        is_first = self._value.first_line == 0
        if not is_first:
            area.setTop(-_RADIUS * 2)
        if not self._value.is_last:
            area.setBottom(self.height() + _RADIUS * 2)
        path = QPainterPath()
        path.addRoundedRect(area, _RADIUS, _RADIUS)
        painter.setPen(self.look.colors.border)
        painter.setBrush(self.look.colors.code)
        painter.drawPath(path)
        if self._numbered:
            self._paint_numbers(painter)
        painter.end()

    def _paint_numbers(self, painter: QPainter) -> None:
        assert self._value is not None
        painter.setFont(self.look.code)
        painter.setPen(self.look.colors.faint)
        line = QFontMetricsF(self.look.code).lineSpacing()
        right = self.text.x() - _PAD
        for number, top in enumerate(self.text.line_tops(), self._value.first_line + 1):
            place = QRectF(0, self.text.y() + top, right, line)
            painter.drawText(place, Qt.AlignmentFlag.AlignRight, str(number))

    def _gutter(self) -> int:
        """Room for the line numbers; four digits where the block goes on elsewhere."""
        if not self._numbered or self._value is None:
            return 0
        last = self._value.first_line + self._value.code.count("\n") + 1
        whole = self._value.first_line == 0 and self._value.is_last
        digits = max(len(str(last)), 2 if whole else 4)
        return round(QFontMetricsF(self.look.code).horizontalAdvance("0" * digits)) + _PAD

    def _top(self) -> int:
        assert self._value is not None
        return self.header.sizeHint().height() + 3 if self._value.first_line == 0 else 0

    def _widest(self) -> float:
        """The width of the longest line; Qt knows it only for lines it has painted."""
        metrics = QFontMetricsF(self.look.code)
        tab = self.text.tabStopDistance()
        longest = sorted(self._shown.split("\n"), key=len)[-3:]
        return max(
            metrics.horizontalAdvance(line.replace("\t", "")) + tab * line.count("\t")
            for line in longest
        )

    def _wrapped_rows(self) -> int:
        block, rows = self.text.document().firstBlock(), 0
        while block.isValid():
            rows += max(block.lineCount(), 1)
            block = block.next()
        return rows

    @property
    def language(self) -> str:
        """As the fence names it."""
        return self._value.language if self._value is not None else ""

    def color_some(self) -> bool:
        """Takes colours for a few milliseconds; whether there are more."""
        until = time.perf_counter() + _SLICE_S
        if self._spans is None:
            return False
        document = self.text.document()
        by_block: dict[int, list[tuple[int, int, QColor]]] = {}
        for start, length, color in self._spans:
            block = document.findBlock(start)
            at, left = start - block.position(), length
            while left > 0 and block.isValid():
                take = min(left, max(block.length() - 1 - at, 0))
                if take:
                    by_block.setdefault(block.blockNumber(), []).append((at, take, color))
                left -= take + 1
                at, block = 0, block.next()
            if time.perf_counter() > until:
                break
        else:
            self._spans = None
        for number, found in by_block.items():
            block = document.findBlockByNumber(number)
            layout = block.layout()
            ranges = list(layout.formats())
            for at, take, color in found:
                form = QTextLayout.FormatRange()
                form.start, form.length = at, take
                char = QTextCharFormat()
                char.setForeground(color)
                form.format = char
                ranges.append(form)
            layout.setFormats(ranges)
        self.text.viewport().update()
        return self._spans is not None

    def _on_mode(self, name: str, on: bool) -> None:
        if self._value is not None:
            self.action.emit("code_mode", CodeMode(self._value, name, on))

    def _set_wrap(self, on: bool) -> None:
        self._wraps = on
        mode = QPlainTextEdit.LineWrapMode
        self.text.setLineWrapMode(mode.WidgetWidth if on else mode.NoWrap)
        option = self.text.document().defaultTextOption()
        wrap = QTextOption.WrapMode
        option.setWrapMode(wrap.WrapAtWordBoundaryOrAnywhere if on else wrap.NoWrap)
        self.text.document().setDefaultTextOption(option)

    def _on_copy(self) -> None:
        self.action.emit("copy_code", self._value)
        if self.look.icons is not None:
            self.look.icons.bind(self.copy, "check")
            QTimer.singleShot(_COPIED_MS, self.copy, self._on_copied_over)

    def _on_copied_over(self) -> None:
        if self.look.icons is not None:
            self.look.icons.bind(self.copy, "copy")

    def _on_save(self) -> None:
        self.action.emit("save_code", self._value)
