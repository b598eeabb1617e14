"""Icons from resources/icons, tinted with the palette and tinted again when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

from app.ui.theme import Theme, mix

_SIZES = (16, 20, 24, 32)
_SCALES = (1.0, 2.0)


class TakesIcon(Protocol):
    """A QAction, a QAbstractButton: anything with setIcon."""

    def setIcon(self, icon: QIcon, /) -> None: ...


def draw_svg(svg: bytes, size: int, scale: float) -> QPixmap:
    """One pixmap of `size` device-independent pixels."""
    renderer = QSvgRenderer(QByteArray(svg))
    pixmap = QPixmap(QSize(round(size * scale), round(size * scale)))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size * scale, size * scale))
    painter.end()
    pixmap.setDevicePixelRatio(scale)
    return pixmap


class Icons(QObject):
    """Loads icons by file name and keeps those bound to widgets in the palette's colours."""

    def __init__(self, folder: Path, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._theme = theme
        self._bound: WeakKeyDictionary[QObject, tuple[str, bool]] = WeakKeyDictionary()
        self._sources: dict[str, str] = {}
        self._cache: dict[tuple[str, bool], QIcon] = {}
        theme.changed.connect(self._retint)

    def bind(self, target: QObject, name: str, *, on_accent: bool = False) -> None:
        """Gives `target` (a button or an action) the icon and keeps its colour right."""
        self._bound[target] = (name, on_accent)
        target.setIcon(self.icon(name, on_accent=on_accent))  # type: ignore[attr-defined]

    def icon(self, name: str, *, on_accent: bool = False) -> QIcon:
        """The icon in today's colours; `on_accent` for buttons filled with the accent."""
        key = (name, on_accent)
        if key not in self._cache:
            colors = self._theme.colors
            strong = colors.on_accent if on_accent else colors.text
            normal = strong if on_accent else mix(colors.text, colors.base, 0.22)
            self._cache[key] = self._make(name, normal, strong, mix(colors.text, colors.base, 0.65))
        return self._cache[key]

    def pixmap(self, name: str, size: int, color: QColor, scale: float) -> QPixmap:
        """One picture in one colour, for labels and delegates."""
        return draw_svg(self._colored(name, color), size, scale)

    def app_icon(self) -> QIcon:
        """The icon of windows and the task bar, untinted."""
        svg = (self._folder / "garret.svg").read_bytes()
        icon = QIcon()
        for size in (16, 24, 32, 48, 64, 128, 256):
            icon.addPixmap(draw_svg(svg, size, 1.0))
        return icon

    def _make(self, name: str, normal: QColor, active: QColor, disabled: QColor) -> QIcon:
        icon = QIcon()
        for mode, color in (
            (QIcon.Mode.Normal, normal),
            (QIcon.Mode.Active, active),
            (QIcon.Mode.Selected, active),
            (QIcon.Mode.Disabled, disabled),
        ):
            svg = self._colored(name, color)
            for size in _SIZES:
                for scale in _SCALES:
                    icon.addPixmap(draw_svg(svg, size, scale), mode)
        return icon

    def _colored(self, name: str, color: QColor) -> bytes:
        if name not in self._sources:
            self._sources[name] = (self._folder / f"{name}.svg").read_text(encoding="utf-8")
        return self._sources[name].replace("currentColor", color.name()).encode()

    def _retint(self) -> None:
        self._cache.clear()
        for target, (name, on_accent) in list(self._bound.items()):
            if not isValid(target):  # its C++ half went first; the entry follows with the rest
                continue
            target.setIcon(self.icon(name, on_accent=on_accent))  # type: ignore[attr-defined]
