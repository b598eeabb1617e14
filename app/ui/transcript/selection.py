"""Marking text with the mouse across cells, as if the conversation were one document."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QMouseEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QScrollBar, QTextEdit, QWidget

from app.ui.transcript.cell_view import CellView
from app.ui.transcript.finder import editor_of

Editor = QTextEdit | QPlainTextEdit
_EDGE = 24


class Area(Protocol):
    """What is needed of the transcript."""

    def views(self) -> list[tuple[int, CellView]]: ...

    def viewport(self) -> QWidget: ...

    def verticalScrollBar(self) -> QScrollBar: ...


class SelectionKeeper(QObject):
    """Watches the editors of the living views; inside one cell Qt's own marking goes on."""

    def __init__(self, area: Area, parent: QObject) -> None:
        super().__init__(parent)
        self._area = area
        self._origin: Editor | None = None

    def watch(self, view: CellView) -> None:
        """A view has come to life."""
        editor = editor_of(view)
        if editor is not None:
            editor.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QMouseEvent):
            return False
        if event.type() == QEvent.Type.MouseButtonPress and self._is_left(event):
            self._origin = self._editor_with(watched)
            self._clear_others(self._origin)
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._origin = None
        elif event.type() == QEvent.Type.MouseMove and self._origin is not None:
            return self._drag(event.globalPosition().toPoint())
        return False

    def _is_left(self, event: QMouseEvent) -> bool:
        return event.button() == Qt.MouseButton.LeftButton

    def _editors(self) -> list[Editor]:
        found = [editor_of(view) for _owner, view in self._area.views() if view.isVisible()]
        return [editor for editor in found if editor is not None and editor.isVisible()]

    def _editor_with(self, viewport: QObject) -> Editor | None:
        return next((e for e in self._editors() if e.viewport() is viewport), None)

    def _clear_others(self, kept: Editor | None) -> None:
        for editor in self._editors():
            cursor = editor.textCursor()
            if editor is not kept and cursor.hasSelection():
                cursor.clearSelection()
                editor.setTextCursor(cursor)

    def _drag(self, where: QPoint) -> bool:
        """Whether the mouse has left the cell it started in."""
        self._scroll_near_edges(where)
        editors = self._editors()
        origin = self._origin
        if origin is None or origin not in editors:
            return False
        target = self._nearest(editors, where)
        if target is origin:
            self._clear_others(origin)
            return False
        start, end = editors.index(origin), editors.index(target)
        down = end > start
        low, high = min(start, end), max(start, end)
        for index, editor in enumerate(editors):
            cursor = editor.textCursor()
            if editor is origin:
                _stretch(cursor, down)
            elif editor is target:
                here = editor.cursorForPosition(editor.viewport().mapFromGlobal(where))
                cursor.movePosition(_start_or_end(not down))
                cursor.setPosition(here.position(), QTextCursor.MoveMode.KeepAnchor)
            elif low < index < high:
                cursor.select(QTextCursor.SelectionType.Document)
            elif cursor.hasSelection():
                cursor.clearSelection()
            else:
                continue
            editor.setTextCursor(cursor)
        return True

    def _nearest(self, editors: list[Editor], where: QPoint) -> Editor:
        def distance(editor: Editor) -> int:
            at = editor.mapFromGlobal(where).y()
            return max(-at, at - editor.height(), 0)

        return min(editors, key=distance)

    def _scroll_near_edges(self, where: QPoint) -> None:
        y = self._area.viewport().mapFromGlobal(where).y()
        bar = self._area.verticalScrollBar()
        if y < _EDGE:
            bar.setValue(bar.value() - bar.singleStep())
        elif y > self._area.viewport().height() - _EDGE:
            bar.setValue(bar.value() + bar.singleStep())


def _start_or_end(end: bool) -> QTextCursor.MoveOperation:
    return QTextCursor.MoveOperation.End if end else QTextCursor.MoveOperation.Start


def _stretch(cursor: QTextCursor, down: bool) -> None:
    """From where the mouse went down to the end, or to the start, of the cell."""
    anchor = cursor.anchor()
    cursor.setPosition(anchor)
    cursor.movePosition(_start_or_end(down), QTextCursor.MoveMode.KeepAnchor)
