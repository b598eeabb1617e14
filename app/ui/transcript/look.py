"""What a document needs to know of the theme, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import SignalInstance
from PySide6.QtGui import QFont, QFontMetricsF, QImage

from app.ui.icons import Icons
from app.ui.theme import Colors, Theme
from app.ui.transcript.colorer import Colorer
from app.ui.transcript.column import Measures


@dataclass(frozen=True, slots=True)
class Formula:
    """A drawn formula. Sizes in device-independent pixels; `depth` lies below the base line."""

    name: str
    image: QImage
    width: float
    height: float
    depth: float


class FormulaMaker(Protocol):
    """Draws LaTeX; None while it is not drawn, or when it cannot be read."""

    @property
    def drawn(self) -> SignalInstance: ...

    def formula(self, latex: str, look: Look, *, display: bool) -> Formula | None: ...

    def image(self, name: str) -> QImage | None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """Fonts, colours and the line height (`em`, pixels) a document is written with."""

    colors: Colors
    text: QFont
    code: QFont
    small: QFont
    em: float
    column: int
    formulas: FormulaMaker | None = None
    icons: Icons | None = None
    colorer: Colorer | None = None
    open_thinking: bool = False
    show_speed: bool = True

    @property
    def icon_size(self) -> int:
        """Of the small buttons: they grow with the text."""
        return max(15, round(self.em * 0.82))

    @property
    def gap(self) -> int:
        """Between blocks, and so between cells."""
        return round(self.em * 0.62)


def make_look(
    theme: Theme,
    icons: Icons | None = None,
    formulas: FormulaMaker | None = None,
    colorer: Colorer | None = None,
) -> Look:
    """Today's look."""
    return Look(
        colors=theme.colors,
        text=theme.text_font(),
        code=theme.code_font(),
        small=theme.small_font(),
        em=theme.em(),
        column=theme.column_width(),
        formulas=formulas,
        icons=icons,
        colorer=colorer,
    )


def measures_of(look: Look) -> Measures:
    """What height estimates need of the look."""
    text, code = QFontMetricsF(look.text), QFontMetricsF(look.code)
    return Measures(look.em * 1.42, text.averageCharWidth(), code.lineSpacing(), look.gap)
