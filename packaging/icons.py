"""The program's icon in every format a desktop asks for, drawn from resources/icons/garret.svg."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

PNG_SIZES = (16, 24, 32, 48, 64, 128, 256, 512, 1024)
ICO_SIZES = (16, 24, 32, 48, 64, 128, 256)
ICNS_KINDS = {b"icp4": 16, b"icp5": 32, b"icp6": 64, b"ic07": 128, b"ic08": 256, b"ic09": 512}
ICNS_KINDS_2X = {b"ic11": 32, b"ic12": 64, b"ic13": 256, b"ic14": 512, b"ic10": 1024}


def draw_pngs(svg: bytes, sizes: tuple[int, ...]) -> dict[int, bytes]:
    """The picture as PNG files by width in pixels."""
    from PySide6.QtCore import QBuffer, QByteArray, QRectF, Qt
    from PySide6.QtGui import QImage, QImageWriter, QPainter
    from PySide6.QtSvg import QSvgRenderer

    renderer = QSvgRenderer(QByteArray(svg))
    if not renderer.isValid():
        raise ValueError("the icon is not a valid SVG")
    pngs = {}
    for size in sizes:
        image = QImage(size, size, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        renderer.render(painter, QRectF(0, 0, size, size))
        painter.end()
        buffer = QBuffer()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        QImageWriter(buffer, QByteArray(b"png")).write(image)
        pngs[size] = bytes(buffer.data().data())
    return pngs


def ico(pngs: dict[int, bytes]) -> bytes:
    """A Windows icon file holding PNGs."""
    offset = 6 + 16 * len(pngs)
    head, body = struct.pack("<HHH", 0, 1, len(pngs)), b""
    for size, png in sorted(pngs.items()):
        edge = size % 256  # 0 stands for 256
        head += struct.pack("<BBBBHHII", edge, edge, 0, 0, 1, 32, len(png), offset + len(body))
        body += png
    return head + body


def icns(pngs: dict[int, bytes]) -> bytes:
    """A macOS icon file holding PNGs."""
    body = b""
    for kind, size in {**ICNS_KINDS, **ICNS_KINDS_2X}.items():
        body += kind + struct.pack(">I", len(pngs[size]) + 8) + pngs[size]
    return b"icns" + struct.pack(">I", len(body) + 8) + body


def write_all(svg: Path, target: Path) -> None:
    """Writes garret-<size>.png, garret.ico and garret.icns into a folder."""
    pngs = draw_pngs(svg.read_bytes(), PNG_SIZES)
    target.mkdir(parents=True, exist_ok=True)
    for size, png in pngs.items():
        (target / f"garret-{size}.png").write_bytes(png)
    (target / "garret.ico").write_bytes(ico({size: pngs[size] for size in ICO_SIZES}))
    (target / "garret.icns").write_bytes(icns(pngs))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), Path(sys.argv[2]))
