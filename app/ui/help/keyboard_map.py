"""Every command with its keys, found by typing and run with Enter."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHeaderView,
    QLineEdit,
    QMenu,
    QMenuBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme

_ACTION = Qt.ItemDataRole.UserRole


class KeyboardMap(QDialog):
    """Made from the menus as they are at this moment, keys in this system's own signs."""

    def __init__(self, bar: QMenuBar, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard map"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.field = QLineEdit(self)
        self.field.setPlaceholderText(self.tr("Find a command; Enter runs it"))
        self.field.setAccessibleName(self.tr("Find a command"))
        self.field.setClearButtonEnabled(True)
        self.tree = QTreeWidget(self)
        self.tree.setColumnCount(2)
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setItemsExpandable(False)
        self.tree.setIndentation(12)
        self.tree.setFrameShape(QFrame.Shape.NoFrame)
        self.tree.setAccessibleName(self.tr("Commands"))
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        make_slim(self.tree)
        self._actions: list[QAction] = []
        self._fill(bar, theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 14)
        column.addWidget(self.field)
        column.addWidget(self.tree)
        self.field.textChanged.connect(self._filter)
        self.tree.itemActivated.connect(self._on_activated)
        self._filter("")
        em = theme.em()
        self.resize(round(em * 30), round(em * 34))
        self.field.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Down, Qt.Key.Key_Up) and self.field.hasFocus():
            self._step(1 if key == Qt.Key.Key_Down else -1)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            item = self.tree.currentItem()
            if item is not None:
                self._on_activated(item)
        else:
            super().keyPressEvent(event)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(command, keys) of the rows in sight."""
        return [(item.text(0), item.text(1)) for item in self._items() if not item.isHidden()]

    def _fill(self, bar: QMenuBar, theme: Theme) -> None:
        form = QKeySequence.SequenceFormat.NativeText
        for menu in bar.actions():
            head = QTreeWidgetItem(self.tree, [menu.text().replace("&", "")])
            head.setFlags(Qt.ItemFlag.ItemIsEnabled)
            font = theme.small_font()
            font.setBold(True)
            head.setFont(0, font)
            head.setForeground(0, theme.colors.muted)
            inner = menu.menu()
            for action in inner.actions() if isinstance(inner, QMenu) else ():
                if action.isSeparator() or not action.isVisible():
                    continue
                keys = ",  ".join(key.toString(form) for key in action.shortcuts())
                item = QTreeWidgetItem(head, [action.text().rstrip("…").replace("&", ""), keys])
                item.setDisabled(not action.isEnabled())
                item.setData(0, _ACTION, len(self._actions))
                self._actions.append(action)
        self.tree.expandAll()

    def _heads(self) -> list[QTreeWidgetItem]:
        heads = [self.tree.topLevelItem(row) for row in range(self.tree.topLevelItemCount())]
        return [head for head in heads if head is not None]

    def _items(self) -> list[QTreeWidgetItem]:
        return [item for head in self._heads() for item in _children(head)]

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        first: QTreeWidgetItem | None = None
        for head in self._heads():
            shown = 0
            for item in _children(head):
                line = f"{head.text(0)} {item.text(0)} {item.text(1)}".casefold()
                hit = all(word in line for word in words)
                item.setHidden(not hit)
                shown += hit
                if hit and first is None and not item.isDisabled():
                    first = item
            head.setHidden(not shown)
        if words and first is not None:
            self.tree.setCurrentItem(first)
        else:
            self.tree.clearSelection()

    def _step(self, by: int) -> None:
        rows = [item for item in self._items() if not item.isHidden() and not item.isDisabled()]
        here = self.tree.currentItem()
        place = rows.index(here) + by if here in rows else 0
        if 0 <= place < len(rows):
            self.tree.setCurrentItem(rows[place])

    def _on_activated(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        number = item.data(0, _ACTION)
        if number is not None and self._actions[number].isEnabled():
            self.accept()
            self._actions[number].trigger()


def _children(head: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    children = [head.child(number) for number in range(head.childCount())]
    return [child for child in children if child is not None]
