"""A page with a list beside its text: at the left, or above where the window is narrow."""

from __future__ import annotations

from PySide6.QtWidgets import QBoxLayout, QLineEdit, QListWidget, QWidget

from app.ui.theme import Theme

_LIST_EM = 14
_ROOM_EM = 36
_ROWS_ABOVE = 4


def fit_list_beside(
    page: QWidget, layout: QBoxLayout, chooser: QListWidget, search: QLineEdit, theme: Theme
) -> None:
    """Puts the list where there is room for it; called when width or text size have changed."""
    em = theme.em()
    narrow = page.width() < em * _ROOM_EM
    if narrow:
        layout.setDirection(QBoxLayout.Direction.TopToBottom)
        for widget in (chooser, search):
            widget.setMinimumWidth(0)
            widget.setMaximumWidth(page.maximumWidth())
        each = max(chooser.sizeHintForRow(0), round(em * 1.5))
        chooser.setFixedHeight(each * _ROWS_ABOVE)
        return
    layout.setDirection(QBoxLayout.Direction.LeftToRight)
    for widget in (chooser, search):
        widget.setFixedWidth(round(em * _LIST_EM))
    chooser.setMinimumHeight(0)
    chooser.setMaximumHeight(page.maximumHeight())
