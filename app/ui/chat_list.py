"""The chats in the sidebar as a Qt model: rows with quiet headings between them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

ID_ROLE = Qt.ItemDataRole.UserRole
ROW_ROLE = Qt.ItemDataRole.UserRole + 1
_ROOT = QModelIndex()


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One line of the sidebar: a chat, a search hit in one, or (chat_id None) a heading."""

    title: str
    chat_id: int | None = None
    message_id: int | None = None
    snippet: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    is_busy: bool = False
    is_pinned: bool = False
    folder_id: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatEntry:
    """A chat as storage lists it."""

    chat_id: int
    title: str
    updated_at: float
    is_pinned: bool = False
    folder_id: int | None = None
    tags: tuple[str, ...] = ()


def day_name(when: float, now: float) -> str:
    """Today, Yesterday, This week, a month, or a year."""
    then, today = _date(when), _date(now)
    days = (today - then).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days < 7:
        return "This week"
    if days < 31:
        return "This month"
    return then.strftime("%B %Y") if then.year == today.year else str(then.year)


def _date(when: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(when).astimezone().date()


def rows_of(entries: Sequence[ChatEntry], now: float, busy: frozenset[int]) -> list[ChatRow]:
    """Rows in the order given, with a heading where the day changes."""
    rows: list[ChatRow] = []
    heading = ""
    for entry in entries:
        name = "Pinned" if entry.is_pinned else day_name(entry.updated_at, now)
        if name != heading:
            heading = name
            rows.append(ChatRow(name))
        rows.append(
            ChatRow(
                entry.title or "New chat",
                entry.chat_id,
                is_busy=entry.chat_id in busy,
                is_pinned=entry.is_pinned,
                folder_id=entry.folder_id,
                tags=entry.tags,
            )
        )
    return rows


class ChatListModel(QAbstractListModel):
    """Holds the rows; headings cannot be selected."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[ChatRow] = []

    def set_rows(self, rows: list[ChatRow]) -> None:
        """Replaces the list, quietly where only texts changed."""
        old, new = ([row.chat_id for row in one] for one in (self._rows, rows))
        if old and new[: len(old)] == old:
            if len(new) > len(old):
                self.beginInsertRows(QModelIndex(), len(old), len(new) - 1)
                self._rows = rows
                self.endInsertRows()
            self._rows = rows
            self.dataChanged.emit(self.index(0), self.index(len(old) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row(self, index: int) -> ChatRow:
        return self._rows[index]

    def index_of(self, chat_id: int | None) -> QModelIndex:
        """The first row of a chat; an invalid index when it is not listed."""
        for at, row in enumerate(self._rows):
            if chat_id is not None and row.chat_id == chat_id:
                return self.index(at)
        return QModelIndex()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def data(
        self,
        index: QModelIndex | QPersistentModelIndex,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> object:
        row = self._rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.title
        if role == Qt.ItemDataRole.ToolTipRole and row.chat_id is not None:
            return "\n".join([row.title, " ".join(f"#{tag}" for tag in row.tags)]).strip()
        if role == ID_ROLE:
            return row.chat_id
        return row if role == ROW_ROLE else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        if not index.isValid() or self._rows[index.row()].chat_id is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
