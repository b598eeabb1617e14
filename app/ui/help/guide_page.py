"""The built-in guide: pages at the left, a search over all of them, the text at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import (
    QKeyEvent,
    QPalette,
    QResizeEvent,
    QShowEvent,
    QTextBlockFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextTable,
)
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app.ui.help.guide import GuidePage, search
from app.ui.list_beside import fit_list_beside
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme

_NAME = Qt.ItemDataRole.UserRole


class GuideView(QWidget):
    """Shows the guide; `outside` carries an address that lies beyond it."""

    outside = Signal(str)
    left = Signal()  # Esc, and no search to end

    def __init__(
        self, pages: Sequence[GuidePage], theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._pages = {page.name: page for page in pages}
        self._theme = theme
        self._shown = ""
        self._is_stale = True
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search the guide"))
        self.search.setAccessibleName(self.tr("Search the guide"))
        self.search.setClearButtonEnabled(True)
        self.list = QListWidget(self)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setWordWrap(True)
        self.list.setAccessibleName(self.tr("Pages of the guide"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        make_slim(self.list)
        self.text = QTextBrowser(self)
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setOpenLinks(False)
        self.text.setAccessibleName(self.tr("The guide’s text"))
        make_slim(self.text)
        left = QVBoxLayout()
        left.setContentsMargins(16, 20, 8, 10)
        left.setSpacing(12)
        left.addWidget(self.search)
        left.addWidget(self.list, 1)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self._row.addLayout(left)
        self._row.addWidget(self.text, 1000)
        self._row.addStretch(1)
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._open_first)
        self.list.currentItemChanged.connect(self._on_chosen)
        self.text.anchorClicked.connect(self._on_link)
        theme.changed.connect(self._restyle)
        self._fill("")
        self._restyle()

    @property
    def page(self) -> str:
        """Name of the page that is shown."""
        return self._shown

    def show_page(self, name: str) -> None:
        """Opens a page of the guide."""
        if name in self._pages:
            self._show(name)
            self._mark(name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
        else:
            super().keyPressEvent(event)

    def escape(self) -> None:
        """Esc: the search ends."""
        if self.search.text():
            self.search.clear()
        else:
            self.left.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_width()

    def _set_width(self) -> None:
        """Text no wider than is comfortable to read."""
        fit_list_beside(self, self._row, self.list, self.search, self._theme)
        beside = self._row.direction() == QBoxLayout.Direction.LeftToRight
        room = self.width() - (self.list.width() + 24 if beside else 0)
        self.text.setMaximumWidth(max(200, min(room, self._theme.column_width() + 72)))

    def _fill(self, words: str) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        rows = (
            [(hit.page, f"{hit.page.title}\n{hit.around}") for hit in search(self._list(), words)]
            if words.split()
            else [(page, page.title) for page in self._list()]
        )
        for page, text in rows:
            item = QListWidgetItem(text, self.list)
            item.setData(_NAME, page.name)
        if not rows:
            item = QListWidgetItem(self.tr("No page has these words."), self.list)
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.list.blockSignals(False)
        self._mark(self._shown)

    def _list(self) -> list[GuidePage]:
        return list(self._pages.values())

    def _open_first(self) -> None:
        item = self.list.item(0)
        if item is not None and item.data(_NAME):
            self.list.setCurrentItem(item)
            self._show(item.data(_NAME))

    def _on_chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(_NAME):
            self._show(item.data(_NAME))

    def _on_link(self, url: QUrl) -> None:
        name = url.toString().removesuffix(".md")
        if name in self._pages:
            self.show_page(name)
        elif url.scheme() in ("http", "https"):
            self.outside.emit(url.toString())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._show(self._shown)

    def _show(self, name: str) -> None:
        self._shown = name
        self._is_stale = not self.isVisible()
        if self._is_stale:
            return  # made when somebody looks: the window's start should not wait for it
        document = self.text.document()
        document.setDefaultFont(self._theme.text_font())
        document.setDocumentMargin(28)
        self.text.setMarkdown(self._pages[name].text)
        self._set_type(document)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)
        words = self.search.text().split()
        if words:
            self.text.find(words[0])

    def _set_type(self, document: QTextDocument) -> None:
        """Room between lines, and code in the code font: Markdown's reader sets neither."""
        block = document.begin()
        while block.isValid():
            cursor = QTextCursor(block)
            form = block.blockFormat()
            is_code = form.hasProperty(QTextFormat.Property.BlockCodeFence)
            form.setLineHeight(
                118 if is_code else 138, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
            )
            if form.headingLevel():
                form.setTopMargin(self._theme.em() * (0.2 if form.headingLevel() == 1 else 0.9))
                form.setBottomMargin(self._theme.em() * 0.35)
            elif not is_code and cursor.currentTable() is None:
                form.setBottomMargin(self._theme.em() * (0.15 if block.textList() else 0.5))
            cursor.setBlockFormat(form)
            if is_code:
                cursor.select(QTextCursor.SelectionType.BlockUnderCursor)
                letters = cursor.charFormat()
                letters.setFont(self._theme.code_font())
                cursor.setCharFormat(letters)
            block = block.next()
        for frame in document.rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                table = frame.format().toTableFormat()
                table.setCellPadding(self._theme.em() * 0.3)
                table.setCellSpacing(0)
                table.setBorderBrush(self._theme.colors.border)
                table.setBorderCollapse(True)
                frame.setFormat(table)

    def _mark(self, name: str) -> None:
        self.list.blockSignals(True)
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item.data(_NAME) == name:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)

    def _restyle(self) -> None:
        em = self._theme.em()
        pad = round(em * 0.42)
        self.list.setStyleSheet(
            "QListWidget { background: transparent; outline: none; }"
            f"QListWidget::item {{ padding: {pad}px {2 * pad}px; border-radius: 6px; }}"
            "QListWidget::item:selected { background: palette(window); color: palette(text); }"
            "QListWidget::item:hover:!selected { background: palette(alternate-base); }"
        )
        self._set_width()
        self._show(self._shown or next(iter(self._pages)))
