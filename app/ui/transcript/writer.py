"""Writes markdown-it tokens into a QTextDocument, block by block.

Our own walk rather than `setHtml` or `setMarkdown`: nothing in the text can become markup, the
typography is ours, and a document can be cut off at a block and written on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from unicodedata import category

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QFont,
    QFontMetricsF,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextImageFormat,
    QTextLength,
    QTextList,
    QTextListFormat,
)

from app.ui.transcript.look import Look
from app.ui.transcript.markdown import is_allowed_link

LINE_HEIGHT_PERCENT = 142.0
_HEADING_SCALE = (1.42, 1.24, 1.1, 1.0, 1.0, 1.0)
_BULLETS = (
    QTextListFormat.Style.ListDisc,
    QTextListFormat.Style.ListCircle,
    QTextListFormat.Style.ListSquare,
)
_LINE_BREAK = "\u2028"
_WRITTEN = QTextFormat.Property.UserProperty.value + 1  # marks the first block of a document
_FOOTNOTE_LABEL = re.compile(r"\w{1,24}")
_CONTROLS = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"}
_CONTROLS |= dict.fromkeys((0x7F, *range(0x80, 0xA0)), "\ufffd")
_BIDI = {code: f"⟨U+{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_BREAKS = dict.fromkeys((0x2028, 0x2029), "\u2424")  # Qt would begin lines and blocks at them
_VISIBLE = _CONTROLS | _BIDI | _BREAKS
_MOST_MARKS = 6
_MARK_BLOCKS = ((0x300, 0x2000), (0x20D0, 0x3100), (0xA640, 0xAC00), (0xFE00, 0xFE30))
_MAY_STACK = re.compile("[\u0300-\u036f\u0483-\u1fff\u20d0-\u30ff\ua640-\uabff\ufe00-\ufe2f]{7}")


def visible(text: str) -> str:
    """`text` with control and bidi-override characters shown instead of obeyed.

    Of marks stacked on one letter only the first few are kept: each costs more than the last.
    """
    if not text.isascii() and _MAY_STACK.search(text):
        text = _stacks().sub(r"\1", text)
    return text.translate(_VISIBLE)


@lru_cache(maxsize=1)
def _stacks() -> re.Pattern[str]:
    """The first `_MOST_MARKS` combining marks of a run, and the rest of it."""
    codes = (code for block in _MARK_BLOCKS for code in range(*block))
    marks = "".join(chr(code) for code in codes if category(chr(code)) in ("Mn", "Me", "Mc"))
    return re.compile(f"([{marks}]{{{_MOST_MARKS}}})[{marks}]+")


class DocumentWriter:
    """Appends to the end of one document."""

    def __init__(self, document: QTextDocument, look: Look) -> None:
        self._document = document
        self._look = look
        self._cursor = QTextCursor(document)
        self._lists: list[tuple[QTextListFormat, QTextList | None]] = []
        self._item_open = False
        self._marker: bool | None = None
        self._quotes = 0
        self._footnote = ""
        self._formats: list[QTextCharFormat] = []

    def write(self, tokens: Sequence[Token], start: int | None = None) -> None:
        """One or more whole blocks; `start` overrides the number of an ordered list."""
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        for index, token in enumerate(tokens):
            if index == 0 and start is not None and token.type == "ordered_list_open":
                token.attrSet("start", start)
            handler = _HANDLERS.get(token.type)
            if handler is not None:
                handler(self, token)

    def write_plain(self, text: str) -> None:
        """Text exactly as it is, line by line."""
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        self._begin(self._block_format(), self._char_format())
        self._cursor.insertText(visible(text).replace("\n", _LINE_BREAK), self._char_format())

    def write_muted(self, text: str) -> None:
        """Plain text in the small, muted type of asides; every line is a block of its own."""
        self._footnote = " "
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        self._begin(self._block_format(), self._char_format())
        self._cursor.insertText(visible(text), self._char_format())
        self._footnote = ""

    def write_display_math(self, latex: str) -> None:
        """A formula on its own line."""
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        block = self._block_format()
        block.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._begin(block, self._char_format())
        self.insert_formula(latex, display=True)

    def write_cell(
        self, cursor: QTextCursor, inline: Token, is_head: bool, align: Qt.AlignmentFlag | None
    ) -> None:
        """The content of one table cell, at `cursor`."""
        self._cursor = cursor
        form = self._char_format()
        if is_head:
            form.setFontWeight(QFont.Weight.DemiBold)
        block = QTextBlockFormat()
        if align is not None:
            block.setAlignment(align)
        cursor.setBlockFormat(block)
        self._formats.append(form)
        self._inline(inline)
        self._formats.clear()

    def _is_blank(self) -> bool:
        """Whether nothing was written yet; a rule or an empty list item leaves no text either."""
        document = self._document
        return document.isEmpty() and not document.firstBlock().blockFormat().hasProperty(_WRITTEN)

    # -- formats ----------------------------------------------------------------------------

    def _char_format(self) -> QTextCharFormat:
        if self._formats:
            return QTextCharFormat(self._formats[-1])
        form = QTextCharFormat()
        form.setFont(self._look.small if self._footnote else self._look.text)
        muted = self._quotes or self._footnote
        form.setForeground(QBrush(self._look.colors.muted if muted else self._look.colors.text))
        return form

    def _block_format(self, gap: float | None = None) -> QTextBlockFormat:
        form = QTextBlockFormat()
        form.setLineHeight(
            LINE_HEIGHT_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
        )
        if not self._is_blank():
            form.setTopMargin(self._look.gap if gap is None else gap)
        if self._quotes:
            form.setLeftMargin(self._quotes * self._look.em * 0.9)
            form.setProperty(QTextFormat.Property.BlockQuoteLevel, self._quotes)
        if self._lists:
            form.setIndent(len(self._lists))
        return form

    def _begin(self, block: QTextBlockFormat, char: QTextCharFormat) -> None:
        """A new text block, joined to the list item that waits for its first one."""
        cursor = self._cursor
        if self._is_blank():
            block.setProperty(_WRITTEN, True)
            cursor.setBlockFormat(block)
            cursor.setBlockCharFormat(char)
        else:
            cursor.insertBlock(block, char)
        if self._item_open and self._lists:
            self._item_open = False
            form, existing = self._lists[-1]
            block.setIndent(0)
            block.setTopMargin(self._item_gap(existing))
            if self._marker is not None:
                marker = QTextBlockFormat.MarkerType
                block.setMarker(marker.Checked if self._marker else marker.Unchecked)
            cursor.setBlockFormat(block)
            if existing is None:
                self._lists[-1] = (form, cursor.createList(form))
            else:
                existing.add(cursor.block())

    def _item_gap(self, existing: QTextList | None) -> float:
        if self._document.blockCount() == 1:
            return 0.0
        is_first_of_outer = existing is None and len(self._lists) == 1
        return self._look.gap * 0.8 if is_first_of_outer else self._look.em * 0.22

    # -- blocks -----------------------------------------------------------------------------

    def _paragraph(self, _token: Token) -> None:
        self._begin(self._block_format(), self._char_format())
        if self._footnote:
            label, self._footnote = self._footnote, " "
            if label.strip():
                form = self._char_format()
                form.setFontWeight(QFont.Weight.DemiBold)
                self._cursor.insertText(f"{label}\u2002", form)

    def _heading_open(self, token: Token) -> None:
        level = min(int(token.tag[1:]), 6)
        form = self._char_format()
        font = QFont(self._look.text)
        font.setPointSizeF(font.pointSizeF() * _HEADING_SCALE[level - 1])
        font.setWeight(QFont.Weight.DemiBold)
        form.setFont(font)
        block = self._block_format(self._look.em * 1.05)
        if self._is_blank():
            block.setTopMargin(self._look.em * 0.3)
        block.setLineHeight(125.0, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        block.setHeadingLevel(level)
        self._begin(block, form)
        self._formats.append(form)

    def _heading_close(self, _token: Token) -> None:
        self._formats.clear()

    def _rule(self, _token: Token) -> None:
        block = self._block_format(self._look.em * 0.5)
        block.setProperty(
            QTextFormat.Property.BlockTrailingHorizontalRulerWidth,
            QTextLength(QTextLength.Type.PercentageLength, 100),
        )
        block.setBackground(QBrush(self._look.colors.border))
        block.setLineHeight(self._look.em * 0.5, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        self._begin(block, self._char_format())

    def _list_open(self, token: Token) -> None:
        form = QTextListFormat()
        if token.type == "ordered_list_open":
            form.setStyle(QTextListFormat.Style.ListDecimal)
            form.setStart(min(max(int(token.attrGet("start") or 1), 0), 999_999_999))
        else:
            form.setStyle(_BULLETS[min(len(self._lists), 2)])
        form.setIndent(len(self._lists) + 1)
        self._lists.append((form, None))

    def _list_close(self, _token: Token) -> None:
        self._lists.pop()
        self._item_open = False

    def _item(self, token: Token) -> None:
        self._flush_item()
        self._item_open = True
        checked = token.meta.get("checked") if token.meta else None
        self._marker = checked if isinstance(checked, bool) else None

    def _item_close(self, _token: Token) -> None:
        self._flush_item()

    def _flush_item(self) -> None:
        """An item without text still shows its bullet."""
        if self._item_open:
            self._begin(self._block_format(), self._char_format())

    def _quote_open(self, _token: Token) -> None:
        self._quotes += 1

    def _quote_close(self, _token: Token) -> None:
        self._quotes -= 1

    def _code(self, token: Token) -> None:
        """Code inside a list or a quotation; at the top level it is a cell of its own."""
        form = self._char_format()
        form.setFont(self._look.code)
        block = self._block_format(self._look.em * 0.35)
        block.setBackground(QBrush(self._look.colors.code))
        block.setLineHeight(125.0, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        self._begin(block, form)
        self._cursor.insertText(
            visible(token.content.rstrip("\n")).replace("\n", _LINE_BREAK), form
        )

    def _footnote_open(self, token: Token) -> None:
        self._footnote = str(token.meta.get("label", "")) if token.meta else ""

    def _footnote_close(self, _token: Token) -> None:
        self._footnote = ""

    def _math_block(self, token: Token) -> None:
        self._begin(self._block_format(), self._char_format())
        self.insert_formula(token.content.strip(), display=True)

    def _row(self, _token: Token) -> None:
        """A table inside a quotation or a list: one line per row."""
        self._begin(self._block_format(self._look.em * 0.2), self._char_format())

    def _cell_close(self, _token: Token) -> None:
        self._cursor.insertText("\u2003", self._char_format())

    # -- inline -----------------------------------------------------------------------------

    def _inline(self, token: Token) -> None:
        depth = len(self._formats)
        if self._item_open:  # tight items carry no visible paragraph
            self._paragraph(token)
        for child in token.children or ():
            handler = _INLINE.get(child.type)
            if handler is not None:
                handler(self, child)
            elif child.content:
                self._text(child)
        del self._formats[depth:]

    def _text(self, token: Token) -> None:
        self._cursor.insertText(
            visible(token.content).replace("\n", _LINE_BREAK), self._char_format()
        )

    def _soft_break(self, _token: Token) -> None:
        self._cursor.insertText(" ", self._char_format())

    def _hard_break(self, _token: Token) -> None:
        self._cursor.insertText(_LINE_BREAK, self._char_format())

    def _code_inline(self, token: Token) -> None:
        form = self._char_format()
        font = QFont(self._look.code)
        font.setPointSizeF(form.font().pointSizeF() * 0.93)
        form.setFont(font)
        form.setBackground(QBrush(self._look.colors.inline_code))
        self._cursor.insertText(visible(token.content), form)

    def _strong(self, _token: Token) -> None:
        form = self._char_format()
        form.setFontWeight(QFont.Weight.DemiBold)
        self._formats.append(form)

    def _emphasis(self, _token: Token) -> None:
        form = self._char_format()
        form.setFontItalic(True)
        self._formats.append(form)

    def _strike(self, _token: Token) -> None:
        form = self._char_format()
        form.setFontStrikeOut(True)
        self._formats.append(form)

    def _link(self, token: Token) -> None:
        form = self._char_format()
        self._make_link(form, str(token.attrGet("href") or ""))
        self._formats.append(form)

    def _pop(self, _token: Token) -> None:
        if self._formats:
            self._formats.pop()

    def _image(self, token: Token) -> None:
        """Never fetched: a chip that says what the picture would be."""
        address = str(token.attrGet("src") or "")
        label = token.content.strip() or "picture"
        form = self._char_format()
        form.setBackground(QBrush(self._look.colors.inline_code))
        self._make_link(form, address)
        shown = address if len(address) <= 60 else f"{address[:57]}…"
        self._cursor.insertText(visible(f"\u2002{label} ({shown})\u2002"), form)

    def _footnote_ref(self, token: Token) -> None:
        label = str(token.meta.get("label", "")) if token.meta else ""
        form = self._char_format()
        if _FOOTNOTE_LABEL.fullmatch(label):
            form.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignSuperScript)
            form.setForeground(QBrush(self._look.colors.link))
            self._cursor.insertText(label, form)
        else:
            self._cursor.insertText(visible(f"[^{label}]"), form)

    def _math_inline(self, token: Token) -> None:
        self.insert_formula(token.content, display=token.type == "math_inline_double")

    def insert_formula(self, latex: str, *, display: bool) -> None:
        """The drawn formula, or its LaTeX where it cannot be drawn."""
        maker = self._look.formulas
        made = maker.formula(latex, self._look, display=display) if maker else None
        if made is None:
            form = self._char_format()
            form.setFont(self._look.code)
            self._cursor.insertText(visible(latex).replace("\n", _LINE_BREAK), form)
            return
        image = QTextImageFormat()
        image.setName(made.name)
        image.setWidth(made.width)
        image.setHeight(made.height)
        image.setFont(self._look.text)
        align = QTextCharFormat.VerticalAlignment
        deep = display or made.depth > QFontMetricsF(self._look.text).descent() + 0.5
        image.setVerticalAlignment(align.AlignMiddle if deep else align.AlignBaseline)
        self._cursor.insertImage(image)

    def _make_link(self, form: QTextCharFormat, address: str) -> None:
        if is_allowed_link(address):
            form.setAnchor(True)
            form.setAnchorHref(address)
            form.setForeground(QBrush(self._look.colors.link))


_Handler = Callable[[DocumentWriter, Token], None]
_HANDLERS: dict[str, _Handler] = {
    "paragraph_open": DocumentWriter._paragraph,
    "heading_open": DocumentWriter._heading_open,
    "heading_close": DocumentWriter._heading_close,
    "hr": DocumentWriter._rule,
    "bullet_list_open": DocumentWriter._list_open,
    "ordered_list_open": DocumentWriter._list_open,
    "bullet_list_close": DocumentWriter._list_close,
    "ordered_list_close": DocumentWriter._list_close,
    "list_item_open": DocumentWriter._item,
    "list_item_close": DocumentWriter._item_close,
    "blockquote_open": DocumentWriter._quote_open,
    "blockquote_close": DocumentWriter._quote_close,
    "fence": DocumentWriter._code,
    "code_block": DocumentWriter._code,
    "footnote_reference_open": DocumentWriter._footnote_open,
    "footnote_reference_close": DocumentWriter._footnote_close,
    "math_block": DocumentWriter._math_block,
    "tr_open": DocumentWriter._row,
    "th_close": DocumentWriter._cell_close,
    "td_close": DocumentWriter._cell_close,
    "inline": DocumentWriter._inline,
}
_INLINE: dict[str, _Handler] = {
    "text": DocumentWriter._text,
    "softbreak": DocumentWriter._soft_break,
    "hardbreak": DocumentWriter._hard_break,
    "code_inline": DocumentWriter._code_inline,
    "strong_open": DocumentWriter._strong,
    "strong_close": DocumentWriter._pop,
    "em_open": DocumentWriter._emphasis,
    "em_close": DocumentWriter._pop,
    "s_open": DocumentWriter._strike,
    "s_close": DocumentWriter._pop,
    "link_open": DocumentWriter._link,
    "link_close": DocumentWriter._pop,
    "image": DocumentWriter._image,
    "footnote_ref": DocumentWriter._footnote_ref,
    "math_inline": DocumentWriter._math_inline,
    "math_inline_double": DocumentWriter._math_inline,
}
