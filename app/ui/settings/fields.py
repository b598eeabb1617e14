"""One input for each kind of setting. Values in, `edited` out; checking is not done here."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.core.setting_rules import Setting, SettingValue
from app.ui.buttons import FlatButton

_LONG_TEXT = 1000


class Field(QWidget):
    """The base of all inputs."""

    edited = Signal(object)

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setting = setting
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(8)

    def show_value(self, value: SettingValue) -> None:
        """Shows a stored value without announcing it."""
        raise NotImplementedError

    def name(self, widget: QWidget) -> None:
        widget.setAccessibleName(self.setting.title)
        widget.setAccessibleDescription(self.setting.help)
        self.setFocusProxy(widget)


class SwitchField(Field):
    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self.box = QCheckBox(self)
        self.name(self.box)
        self.box.toggled.connect(self._on_toggled)
        self.row.addWidget(self.box)

    def show_value(self, value: SettingValue) -> None:
        self.box.blockSignals(True)
        self.box.setChecked(bool(value))
        self.box.blockSignals(False)

    def _on_toggled(self, checked: bool) -> None:
        self.edited.emit(checked)


class NumberField(Field):
    """A spin box; a value outside the bounds with its own meaning is a check box before it."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self.spin = QSpinBox(self)
        self.spin.setRange(int(setting.minimum or 0), int(setting.maximum or 2**31 - 1))
        self.spin.setSingleStep(int(setting.step))
        self.spin.setGroupSeparatorShown(int(setting.maximum or 0) >= 100_000)
        self.spin.setKeyboardTracking(False)
        self.spin.setMinimumWidth(self.fontMetrics().horizontalAdvance("0") * 18)
        if setting.unit:
            self.spin.setSuffix(f" {setting.unit}")
        self.special: QCheckBox | None = None
        if setting.special is not None:
            self.special = QCheckBox(setting.special_title, self)
            self.special.clicked.connect(self._on_special)
            self.row.addWidget(self.special)
        self.row.addWidget(self.spin)
        self.name(self.spin)
        self.spin.valueChanged.connect(self._on_value)

    def show_value(self, value: SettingValue) -> None:
        special = self.setting.special is not None and value == self.setting.special
        self.spin.blockSignals(True)
        if not special and isinstance(value, int | float):
            self.spin.setValue(int(value))
        self.spin.setEnabled(not special)
        self.spin.blockSignals(False)
        if self.special is not None:
            self.special.setChecked(special)

    def _on_special(self, checked: bool) -> None:
        self.spin.setEnabled(not checked)
        assert self.setting.special is not None
        self.edited.emit(int(self.setting.special) if checked else self.spin.value())

    def _on_value(self, value: int) -> None:
        self.edited.emit(value)


class ChoiceField(Field):
    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self.box = QComboBox(self)
        for value, title in setting.choices:
            self.box.addItem(title, value)
        self.name(self.box)
        self.box.activated.connect(lambda index: self.edited.emit(self.box.itemData(index)))
        self.row.addWidget(self.box)

    def show_value(self, value: SettingValue) -> None:
        self.box.setCurrentIndex(max(0, self.box.findData(value)))


class TextField(Field):
    """One line, or a small editor where much may be written. Announced when editing ends."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self.line: QLineEdit | None = None
        self.area: QPlainTextEdit | None = None
        if (setting.maximum or 0) > _LONG_TEXT:
            self.area = _Area(self._on_done, self)
            self.area.setTabChangesFocus(True)
            self.area.setFixedHeight(self.fontMetrics().lineSpacing() * 5 + 14)
            self.name(self.area)
            self.row.addWidget(self.area)
        else:
            self.line = QLineEdit(self)
            self.line.setMinimumWidth(self.fontMetrics().averageCharWidth() * 40)
            if setting.kind == "secret":
                self.line.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
            self.line.editingFinished.connect(self._on_done)
            self.name(self.line)
            self.row.addWidget(self.line)
        self._shown = ""

    @property
    def text(self) -> str:
        if self.line is not None:
            return self.line.text()
        assert self.area is not None
        return self.area.toPlainText()

    def show_value(self, value: SettingValue) -> None:
        if (self.line or self.area or self).hasFocus() and self.text != self._shown:
            return  # somebody is typing here
        self._shown = str(value)
        if self.line is not None:
            self.line.setText(self._shown)
        elif self.area is not None:
            self.area.setPlainText(self._shown)

    def _on_done(self) -> None:
        if self.text != self._shown:
            self._shown = self.text
            self.edited.emit(self.text)


class FolderField(TextField):
    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        button = FlatButton(self.tr("Choose…"), self, "outlined")
        button.setAccessibleName(self.tr("Choose a folder for “{}”").format(setting.title))
        button.clicked.connect(self._on_choose)
        self.row.addWidget(button)

    def _on_choose(self) -> None:
        dialog = QFileDialog(self, self.setting.title, self.text)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(lambda path: self.edited.emit(path))
        dialog.open()  # never exec(): it would stop the tasks of the loop


class ListField(Field):
    """Lines that can be added and removed; keys are made here and shown once when made."""

    def __init__(self, setting: Setting, parent: QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._values: list[str] = []
        self.list = QListWidget(self)
        self.list.setFixedHeight(self.fontMetrics().lineSpacing() * 4 + 10)
        self.name(self.list)
        buttons = QVBoxLayout()
        is_keys = setting.kind == "secrets"
        add = FlatButton(self.tr("New key") if is_keys else self.tr("Add…"), self, "outlined")
        add.clicked.connect(self._on_new_key if is_keys else self._on_add_folder)
        remove = FlatButton(self.tr("Remove"), self, "outlined")
        remove.clicked.connect(self._on_remove)
        for button in (add, remove):
            buttons.addWidget(button)
        if is_keys:
            copy = FlatButton(self.tr("Copy"), self, "outlined")
            copy.clicked.connect(self._on_copy)
            buttons.addWidget(copy)
        buttons.addStretch(1)
        self.row.addWidget(self.list, 1)
        self.row.addLayout(buttons)

    def show_value(self, value: SettingValue) -> None:
        self._values = list(value) if isinstance(value, tuple) else []
        self.list.clear()
        for entry in self._values:
            shown = f"{entry[:8]}…{entry[-4:]}" if self.setting.is_secret else entry
            self.list.addItem(QListWidgetItem(shown))
        if self._values:
            self.list.setCurrentRow(len(self._values) - 1)

    def _on_new_key(self) -> None:
        self.edited.emit((*self._values, f"garret-{secrets.token_urlsafe(32)}"))

    def _on_add_folder(self) -> None:
        dialog = QFileDialog(self, self.setting.title)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda path: self.edited.emit((*self._values, path)))
        dialog.open()

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._values):
            self.edited.emit(tuple(self._values[:row] + self._values[row + 1 :]))

    def _on_copy(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._values):
            QGuiApplication.clipboard().setText(self._values[row])


class _Area(QPlainTextEdit):
    def __init__(self, done: Callable[[], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._done = done

    def focusOutEvent(self, event: object) -> None:
        super().focusOutEvent(event)  # type: ignore[arg-type]  # Qt hands in a QFocusEvent
        self._done()


_FIELDS: dict[str, type[Field]] = {
    "switch": SwitchField,
    "number": NumberField,
    "choice": ChoiceField,
    "text": TextField,
    "secret": TextField,
    "folder": FolderField,
    "list": ListField,
    "secrets": ListField,
}


def make_field(setting: Setting, parent: QWidget) -> Field:
    """The input for a setting's kind."""
    return _FIELDS[setting.kind](setting, parent)
