"""One model as a row: what it is, whether it fits, how big, how fast, and its buttons."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSizePolicy, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton, icon_button
from app.ui.icons import Icons
from app.ui.models.memory_bar import MemoryBar
from app.ui.models.values import VERDICT_HELP, VERDICT_WORDS, ModelRow
from app.ui.theme import Theme, mix, tint


class Pill(QWidget):
    """A short word on a round ground."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._text = ""
        self._role = "quiet"
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_text(self, text: str, role: str) -> None:
        self._text, self._role = text, role
        self.setVisible(bool(text))
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 14, metrics.height() + 3)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        ink = {"good": colors.accent, "warning": colors.warning}.get(self._role, colors.muted)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(colors.base, ink, 0.13))
        area = QRectF(self.rect())
        painter.drawRoundedRect(area, area.height() / 2, area.height() / 2)
        painter.setPen(ink)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)
        painter.end()


class ThinBar(QWidget):
    """How far something is: a quiet line."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._fraction = 0.0
        self.setFixedHeight(12)

    def set_fraction(self, fraction: float) -> None:
        self._fraction = min(1.0, max(0.0, fraction))
        self.setAccessibleName(f"{self._fraction:.0%}")
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        line = QRectF(0, 4, self.width(), 4)
        painter.setBrush(mix(colors.base, colors.text, 0.1))
        painter.drawRoundedRect(line, 2, 2)
        line.setWidth(max(4.0, line.width() * self._fraction))
        painter.setBrush(colors.accent)
        painter.drawRoundedRect(line, 2, 2)
        painter.end()


class ModelRowView(QWidget):
    """Shows one ModelRow; `verb_chosen` carries the verb and the row's key."""

    verb_chosen = Signal(str, str)

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._row = ModelRow("", "")
        self._title = _plain(self)
        self._label = Pill(theme, self)
        self._verdict = Pill(theme, self)
        self._summary = _plain(self)
        self._facts = _plain(self)
        self._picture: MemoryBar | None = None
        self._bar = ThinBar(theme, self)
        self._progress = _plain(self)
        self._error = _plain(self)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._title)
        head.addWidget(self._label)
        head.addWidget(self._verdict)
        head.addStretch(1)
        column = self._column = QVBoxLayout()
        column.setSpacing(3)
        column.addLayout(head)
        for widget in (self._summary, self._facts, self._bar, self._progress, self._error):
            column.addWidget(widget)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(6)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 12, 12, 12)
        row.setSpacing(16)
        row.addLayout(column, 1)
        row.addLayout(self._buttons)
        row.setAlignment(self._buttons, Qt.AlignmentFlag.AlignTop)
        theme.changed.connect(self._restyle)
        self._restyle()

    @property
    def row(self) -> ModelRow:
        return self._row

    def show_row(self, row: ModelRow) -> None:
        """Other values; the buttons are made anew only when they differ."""
        if (row.verbs, row.more) != (self._row.verbs, self._row.more):
            self._make_buttons(row)
        self._row = row
        self.setAccessibleName(row.title)
        self._title.setText(row.title)
        self._label.set_text(row.label, "good")
        role = {"fits": "good", "tight": "quiet", "too big": "warning"}.get(row.verdict, "quiet")
        self._verdict.set_text(VERDICT_WORDS[row.verdict], role)
        self._verdict.setToolTip(VERDICT_HELP[row.verdict])
        self._set(self._summary, row.summary)
        self._set(self._facts, "  ·  ".join(row.facts))
        self._show_picture(row)
        self._bar.setVisible(row.fraction is not None)
        self._bar.set_fraction(row.fraction or 0.0)
        self._set(self._progress, row.progress)
        self._set(self._error, row.error)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colors.border)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 9, 9)
        painter.end()

    def _make_buttons(self, row: ModelRow) -> None:
        while (item := self._buttons.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for verb in row.verbs:
            button = FlatButton(verb.title, self, "filled" if verb.is_main else "outlined")
            button.setAccessibleName(f"{verb.title}: {row.title}")
            button.setToolTip(verb.tip)
            button.clicked.connect(
                lambda _on=False, name=verb.name: self.verb_chosen.emit(name, self._row.key)
            )
            self._buttons.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        if row.more:
            more = icon_button(self._icons, "more", self.tr("More"), self)
            more.setAccessibleName(self.tr("More for {}").format(row.title))
            more.clicked.connect(lambda: self._open_menu(more))
            self._buttons.addWidget(more, 0, Qt.AlignmentFlag.AlignTop)

    def _open_menu(self, button: FlatButton) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for verb in self._row.more:
            action = menu.addAction(verb.title)
            action.setToolTip(verb.tip)
            action.triggered.connect(
                lambda _on=False, name=verb.name: self.verb_chosen.emit(name, self._row.key)
            )
        place = button.mapToGlobal(QPoint(button.width() - menu.sizeHint().width(), 0))
        menu.popup(QPoint(place.x(), place.y() + button.height() + 2))

    def _show_picture(self, row: ModelRow) -> None:
        if row.picture is None:
            if self._picture is not None:
                self._picture.hide()
            return
        if self._picture is None:
            self._picture = MemoryBar(self._theme, self)
            self._column.insertSpacing(3, 6)
            self._column.insertWidget(4, self._picture)
        self._picture.show()
        self._picture.show_picture(row.picture)

    def _set(self, label: QLabel, text: str) -> None:
        label.setText(text)
        label.setVisible(bool(text))

    def _restyle(self) -> None:
        colors, small = self._theme.colors, self._theme.small_font()
        title = self._theme.text_font()
        title.setBold(True)
        self._title.setFont(title)
        self._title.setWordWrap(False)
        for widget in (self._facts, self._progress, self._error, self._label, self._verdict):
            widget.setFont(small)
        tint(self._summary, colors.text)
        for label in (self._facts, self._progress):
            tint(label, colors.muted)
        tint(self._error, colors.warning)
        self.update()


def _plain(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
