"""The hardware page: memory as bars, the loaded model as planned and as it is, the machine."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPalette, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui.buttons import FlatButton
from app.ui.hardware.values import Compared, Fact, HardwareView, LoadedModel
from app.ui.icons import Icons
from app.ui.models.memory_bar import MemoryBar
from app.ui.models.values import MemoryPicture
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint


class HardwarePage(QWidget):
    """Draws one HardwareView."""

    refresh_wanted = Signal()
    copy_wanted = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._bars: list[MemoryBar] = []
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self._body = QWidget(self)
        self._body.setBackgroundRole(QPalette.ColorRole.Base)
        self._title = QLabel(self.tr("Hardware"), self._body)
        self._headings = {
            name: QLabel(words, self._body)
            for name, words in (
                ("memory", self.tr("How memory is used")),
                ("model", self.tr("The loaded model")),
                ("machine", self.tr("This computer")),
            )
        }
        self.sentence = self._label()
        self.notices = self._label()
        self.model = self._label()
        self.note = self._label()
        self.again = FlatButton(self.tr("Look again"), self._body, "outlined")
        icons.bind(self.again, "refresh")
        self.again.setToolTip(self.tr("Measures what is free now"))
        self.again.clicked.connect(self.refresh_wanted)
        self.copy = FlatButton(self.tr("Copy"), self._body, "outlined")
        icons.bind(self.copy, "copy")
        self.copy.setToolTip(self.tr("This page as text, for a bug report: no names, no paths"))
        self.copy.clicked.connect(self.copy_wanted)
        self.copy.setEnabled(False)
        self._compared, self.compared = self._grid()
        self._facts, self.facts = self._grid()
        self._lay_out()
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_view(self, view: HardwareView) -> None:
        """The machine as it is now."""
        self.sentence.setText(view.sentence)
        self.notices.setText("\n".join(view.notices))
        self.notices.setVisible(bool(view.notices))
        self._show_bars(view.pictures)
        self._show_model(view.model)
        _clear(self._facts)
        for row, fact in enumerate(view.facts):
            self._add_fact(row, fact)
        self.copy.setEnabled(True)
        self._restyle()

    def sizeHint(self) -> QSize:
        return QSize(820, 640)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh_wanted.emit()

    def _show_bars(self, pictures: Sequence[MemoryPicture]) -> None:
        while len(self._bars) < len(pictures):
            bar = MemoryBar(self._theme, self._body)
            self._bars.append(bar)
            self._bar_column.addWidget(bar)
        for index, bar in enumerate(self._bars):
            bar.setVisible(index < len(pictures))
            if index < len(pictures):
                bar.show_picture(pictures[index])

    def _show_model(self, model: LoadedModel | None) -> None:
        _clear(self._compared)
        rows = model.rows if model is not None else ()
        self.compared.setVisible(bool(rows))
        self.note.setVisible(bool(model is not None and model.note))
        if model is None:
            self.model.setText(self.tr("No model is loaded. What it takes will be shown here."))
            return
        self.model.setText(f"{model.title}: {model.words}" if model.words else model.title)
        self.note.setText(model.note)
        for column, words in enumerate(("", self.tr("Planned"), self.tr("Reported")), start=0):
            head = self._cell(words, muted=True, right=column > 0)
            if column == 2:
                head.setToolTip(self.tr("What llama.cpp says it has taken"))
            self._compared.addWidget(head, 0, column)
        for row, one in enumerate(rows, start=1):
            self._add_compared(row, one, is_sum=one is rows[-1])

    def _add_compared(self, row: int, one: Compared, *, is_sum: bool) -> None:
        name = self._cell(one.name, muted=not is_sum)
        name.setToolTip(one.tip)
        planned = self._cell(_size(one.planned_bytes), right=True)
        reported = self._cell(_size(one.reported_bytes), right=True)
        for column, label in enumerate((name, planned, reported)):
            if is_sum:
                font = label.font()
                font.setWeight(font.Weight.DemiBold)
                label.setFont(font)
            self._compared.addWidget(label, row, column)

    def _add_fact(self, row: int, fact: Fact) -> None:
        name = self._cell(fact.name, muted=True)
        value = self._cell(fact.value)
        value.setWordWrap(True)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for label in (name, value):
            label.setToolTip(fact.tip)
        value.setAccessibleName(f"{fact.name}: {fact.value}")
        value.setAccessibleDescription(fact.tip)
        self._facts.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
        self._facts.addWidget(value, row, 1)

    def _cell(self, words: str, *, muted: bool = False, right: bool = False) -> QLabel:
        label = QLabel(words, self._body)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(self._theme.text_font())
        label.setProperty("muted", muted)
        tint(label, self._theme.colors.muted if muted else self._theme.colors.text)
        if right:
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return label

    def _label(self) -> QLabel:
        label = QLabel(self._body)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        return label

    def _grid(self) -> tuple[QGridLayout, QWidget]:
        holder = QWidget(self._body)
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(28)
        grid.setVerticalSpacing(7)
        return grid, holder

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._title, 1)
        head.addWidget(self.again)
        head.addWidget(self.copy)
        self._bar_column = QVBoxLayout()
        self._bar_column.setSpacing(14)
        column = QVBoxLayout(self._body)
        column.setContentsMargins(28, 22, 28, 28)
        column.setSpacing(12)
        column.addLayout(head)
        column.addWidget(self.sentence)
        column.addWidget(self.notices)
        column.addSpacing(10)
        column.addWidget(self._headings["memory"])
        column.addLayout(self._bar_column)
        column.addSpacing(14)
        column.addWidget(self._headings["model"])
        column.addWidget(self.model)
        column.addWidget(self.compared)
        column.addWidget(self.note)
        column.addSpacing(14)
        column.addWidget(self._headings["machine"])
        column.addWidget(self.facts)
        column.addStretch(1)
        self._compared.setColumnStretch(3, 1)
        self._facts.setColumnStretch(1, 1)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        area.setWidget(self._body)
        make_slim(area)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)

    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.colors
        self._title.setFont(theme.text_font(1.45))
        heading = theme.text_font(1.1)
        heading.setWeight(heading.Weight.DemiBold)
        for label in self._headings.values():
            label.setFont(heading)
        for label in (self.sentence, self.model, self.note):
            label.setFont(theme.text_font())
            tint(label, colors.muted)
        self.notices.setFont(theme.text_font())
        tint(self.notices, colors.text)
        em = theme.em()
        self._facts.setColumnMinimumWidth(0, round(em * 8))
        self._compared.setColumnMinimumWidth(0, round(em * 8))
        for column in (1, 2):
            self._compared.setColumnMinimumWidth(column, round(em * 6))
        for grid in (self._compared, self._facts):
            for cell in _cells(grid):
                tint(cell, colors.muted if cell.property("muted") else colors.text)
        self._body.setMaximumWidth(theme.column_width() + 220)


def _cells(grid: QGridLayout) -> list[QWidget]:
    items = (grid.itemAt(index) for index in range(grid.count()))
    widgets = (item.widget() for item in items if item is not None)
    return [widget for widget in widgets if widget is not None]


def _clear(grid: QGridLayout) -> None:
    for cell in _cells(grid):
        grid.removeWidget(cell)
        cell.hide()
        cell.deleteLater()


def _size(size_bytes: int) -> str:
    mib = size_bytes / (1 << 20)
    return f"{mib / 1024:,.2f} GB" if mib >= 1024 else f"{mib:,.0f} MB"
