"""Colours, fonts and distances, all derived from the palette and the system font.

Nothing here is computed at import. `Theme.changed` fires when the system, or the user, switches
between light and dark, when the text size changes and when presentation mode starts or ends;
whoever baked a colour or a font into a document renders again then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

Scheme = Literal["system", "light", "dark"]
ZOOM_STEPS = (0.75, 0.85, 0.92, 1.0, 1.1, 1.25, 1.4, 1.6, 1.85, 2.2)
_PRESENTATION_ZOOM = 1.6
_SCHEMES = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}


def mix(one: QColor, other: QColor, share: float) -> QColor:
    """`one` with `share` (0 to 1) of `other` in it."""
    keep = 1.0 - share
    return QColor(
        round(one.red() * keep + other.red() * share),
        round(one.green() * keep + other.green() * share),
        round(one.blue() * keep + other.blue() * share),
    )


@dataclass(frozen=True, slots=True)
class Colors:
    """What the palette has no role for, mixed from its roles."""

    text: QColor
    muted: QColor
    faint: QColor
    base: QColor
    window: QColor
    border: QColor
    bubble: QColor
    code: QColor
    inline_code: QColor
    hover: QColor
    accent: QColor
    on_accent: QColor
    link: QColor
    warning: QColor
    warning_back: QColor
    found: QColor
    found_here: QColor
    is_dark: bool


def derive_colors(palette: QPalette, *, high_contrast: bool = False) -> Colors:
    """The colours between the roles; `high_contrast` is for a stage."""
    role = QPalette.ColorRole
    text, base = palette.color(role.Text), palette.color(role.Base)
    window, accent = palette.color(role.Window), palette.color(role.Accent)
    dark = base.lightness() < text.lightness()
    amber = QColor("#e0a458") if dark else QColor("#a8620a")
    return Colors(
        text=text,
        muted=mix(text, base, 0.12 if high_contrast else 0.36),
        faint=mix(text, base, 0.3 if high_contrast else 0.5),
        base=base,
        window=window,
        border=mix(base, text, 0.3 if high_contrast else 0.13),
        bubble=mix(base, text, 0.075 if dark else 0.05),
        code=mix(base, text, 0.05 if dark else 0.03),
        inline_code=mix(base, text, 0.12 if dark else 0.07),
        hover=mix(base, text, 0.09),
        accent=accent,
        on_accent=palette.color(role.HighlightedText),
        link=palette.color(role.Link),
        warning=amber,
        warning_back=mix(base, amber, 0.12),
        found=mix(base, amber, 0.4),
        found_here=mix(base, QColor("#f08c00"), 0.75),
        is_dark=dark,
    )


def garret_palette(dark: bool) -> QPalette:
    """The palette for Fusion, which has none of a platform's own."""
    if dark:
        window, base, text = QColor("#1c1e1f"), QColor("#232627"), QColor("#e7e6e3")
        accent, on_accent, link = QColor("#58b09c"), QColor("#0d1f1b"), QColor("#7cc7e8")
    else:
        window, base, text = QColor("#f4f3f0"), QColor("#ffffff"), QColor("#23241f")
        accent, on_accent, link = QColor("#24705f"), QColor("#ffffff"), QColor("#1264a3")
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette(mix(window, text, 0.04), window)
    for name, color in {
        role.Window: window,
        role.WindowText: text,
        role.Base: base,
        role.AlternateBase: mix(base, text, 0.03),
        role.Text: text,
        role.Button: mix(window, text, 0.04),
        role.ButtonText: text,
        role.BrightText: QColor("#ffffff"),
        role.Light: mix(window, QColor("#ffffff"), 0.5 if not dark else 0.12),
        role.Midlight: mix(window, text, 0.08),
        role.Mid: mix(window, text, 0.2),
        role.Dark: mix(window, text, 0.3),
        role.Shadow: QColor("#000000"),
        role.Highlight: accent,
        role.HighlightedText: on_accent,
        role.Accent: accent,
        role.Link: link,
        role.LinkVisited: link,
        role.ToolTipBase: mix(base, text, 0.06),
        role.ToolTipText: text,
        role.PlaceholderText: mix(text, base, 0.45),
    }.items():
        palette.setColor(name, color)
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(group.Disabled, name, mix(text, window, 0.55))
    palette.setColor(group.Disabled, role.Highlight, mix(window, text, 0.2))
    return palette


_OUTLINES = {
    ("QCheckBox", "QRadioButton", "QMenu"): 0.6,
    ("QLineEdit", "QAbstractSpinBox", "QPlainTextEdit", "QTextEdit", "QListView"): 0.3,
}


def tint(widget: QWidget, color: QColor) -> None:
    """Gives a label or a flat button its colour; a label on Base draws with Text."""
    palette = widget.palette()
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):
        palette.setColor(role, color)
    widget.setPalette(palette)


def _outline(palette: QPalette, dark: bool) -> None:
    """Frames one can see: Fusion draws them darker than the window, which is dark already."""
    role = QPalette.ColorRole
    window, text = palette.color(role.Window), palette.color(role.WindowText)
    for names, share in _OUTLINES.items():
        own = QPalette(palette)
        if dark:
            own.setColor(role.Window, mix(window, text, share))
        for name in names:
            QApplication.setPalette(own, name)  # type: ignore[arg-type]


class Theme(QObject):
    """The look at this moment. Owned by the composition root, handed to every widget that draws."""

    changed = Signal()

    def __init__(self, app: QApplication, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._zoom = 1.0
        self._presenting = False
        self._code_family = ""
        self._own_palette = app.style().name().lower() == "fusion"
        self._hints = QGuiApplication.styleHints()
        self._hints.colorSchemeChanged.connect(self._on_scheme_changed)
        self._scheme: Scheme = "system"
        self._refresh()

    @property
    def colors(self) -> Colors:
        return self._colors

    @property
    def scheme(self) -> Scheme:
        """What the user chose, not what is shown."""
        return self._scheme

    @property
    def zoom(self) -> float:
        """Text size as a factor, with presentation mode in it."""
        return self._zoom * (_PRESENTATION_ZOOM if self._presenting else 1.0)

    @property
    def base_zoom(self) -> float:
        """What the user chose, without presentation mode."""
        return self._zoom

    @property
    def presenting(self) -> bool:
        return self._presenting

    def set_scheme(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._hints.setColorScheme(_SCHEMES[scheme])
        self._refresh()
        self.changed.emit()

    def set_presenting(self, on: bool) -> None:
        if on != self._presenting:
            self._presenting = on
            self._refresh()
            self.changed.emit()

    def set_code_family(self, family: str) -> None:
        """The font for code; "" is the system's."""
        if family != self._code_family:
            self._code_family = family
            self.changed.emit()

    def set_zoom(self, zoom: float) -> None:
        bounded = min(max(zoom, ZOOM_STEPS[0]), ZOOM_STEPS[-1])
        if bounded != self._zoom:
            self._zoom = bounded
            self.changed.emit()

    def zoom_by(self, steps: int) -> None:
        """One of the fixed steps up or down."""
        nearest = min(range(len(ZOOM_STEPS)), key=lambda i: abs(ZOOM_STEPS[i] - self._zoom))
        self.set_zoom(ZOOM_STEPS[min(max(nearest + steps, 0), len(ZOOM_STEPS) - 1)])

    def reset_zoom(self) -> None:
        self.set_zoom(1.0)

    def text_font(self, scale: float = 1.0) -> QFont:
        """The font of the transcript and the composer."""
        font = QFont(self._app.font())
        points = font.pointSizeF() if font.pointSizeF() > 0 else 10.0
        font.setPointSizeF(points * 1.07 * self.zoom * scale)
        return font

    def code_font(self, scale: float = 0.93) -> QFont:
        """The system's fixed-pitch font at the size of the text around it."""
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        if self._code_family:
            font.setFamily(self._code_family)
        font.setPointSizeF(self.text_font(scale).pointSizeF())
        font.setStyleHint(QFont.StyleHint.Monospace)
        return font

    def small_font(self) -> QFont:
        """For footers and captions."""
        return self.text_font(0.86)

    def em(self) -> float:
        """The height of one line of text in device-independent pixels."""
        return QFontMetricsF(self.text_font()).height()

    def column_width(self) -> int:
        """The widest comfortable text column, about 80 characters."""
        return round(QFontMetricsF(self.text_font()).averageCharWidth() * 84)

    def _on_scheme_changed(self, _scheme: Qt.ColorScheme) -> None:
        self._refresh()
        self.changed.emit()

    def _refresh(self) -> None:
        if self._own_palette:
            chosen = self._scheme
            dark = chosen == "dark" or (
                chosen == "system" and self._hints.colorScheme() == Qt.ColorScheme.Dark
            )
            palette = garret_palette(dark)
            self._app.setPalette(palette)
            _outline(palette, dark)
        self._colors = derive_colors(self._app.palette(), high_contrast=self._presenting)
