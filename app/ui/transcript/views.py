"""Which view draws which cell."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    FilesCell,
    FooterCell,
    NoticeCell,
    ProgressCell,
    ProseCell,
    RoomCell,
    TableCell,
    ThinkingCell,
    UserCell,
)
from app.ui.transcript.code_view import CodeView
from app.ui.transcript.look import Look
from app.ui.transcript.prose_view import ProseView
from app.ui.transcript.room_view import RoomView
from app.ui.transcript.small_views import FilesView, FooterView, NoticeView, ProgressView
from app.ui.transcript.table_view import TableView
from app.ui.transcript.thinking_view import ThinkingView
from app.ui.transcript.user_view import UserView

_VIEWS: dict[type, type[CellView]] = {
    ProseCell: ProseView,
    TableCell: TableView,
    CodeCell: CodeView,
    UserCell: UserView,
    FilesCell: FilesView,
    ThinkingCell: ThinkingView,
    ProgressCell: ProgressView,
    NoticeCell: NoticeView,
    RoomCell: RoomView,
    FooterCell: FooterView,
}


def make_view(cell: Cell, look: Look, parent: QWidget) -> CellView:
    """An empty view for a cell of this type."""
    return _VIEWS[type(cell)](look, parent)
