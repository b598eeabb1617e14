"""Where a message is written: text, attachments, the model's name, context, Send and Stop."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QFocusEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.core.messages import AttachmentPart
from app.ui.attachments import BIG_PASTE_CHARS, AttachmentRow, paste_name, read_text_file
from app.ui.buttons import FlatButton, icon_button
from app.ui.composer_text import ComposerText
from app.ui.context_gauge import ContextGauge
from app.ui.icons import Icons
from app.ui.theme import Theme, mix, tint

_SIDE_MARGIN = 24


class Composer(QWidget):
    """Emits `submitted` with what was written; keeps what cannot be sent."""

    submitted = Signal(str, tuple)  # text, attachments
    stop_requested = Signal()
    edited = Signal(str)  # for drafts and token counts
    attach_requested = Signal()
    model_requested = Signal()
    tune_requested = Signal()
    context_requested = Signal()
    problem = Signal(str)  # a sentence about a file that cannot be attached

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._running = False
        self._history: list[str] = []
        self._recalled = 0
        self.editing: int | None = None  # the question that will be asked anew
        self._setup_ui()
        self._restyle()
        theme.changed.connect(self._restyle)

    def _setup_ui(self) -> None:
        self.setAcceptDrops(True)
        self._box = _Box(self._theme, self)
        self.text = ComposerText(self._box)
        self.text.setPlaceholderText(self.tr("Write a message"))
        self.text.setAccessibleName(self.tr("Message"))
        self.text.submitted.connect(self._on_submit)
        self.text.textChanged.connect(self._on_text_changed)
        self.text.pasted.connect(self._on_pasted)
        self.text.history_wanted.connect(self._on_history)
        self.text.setAcceptDrops(False)
        self.files = AttachmentRow(self._icons, self._box)
        self.files.changed.connect(self._on_text_changed)
        self.attach = icon_button(
            self._icons, "attach", self.tr("Attach files"), self._box, size=17
        )
        self.attach.clicked.connect(self.attach_requested)
        self.tune = icon_button(
            self._icons,
            "tune",
            self.tr("Instructions and sampling of this chat"),
            self._box,
            size=17,
        )
        self.tune.clicked.connect(self.tune_requested)
        self.model = FlatButton(self.tr("No model"), self._box)
        self._icons.bind(self.model, "model")
        self.model.setToolTip(self.tr("Choose the model"))
        self.model.clicked.connect(self.model_requested)
        self.tokens = QLabel(self._box)
        self.tokens.setTextFormat(Qt.TextFormat.PlainText)
        self.gauge = ContextGauge(self._theme, self._box)
        self.gauge.clicked.connect(self.context_requested)
        self.send = icon_button(
            self._icons, "send", self.tr("Send"), self._box, size=18, kind="filled"
        )
        self.send.set_round()
        self.send.clicked.connect(self._on_send_clicked)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.attach)
        row.addWidget(self.tune)
        row.addWidget(self.model)
        row.addStretch(1)
        row.addWidget(self.tokens)
        row.addSpacing(8)
        row.addWidget(self.gauge)
        row.addSpacing(8)
        row.addWidget(self.send)
        self._edit_note = FlatButton(
            self.tr("Editing an earlier question — Esc to leave"), self._box
        )
        self._icons.bind(self._edit_note, "close")
        self._edit_note.setToolTip(self.tr("Leave the question as it was"))
        self._edit_note.clicked.connect(self.end_edit)
        self._edit_note.hide()
        inner = QVBoxLayout(self._box)
        inner.setContentsMargins(12, 8, 8, 8)
        inner.setSpacing(6)
        inner.addWidget(self._edit_note, 0, Qt.AlignmentFlag.AlignLeft)
        inner.addWidget(self.files)
        inner.addWidget(self.text)
        inner.addLayout(row)
        self._outer = QHBoxLayout(self)
        self._outer.setContentsMargins(_SIDE_MARGIN, 0, _SIDE_MARGIN, 14)
        self._outer.addStretch(1)
        self._outer.addWidget(self._box, 1000)
        self._outer.addStretch(1)
        self.setFocusProxy(self.text)

    # -- values in --------------------------------------------------------------------------

    def set_running(self, on: bool) -> None:
        """While an answer runs Send becomes Stop; typing and queueing stay possible."""
        self._running = on
        self._show_button()

    def set_model(self, name: str, tip: str = "") -> None:
        """The model's name, with its state where that is not plain ready."""
        self.model.setText(name)
        self.model.setAccessibleName(self.tr("Model: {name}").format(name=name))
        self.model.setToolTip(tip or self.tr("Choose the model"))
        self.model.updateGeometry()

    def set_tokens(self, words: str) -> None:
        """How much will be sent, or how fast the answer comes."""
        self.tokens.setText(words)

    def set_enter_sends(self, on: bool) -> None:
        """Whether Enter sends; otherwise Ctrl+Enter does."""
        self.text.enter_sends = on

    def set_text(self, text: str) -> None:
        """Replaces what is written and puts the cursor behind it."""
        self.text.setPlainText(text)
        cursor = self.text.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        self.text.setTextCursor(cursor)

    def replace(self, start: int, end: int, text: str) -> None:
        """Puts `text` in place of the characters from `start` to `end`."""
        cursor = self.text.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(end, cursor.MoveMode.KeepAnchor)
        cursor.insertText(text)
        self.text.setTextCursor(cursor)
        self.text.setFocus()

    def set_history(self, sent: list[str]) -> None:
        """What was said in this chat before, oldest first, for the Up key."""
        self._history = sent
        self._recalled = len(sent)

    def add_files(self, paths: list[Path]) -> None:
        """Attaches text files; says which cannot be."""
        for path in paths:
            part, problem = read_text_file(path)
            if part is not None:
                self.files.add(part)
            else:
                self.problem.emit(problem)

    def begin_edit(self, message_id: int, text: str) -> None:
        """What is sent next replaces that question; the earlier version stays as a sibling."""
        self.editing = message_id
        self._edit_note.show()
        self.set_text(text)
        self.text.setFocus()

    def end_edit(self) -> None:
        """Back to writing something new."""
        if self.editing is not None:
            self.editing = None
            self._edit_note.hide()
            self.set_text("")

    @property
    def current_text(self) -> str:
        return self.text.toPlainText()

    def clear(self) -> None:
        """Empties text and attachments."""
        self.text.clear()
        self.files.clear()

    # -- events -----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() or event.mimeData().hasText():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self._on_pasted(event.mimeData())
        event.acceptProposedAction()

    def _on_pasted(self, data: QMimeData) -> None:
        paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
        if paths:
            self.add_files(paths)
            return
        text = data.text()
        if len(text) > BIG_PASTE_CHARS:
            self.files.add(AttachmentPart(paste_name(self.files.parts), "text/plain", text))
        else:
            self.text.insertPlainText(text)

    def _on_text_changed(self) -> None:
        self._show_button()
        self.edited.emit(self.current_text)

    def _on_history(self, step: int) -> None:
        text = self.current_text
        inside = self._recalled < len(self._history) and text == self._history[self._recalled]
        if not self._history or (text and not inside):
            return
        at = min(max(self._recalled + step, 0), len(self._history))
        self._recalled = at
        self.set_text(self._history[at] if at < len(self._history) else "")

    def _on_send_clicked(self) -> None:
        if self._running and not self._has_content():
            self.stop_requested.emit()
        else:
            self._on_submit()

    def _on_submit(self) -> None:
        if self._has_content():
            self.submitted.emit(self.current_text.strip(), self.files.parts)

    def _has_content(self) -> bool:
        return bool(self.current_text.strip() or self.files.parts)

    def _show_button(self) -> None:
        stop = self._running and not self._has_content()
        self._icons.bind(self.send, "stop" if stop else "send", on_accent=True)
        words = self.tr("Stop (Esc)") if stop else self.tr("Send (Enter)")
        if self._running and not stop:
            words = self.tr("Send when the answer is finished (Enter)")
        self.send.setToolTip(words)
        self.send.setAccessibleName(words)
        self.send.setEnabled(stop or self._has_content())

    def _restyle(self) -> None:
        self.text.setFont(self._theme.text_font())
        small = self._theme.small_font()
        for widget in (self.model, self.tokens, self._edit_note):
            widget.setFont(small)
        tint(self.model, self._theme.colors.muted)
        tint(self.tokens, self._theme.colors.muted)
        icon = max(17, round(self._theme.em() * 0.9))  # they grow with the text
        for button in (self.attach, self.tune, self.model, self.send):
            button.setIconSize(QSize(icon, icon))
            button.updateGeometry()
        self._box.setMaximumWidth(self._theme.column_width() + 24)
        self._show_button()


class _Box(QWidget):
    """The rounded frame; its edge takes the accent while someone types."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = any(child.hasFocus() for child in self.findChildren(ComposerText))
        edge = (
            mix(colors.border, colors.accent, 0.75)
            if focused
            else mix(colors.border, colors.text, 0.1)
        )
        painter.setPen(edge)
        painter.setBrush(mix(colors.base, colors.text, 0.035) if colors.is_dark else colors.base)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 14, 14)
        painter.end()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()
