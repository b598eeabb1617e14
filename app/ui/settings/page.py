"""The settings page: sections at the left, rows at the right, a search over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.core.setting_rules import Section, Setting, SettingValue
from app.ui.buttons import FlatButton
from app.ui.list_beside import fit_list_beside
from app.ui.scroll_bar import make_slim
from app.ui.settings.fields import Field, SwitchField, make_field
from app.ui.theme import Theme, tint

_WORDS = {
    "next load": "Takes effect when a model is loaded.",
    "engine restart": "Takes effect when the engine starts.",
    "next start": "Takes effect when Garret starts.",
}


class SettingRow(QWidget):
    """Title, help, input, and what is wrong with the last value."""

    def __init__(self, setting: Setting, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setting = setting
        self._theme = theme
        self.field: Field = make_field(setting, self)
        title = _label(setting.title, self)
        title.setBuddy(self.field)
        self._help = _label(self._help_text(), self)
        self._error = _label("", self)
        self._error.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 10, 0, 10)
        column.setSpacing(4)
        if isinstance(self.field, SwitchField):
            head = QHBoxLayout()
            head.addWidget(title, 1)
            head.addWidget(self.field)
            column.addLayout(head)
            column.addWidget(self._help)
        else:
            column.addWidget(title)
            column.addWidget(self._help)
            wide = setting.kind in ("text", "folder", "list", "secrets", "secret")
            column.addWidget(
                self.field, 0, Qt.AlignmentFlag(0) if wide else Qt.AlignmentFlag.AlignLeft
            )
        column.addWidget(self._error)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_error(self, sentence: str) -> None:
        """Says inline what was wrong; empty takes it away."""
        self._error.setText(sentence)
        self._error.setVisible(bool(sentence))

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word occurs in the row's own words."""
        choices = " ".join(title for _value, title in self.setting.choices)
        text = f"{self.setting.title} {self.setting.help} {choices}".casefold()
        return all(word in text for word in words)

    def _help_text(self) -> str:
        applies = _WORDS.get(self.setting.applies, "")
        return f"{self.setting.help} {applies}".strip()

    def _restyle(self) -> None:
        colors = self._theme.colors
        self._help.setFont(self._theme.small_font())
        self._error.setFont(self._theme.small_font())
        tint(self._help, colors.muted)
        tint(self._error, colors.warning)


class SettingsPage(QWidget):
    """Values in through `show_values`; `changed` asks for a new one."""

    changed = Signal(str, object)
    reset_wanted = Signal(str)  # section key; "" is all of them

    def __init__(
        self,
        sections: Sequence[Section],
        settings: Sequence[Setting],
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._sections = tuple(sections)
        self.rows: dict[str, SettingRow] = {}
        self._extras: dict[str, QWidget] = {}
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search settings"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(self.tr("Search settings"))
        self.list = QListWidget(self)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setAccessibleName(self.tr("Sections"))
        make_slim(self.list)
        for section in self._sections:
            self.list.addItem(section.title)
        self._heading = _label("", self)
        self._about = _label("", self)
        self._empty = _label(self.tr("No setting has these words."), self)
        self._body = QWidget(self)
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(32, 24, 32, 32)
        self._column.setSpacing(0)
        for label in (self._heading, self._about, self._empty):
            self._column.addWidget(label)
        for setting in settings:
            if not setting.hidden:
                self._add_row(setting)
        self._reset = FlatButton(self.tr("Back to the defaults"), self._body, "outlined")
        self._reset.clicked.connect(self._on_reset)
        self._reset_all = FlatButton(self.tr("All settings back to the defaults…"), self._body)
        self._reset_all.clicked.connect(self._on_reset_all)
        resets = QHBoxLayout()
        resets.addWidget(self._reset)
        resets.addWidget(self._reset_all)
        resets.addStretch(1)
        self._column.addSpacing(16)
        self._column.addLayout(resets)
        self._column.addStretch(1)
        self._lay_out()
        self.search.textChanged.connect(self._filter)
        self.list.currentRowChanged.connect(lambda _row: self._filter())
        theme.changed.connect(self._restyle)
        self._restyle()
        self.list.setCurrentRow(0)

    def show_values(self, values: Mapping[str, SettingValue]) -> None:
        """What is stored now."""
        for key, row in self.rows.items():
            if key in values:
                row.field.show_value(values[key])
                row.show_error("")

    def show_error(self, key: str, sentence: str) -> None:
        """A value that was not taken; the row shows why."""
        if key in self.rows:
            self.rows[key].show_error(sentence)

    def add_extra(self, section: str, widget: QWidget) -> None:
        """More for a section, below its rows: the endpoint's address, for example."""
        self._extras[section] = widget
        widget.setParent(self._body)
        self._column.insertWidget(self._column.count() - 3, widget)
        self._filter()

    def show_section(self, key: str) -> None:
        """Brings a section to the front."""
        self.search.clear()
        keys = [section.key for section in self._sections]
        self.list.setCurrentRow(keys.index(key))

    def sizeHint(self) -> QSize:
        return QSize(820, 640)

    def _add_row(self, setting: Setting) -> None:
        row = SettingRow(setting, self._theme, self._body)
        row.field.edited.connect(lambda value, key=setting.key: self.changed.emit(key, value))
        self.rows[setting.key] = row
        self._column.addWidget(row)

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.setContentsMargins(16, 20, 8, 10)
        left.setSpacing(12)
        left.addWidget(self.search)
        left.addWidget(self.list, 1)
        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        make_slim(self._area)
        self._area.setWidget(self._body)
        self._body.setBackgroundRole(QPalette.ColorRole.Base)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self._row.addLayout(left)
        self._row.addWidget(self._area, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """The sections at the left; above, where there is no room at the left."""
        fit_list_beside(self, self._row, self.list, self.search, self._theme)
        narrow = self._row.direction() == QBoxLayout.Direction.TopToBottom
        side = 16 if narrow else 32
        self._column.setContentsMargins(side, 12 if narrow else 24, side, side)

    def _filter(self) -> None:
        words = self.search.text().casefold().split()
        here = self._sections[max(0, self.list.currentRow())]
        shown = 0
        for row in self.rows.values():
            visible = row.matches(words) if words else row.setting.section == here.key
            row.setVisible(visible)
            shown += visible
        for key, widget in self._extras.items():
            widget.setVisible(not words and key == here.key)
        self._heading.setText(self.tr("Found") if words else here.title)
        self._about.setText("" if words else here.help)
        self._about.setVisible(not words)
        self._empty.setVisible(shown == 0)
        self._reset.setVisible(not words)
        self._reset_all.setVisible(not words)
        self._area.verticalScrollBar().setValue(0)

    def _on_reset(self) -> None:
        self.reset_wanted.emit(self._sections[max(0, self.list.currentRow())].key)

    def _on_reset_all(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle(self.tr("All settings"))
        box.setText(self.tr("Set everything back to the defaults?"))
        box.setInformativeText(
            self.tr("Keys of the endpoint are removed, too. Chats and models stay as they are.")
        )
        reset = box.addButton(self.tr("Set back"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.buttonClicked.connect(
            lambda button: self.reset_wanted.emit("") if button is reset else None
        )
        box.open()  # never exec(): it would stop the tasks of the loop

    def _restyle(self) -> None:
        self._heading.setFont(self._theme.text_font(1.45))
        self._about.setContentsMargins(0, 2, 0, 12)
        tint(self._about, self._theme.colors.muted)
        tint(self._empty, self._theme.colors.muted)
        pad = round(self._theme.em() * 0.42)
        self.list.setStyleSheet(
            "QListWidget { background: transparent; outline: none; }"
            f"QListWidget::item {{ padding: {pad}px {2 * pad}px; border-radius: 6px; }}"
            "QListWidget::item:selected { background: palette(window);"
            " color: palette(text); font-weight: bold; }"
            "QListWidget::item:hover:!selected { background: palette(alternate-base); }"
        )
        self._fit()
        self._body.setMaximumWidth(self._theme.column_width() + 64)


def _label(text: str, parent: QWidget) -> QLabel:
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
