"""A text file as text and back, byte for byte: encoding, byte-order mark and line ends are kept."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SNIFF_BYTES = 8192


@dataclass(frozen=True, slots=True)
class TextFile:
    """Decoded content; `encode(text)` of the same text gives the same bytes again."""

    text: str
    encoding: str
    mark: bytes = b""

    @property
    def line_end(self) -> str:
        """The line end most lines of the file use; "\\n" for a file of one line."""
        crlf = self.text.count("\r\n")
        return "\r\n" if crlf > self.text.count("\n") - crlf else "\n"

    def encode(self, text: str) -> bytes:
        """The bytes of another text in this file's encoding.

        Raises:
            UnicodeEncodeError: a character does not exist in the encoding.
        """
        return self.mark + text.encode(self.encoding)


def decode(data: bytes) -> TextFile | None:
    """The text of a file, None for a binary one.

    UTF-8 (with or without mark), UTF-16 with mark, else Latin-1, which maps every byte to one
    character and back.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return TextFile(data[len(mark) :].decode(encoding), encoding, mark)
            except UnicodeDecodeError:
                return None
    if b"\0" in data[:_SNIFF_BYTES]:
        return None
    try:
        return TextFile(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    controls = sum(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in data[:_SNIFF_BYTES])
    if controls > len(data[:_SNIFF_BYTES]) // 20:
        return None
    return TextFile(data.decode("latin-1"), "latin-1")
