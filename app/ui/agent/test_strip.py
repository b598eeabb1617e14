"""One line about the newest test run: passed or failed, with what it printed behind a fold."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.agent.code_box import CodeBox
from app.ui.agent.diff_pane import row_color
from app.ui.agent.values import TestResult
from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class TestStrip(QWidget):
    """Hidden until tests were run."""

    __test__ = False  # not a pytest class

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._result: TestResult | None = None
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self._command = QLabel(self)
        self._command.setTextFormat(Qt.TextFormat.PlainText)
        self.more = FlatButton(self.tr("Show output"), self)
        self.more.setCheckable(True)
        self.more.toggled.connect(self._on_more)
        self._box = CodeBox(theme.colors, 12, self)
        self._box.setAccessibleName(self.tr("What the tests printed"))
        self._box.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words)
        row.addWidget(self._command, 1)
        row.addWidget(self.more)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self._box)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def show_result(self, result: TestResult | None) -> None:
        """The newest run; None hides the strip."""
        self._result = result
        self.setVisible(result is not None)
        if result is None:
            return
        self.words.setText(result.words)
        self._command.setText(result.command)
        self._command.setToolTip(result.command)
        self._command.setMinimumWidth(20)
        self._box.show_text(result.output)
        self.more.setVisible(bool(result.output.strip()))
        self._restyle()

    def _on_more(self, on: bool) -> None:
        self.more.setText(self.tr("Hide output") if on else self.tr("Show output"))
        self.more.updateGeometry()
        self._box.setVisible(on)

    def _restyle(self) -> None:
        theme, colors = self._theme, self._theme.colors
        font = theme.text_font()
        font.setBold(True)
        self.words.setFont(font)
        self._command.setFont(theme.code_font(0.86))
        self.more.setFont(theme.small_font())
        self._box.setFont(theme.code_font())
        self._box.set_colors(colors)
        tint(self._command, colors.muted)
        passed = self._result is None or self._result.passed
        tint(self.words, row_color(colors, "added" if passed else "removed"))
