"""The models page: one calm column of sections with rows. Values in, signals out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.models.memory_bar import MemoryBar
from app.ui.models.section_view import SectionView
from app.ui.models.values import MemoryPicture, ModelRow, Section
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint

_SEARCH_DELAY_MS = 450


class ModelsPage(QWidget):
    """Everything about models."""

    verb_chosen = Signal(str, str)  # verb, row key; a section's own verbs come with ""
    choice_made = Signal(str, str)  # section key, value
    search_changed = Signal(str)
    import_wanted = Signal()
    files_dropped = Signal(list)  # paths

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.setAcceptDrops(True)
        self.sections: dict[str, SectionView] = {}
        self._title = QLabel(self.tr("Models"), self)
        self._machine = QLabel(self)
        self._machine.setTextFormat(Qt.TextFormat.PlainText)
        self._machine.setWordWrap(True)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search Hugging Face"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(self.tr("Search models on Hugging Face"))
        self.search.addAction(icons.icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.bring_in = FlatButton(self.tr("Import…"), self, "outlined")
        self.bring_in.setToolTip(
            self.tr("Use a model file (GGUF) that is already on this computer")
        )
        self.bring_in.clicked.connect(self.import_wanted)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_SEARCH_DELAY_MS)
        self._pause.timeout.connect(lambda: self.search_changed.emit(self.search.text().strip()))
        self.search.textChanged.connect(self._on_text)
        self._bars: list[MemoryBar] = []
        self._lay_out()
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_machine(self, sentence: str, pictures: Sequence[MemoryPicture]) -> None:
        """What this machine has, and how its memory is used now."""
        self._machine.setText(sentence)
        while len(self._bars) < len(pictures):
            bar = MemoryBar(self._theme, self._body)
            self._bars.append(bar)
            self._bar_column.addWidget(bar)
        for index, bar in enumerate(self._bars):
            bar.setVisible(index < len(pictures))
            if index < len(pictures):
                bar.show_picture(pictures[index])

    def show_sections(self, sections: Sequence[Section]) -> None:
        """The sections in their order; those not named are hidden."""
        keys = [section.key for section in sections]
        for key, view in self.sections.items():
            view.setVisible(key in keys)
        for place, section in enumerate(sections):
            view = self.sections.get(section.key) or self._new_section(section.key)
            if self._section_column.indexOf(view) != place:
                self._section_column.insertWidget(place, view)
            view.show_section(section)

    def _new_section(self, key: str) -> SectionView:
        view = SectionView(self._theme, self._icons, self._body)
        view.verb_chosen.connect(self.verb_chosen)
        view.choice_made.connect(lambda value: self.choice_made.emit(key, value))
        self.sections[key] = view
        return view

    def show_row(self, section_key: str, row: ModelRow) -> None:
        """One row's new values, for progress."""
        section = self.sections.get(section_key)
        if section is not None and row.key in section.rows:
            section.rows[row.key].show_row(row)

    def sizeHint(self) -> QSize:
        return QSize(820, 640)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(_can_hold_models(url.toLocalFile()) for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls()]
        self.files_dropped.emit([path for path in paths if _can_hold_models(path)])

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self._title)
        head.addStretch(1)
        head.addWidget(self.search)
        head.addWidget(self.bring_in)
        self._body = QWidget(self)
        self._body.setBackgroundRole(QPalette.ColorRole.Base)
        self._bar_column = QVBoxLayout()
        self._bar_column.setSpacing(10)
        self._section_column = QVBoxLayout()
        self._section_column.setSpacing(0)
        column = QVBoxLayout(self._body)
        column.setContentsMargins(28, 22, 28, 28)
        column.setSpacing(12)
        column.addLayout(head)
        column.addWidget(self._machine)
        column.addLayout(self._bar_column)
        column.addSpacing(8)
        column.addLayout(self._section_column)
        column.addStretch(1)
        area = QScrollArea(self)
        make_slim(area)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        area.setWidget(self._body)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)

    def _on_text(self, text: str) -> None:
        if not text.strip():
            self._pause.stop()
            self.search_changed.emit("")
            return
        self._pause.start()

    def _restyle(self) -> None:
        self._title.setFont(self._theme.text_font(1.45))
        tint(self._machine, self._theme.colors.muted)
        self.search.setMinimumWidth(round(self._theme.em() * 17))
        self._body.setMaximumWidth(self._theme.column_width() + 220)


def _can_hold_models(path: str) -> bool:
    """A model file, or a folder: a drive with a copied model, another app's models."""
    return path.lower().endswith(".gguf") or (bool(path) and Path(path).is_dir())
