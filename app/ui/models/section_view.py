"""A section of the models page: heading, what can be chosen there, rows, a footer."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.models.row_view import ModelRowView
from app.ui.models.values import ModelRow, Section, Verb
from app.ui.theme import Theme, tint

_BEFORE_ROWS = 2


class SectionView(QWidget):
    """Rows are kept while their keys stay."""

    verb_chosen = Signal(str, str)
    choice_made = Signal(str)

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._section = Section("", "")
        self._heading = QLabel(self)
        self._note = QLabel(self)
        self._footer = QLabel(self)
        for label in (self._heading, self._note, self._footer):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.choice = QComboBox(self)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.choice.activated.connect(
            lambda index: self.choice_made.emit(self.choice.itemData(index))
        )
        self.choice.hide()
        self.rows: dict[str, ModelRowView] = {}
        head = self._head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._heading, 1)
        head.addWidget(self.choice)
        self._head_buttons = QHBoxLayout()
        self._head_buttons.setSpacing(6)
        head.addLayout(self._head_buttons)
        foot = QHBoxLayout()
        foot.setSpacing(8)
        foot.addWidget(self._footer, 1)
        self._foot_buttons = QHBoxLayout()
        self._foot_buttons.setSpacing(6)
        foot.addLayout(self._foot_buttons)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 20)
        self._column.setSpacing(8)
        self._column.addLayout(head)
        self._column.addWidget(self._note)
        self._column.addLayout(foot)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_section(self, section: Section) -> None:
        """Other contents."""
        old, self._section = self._section, section
        self._heading.setText(section.title)
        note = section.note or (section.empty if not section.rows else "")
        self._note.setText(note)
        self._note.setVisible(bool(note))
        self._footer.setText(section.footer)
        self._footer.setVisible(bool(section.footer))
        if section.verbs != old.verbs:
            self._make_buttons(self._head_buttons, section.verbs)
        if section.footer_verbs != old.footer_verbs:
            self._make_buttons(self._foot_buttons, section.footer_verbs)
        self._show_choices(section, old)
        keys = [row.key for row in section.rows]
        for key in [key for key in self.rows if key not in keys]:
            view = self.rows.pop(key)
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        for place, row in enumerate(section.rows):
            self._place(place, row)

    def _place(self, place: int, row: ModelRow) -> None:
        view = self.rows.get(row.key)
        if view is None:
            view = ModelRowView(self._theme, self._icons, self)
            view.verb_chosen.connect(self.verb_chosen)
            self.rows[row.key] = view
        if self._column.indexOf(view) != place + _BEFORE_ROWS:
            self._column.insertWidget(place + _BEFORE_ROWS, view)
        view.show_row(row)

    def _show_choices(self, section: Section, old: Section) -> None:
        self.choice.setVisible(bool(section.choices))
        self.choice.setAccessibleName(section.choice_name)
        self.choice.setToolTip(section.choice_name)
        if section.choices != old.choices:
            self.choice.clear()
            for value, title in section.choices:
                self.choice.addItem(title, value)
        self.choice.setCurrentIndex(max(0, self.choice.findData(section.chosen)))

    def _make_buttons(self, row: QHBoxLayout, verbs: Sequence[Verb]) -> None:
        while (item := row.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for verb in verbs:
            button = FlatButton(verb.title, self, "filled" if verb.is_main else "outlined")
            button.setToolTip(verb.tip)
            button.setAccessibleName(verb.tip or verb.title)
            button.clicked.connect(
                lambda _on=False, name=verb.name: self.verb_chosen.emit(name, "")
            )
            row.addWidget(button)

    def _restyle(self) -> None:
        font = self._theme.text_font(1.15)
        font.setBold(True)
        self._heading.setFont(font)
        self._footer.setFont(self._theme.small_font())
        for label in (self._note, self._footer):
            tint(label, self._theme.colors.muted)
