"""Small windows that close when one looks elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget


class Popover(QFrame):
    """A framed popup kept on the screen."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def show_at(self, where: QPoint) -> None:
        """Above `where` if there is room, else below."""
        self.adjustSize()
        screen = QGuiApplication.screenAt(where) or QGuiApplication.primaryScreen()
        area = screen.availableGeometry()
        top = where.y() - self.height() - 8
        if top < area.top():
            top = where.y() + 16
        left = min(max(where.x() - self.width() // 2, area.left()), area.right() - self.width())
        self.move(left, top)
        self.show()


class DetailsPopover(Popover):
    """Names and values of an answer."""

    def __init__(self, rows: tuple[tuple[str, str], ...], parent: QWidget) -> None:
        super().__init__(parent)
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(6)
        for at, (name, value) in enumerate(rows):
            title, content = QLabel(name, self), QLabel(value, self)
            for label in (title, content):
                label.setTextFormat(Qt.TextFormat.PlainText)
            title.setEnabled(False)
            content.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(title, at, 0)
            grid.addWidget(content, at, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.addLayout(grid)
