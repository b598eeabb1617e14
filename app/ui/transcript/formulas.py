"""LaTeX drawn by ziamath, off the GUI thread, kept as pictures.

Until a formula is drawn its LaTeX is shown; `drawn` then says, for all that came in a moment,
which text to write again. The library is imported with the first formula: most chats have none,
and it takes a while.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from PySide6.QtCore import QByteArray, QObject, QRectF, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import QFontMetricsF, QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from app.ui.transcript.look import Formula, Look
from app.ui.transcript.text_browser import FORMULA_SCHEME

_log = logging.getLogger(__name__)
MAX_LATEX_CHARS = 600
_MAX_KEPT = 1_500
_MOST_DRAWINGS = 4  # of one formula: more are on the screen than are kept, so it stays text
_GATHER_MS = 40
_MAX_WIDTH = 2_000
_MAX_AREA = 600_000
_MAX_KEPT_BYTES = 48_000_000
_DISPLAY_SCALE = 1.12
_TALL = re.compile(r"\\(?:[dt]?frac|binom|cfrac)")  # set small they cannot be read on a 1x screen


@dataclass(frozen=True, slots=True)
class _Drawing:
    """One formula as it is wanted. `size` in pixels."""

    latex: str
    size: float
    color: str
    display: bool

    @property
    def name(self) -> str:
        digest = sha256(repr((self.latex, self.size, self.color, self.display)).encode())
        return f"{FORMULA_SCHEME}:{digest.hexdigest()[:24]}"


class Formulas(QObject):
    """The FormulaMaker of the window."""

    drawn = Signal(object)  # frozenset of the LaTeX that can be shown now
    _done = Signal(object, object)  # _Drawing, Formula or None; crosses the threads

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[str, Formula | None] = OrderedDict()
        self._kept_bytes = 0
        self._waiting: set[str] = set()
        self._drawings: Counter[str] = Counter()
        self._fresh: set[str] = set()
        self._gather = QTimer(self)
        self._gather.setSingleShot(True)
        self._gather.setInterval(_GATHER_MS)
        self._gather.timeout.connect(self._on_gathered)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._done.connect(self._on_done, Qt.ConnectionType.QueuedConnection)

    def formula(self, latex: str, look: Look, *, display: bool) -> Formula | None:
        """The picture, if it is drawn; otherwise None, and `drawn` follows."""
        if not latex.strip() or len(latex) > MAX_LATEX_CHARS:
            return None
        size = QFontMetricsF(look.text).height() * 0.8 * (_DISPLAY_SCALE if display else 1.0)
        drawing = _Drawing(latex, round(size, 1), look.colors.text.name(), display)
        name = drawing.name
        if name in self._kept:
            self._kept.move_to_end(name)
            made = self._kept[name]
            return _fitted(made, look) if made is not None and not display else made
        if name not in self._waiting and self._drawings[name] < _MOST_DRAWINGS:
            self._waiting.add(name)
            self._drawings[name] += 1
            scale = _scale()
            self._pool.start(lambda: self._draw(drawing, scale))
        return None

    def image(self, name: str) -> QImage | None:
        """What a document asks for by name."""
        made = self._kept.get(name.partition("#")[0])
        if made is None:
            return None
        _name, mark, bottom = name.partition("#")
        return _padded(made, float(bottom)) if mark else made.image

    def close(self) -> None:
        """Waits for the formula being drawn; no other begins."""
        self._pool.clear()
        self._pool.waitForDone()

    def _draw(self, drawing: _Drawing, scale: float) -> None:
        """In the pool's thread."""
        try:
            library = importlib.import_module("ziamath")
            library.config.svg2 = False  # QtSvg draws paths, not <symbol>
            is_small = not drawing.display and not _TALL.search(drawing.latex)
            made = library.Latex(
                drawing.latex, size=drawing.size, color=drawing.color, inline=is_small
            )
            svg, depth = made.svg().encode(), float(-made.getyofst())
            result = _rendered(drawing.name, svg, depth, scale)
        except Exception as error:  # noqa: BLE001  the library raises whatever it meets
            _log.debug("formula not drawn: %s", type(error).__name__)
            result = None
        self._done.emit(drawing, result)

    def _on_done(self, drawing: _Drawing, result: Formula | None) -> None:
        self._waiting.discard(drawing.name)
        self._kept[drawing.name] = result
        self._kept_bytes += _bytes_of(result)
        while len(self._kept) > _MAX_KEPT or self._kept_bytes > _MAX_KEPT_BYTES:
            self._kept_bytes -= _bytes_of(self._kept.popitem(last=False)[1])
        if result is not None:
            self._fresh.add(drawing.latex)
            if not self._gather.isActive():
                self._gather.start()

    def _on_gathered(self) -> None:
        fresh, self._fresh = frozenset(self._fresh), set()
        self.drawn.emit(fresh)


def _bytes_of(made: Formula | None) -> int:
    return made.image.sizeInBytes() if made is not None else 0


def _scale() -> float:
    """Pixels a picture has for each of the screen's device-independent ones."""
    screen = QGuiApplication.primaryScreen()
    return max(screen.devicePixelRatio() if screen is not None else 1.0, 2.0)


def _rendered(name: str, svg: bytes, depth: float, scale: float) -> Formula | None:
    renderer = QSvgRenderer(QByteArray(svg))
    renderer.setViewBox(renderer.viewBoxF().adjusted(-0.5, -0.5, 2.0, 0.5))
    size = renderer.viewBoxF().size()
    if size.isEmpty() or size.width() > _MAX_WIDTH or size.width() * size.height() > _MAX_AREA:
        return None
    pixels = (size * scale).toSize()
    image = QImage(pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    renderer.render(painter, QRectF(0, 0, pixels.width(), pixels.height()))
    painter.end()
    image.setDevicePixelRatio(scale)
    return Formula(name, image, size.width(), size.height(), depth + 0.5)


def _fitted(made: Formula, look: Look) -> Formula:
    """An inline formula padded at the bottom so that Qt puts it on the base line.

    Qt knows two places: the bottom as deep as the font's (`AlignBaseline`), or the middle on the
    base line (`AlignMiddle`), which serves what is deeper, like a fraction.
    """
    descent = QFontMetricsF(look.text).descent()
    if made.depth > descent + 0.5:
        bottom = max(made.height - 2 * made.depth, 0.0)
    else:
        bottom = max(descent - made.depth, 0.0)
    if bottom <= 0.01:
        return made
    name = f"{made.name}#{bottom:.2f}"
    return Formula(name, made.image, made.width, made.height + bottom, made.depth)


def _padded(made: Formula, bottom: float) -> QImage:
    scale = made.image.devicePixelRatio()
    image = QImage(
        made.image.width(), made.image.height() + round(bottom * scale), made.image.format()
    )
    image.fill(Qt.GlobalColor.transparent)
    image.setDevicePixelRatio(scale)
    painter = QPainter(image)
    painter.drawImage(0, 0, made.image)
    painter.end()
    return image
