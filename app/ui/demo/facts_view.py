"""What just happened: headings with plain sentences, readable from the last row."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.ui.demo.values import Fact
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint


class FactsView(QScrollArea):
    """Shows facts; foreign text stays plain."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._facts: tuple[Fact, ...] = ()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("What just happened"))
        make_slim(self)
        theme.changed.connect(lambda: self.show_facts(self._facts))

    @property
    def text(self) -> str:
        """All of it, as it is read."""
        return "\n".join(line for fact in self._facts for line in (fact.heading, *fact.lines))

    def show_facts(self, facts: Sequence[Fact]) -> None:
        """Other facts; the old ones go."""
        self._facts = tuple(facts)
        inner = QWidget()
        inner.setBackgroundRole(QPalette.ColorRole.Window)
        column = QVBoxLayout(inner)
        column.setContentsMargins(22, 18, 22, 22)
        column.setSpacing(4)
        title = self._theme.text_font(1.2)
        title.setWeight(title.Weight.DemiBold)
        column.addWidget(self._label(self.tr("What just happened"), title, inner))
        heading = self._theme.small_font()
        heading.setBold(True)
        for fact in self._facts:
            column.addSpacing(10)
            head = self._label(fact.heading, heading, inner)
            tint(head, self._theme.colors.muted)
            column.addWidget(head)
            for line in fact.lines:
                label = self._label(line, self._theme.text_font(0.97), inner)
                if fact.is_warning:
                    tint(label, self._theme.colors.warning)
                column.addWidget(label)
        column.addStretch(1)
        self.setWidget(inner)

    def _label(self, text: str, font: QFont, parent: QWidget) -> QLabel:
        label = QLabel(text, parent)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setFont(font)
        return label
