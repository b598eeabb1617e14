"""The round button that leads back to the end of the conversation."""

from __future__ import annotations

from PySide6.QtWidgets import QAbstractScrollArea

from app.ui.buttons import FlatButton
from app.ui.icons import Icons

_MARGIN = 12


class ToEndButton(FlatButton):
    """Hovers over the lower edge of its scroll area."""

    def __init__(self, icons: Icons | None, area: QAbstractScrollArea) -> None:
        super().__init__("", area, "filled")
        self._area = area
        self.set_round()
        if icons is not None:
            icons.bind(self, "arrow-down", on_accent=True)
        self.setToolTip(self.tr("To the end of the conversation"))
        self.setAccessibleName(self.toolTip())
        self.hide()

    def place(self, *, is_following: bool, is_streaming: bool) -> None:
        """Shows itself to whoever is away from the end; with a word while more comes in."""
        bar = self._area.verticalScrollBar()
        viewport = self._area.viewport()
        away = bar.maximum() - bar.value()
        shown = not is_following and (is_streaming or away > viewport.height() // 2)
        self.setVisible(shown)
        if not shown:
            return
        self.setText(self.tr("New") if is_streaming else "")
        hint = self.sizeHint()
        left = (viewport.width() - hint.width()) // 2
        top = self._area.height() - hint.height() - _MARGIN
        self.setGeometry(left, top, hint.width(), hint.height())
        self.raise_()
