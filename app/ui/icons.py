"""Icons from resources/icons, tinted with the palette and tinted again when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, QTimerEvent
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

from app.ui.theme import Theme, mix

_SIZES = (16, 20, 24, 32)
_SCALES = (1.0, 2.0)
_LATER_MS = 20


class TakesIcon(Protocol):
    """A QAction, a QAbstractButton: anything with setIcon."""

    def setIcon(self, icon: QIcon, /) -> None: ...


def draw_svg(svg: bytes, size: int, scale: float) -> QPixmap:
    """One pixmap of `size` device-independent pixels."""
    return _draw(QSvgRenderer(QByteArray(svg)), size, scale)


def _draw(renderer: QSvgRenderer, size: int, scale: float) -> QPixmap:
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
        self._waiting: list[QAction] = []
        theme.changed.connect(self._retint)

    def bind(self, target: QObject, name: str, *, on_accent: bool = False) -> None:
        """Gives `target` (a button or an action) the icon and keeps its colour right."""
        self._bound[target] = (name, on_accent)
        if isinstance(target, QAction):  # in a menu, which nobody sees yet
            self._waiting.append(target)
            if len(self._waiting) == 1:
                self.startTimer(_LATER_MS)
        else:
            self._give(target)

    def _give(self, target: QObject) -> None:
        if isValid(target):  # else its C++ half went first; the entry follows with the rest
            name, on_accent = self._bound[target]
            target.setIcon(self.icon(name, on_accent=on_accent))  # type: ignore[attr-defined]

    def timerEvent(self, event: QTimerEvent) -> None:
        if self._waiting:
            self._give(self._waiting.pop(0))
        else:
            self.killTimer(event.timerId())

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
        for modes, color in (
            ((QIcon.Mode.Normal,), normal),
            ((QIcon.Mode.Active, QIcon.Mode.Selected), active),
            ((QIcon.Mode.Disabled,), disabled),
        ):
            renderer = QSvgRenderer(QByteArray(self._colored(name, color)))
            for size in _SIZES:
                for scale in _SCALES:
                    pixmap = _draw(renderer, size, scale)
                    for mode in modes:
                        icon.addPixmap(pixmap, mode)
        return icon

    def _colored(self, name: str, color: QColor) -> bytes:
        if name not in self._sources:
            self._sources[name] = (self._folder / f"{name}.svg").read_text(encoding="utf-8")
        return self._sources[name].replace("currentColor", color.name()).encode()

    def _retint(self) -> None:
        self._cache.clear()
        for target in list(self._bound):
            self._give(target)
