"""An imaginary language for the picture gallery: it shows what is cut, and what `tr` misses."""

from __future__ import annotations

import re

from PySide6.QtCore import QTranslator

_ACCENTS = str.maketrans("aeiouAEIOUcnsz", "áéíóúÁÉÍÓÚçñšž")
_KEPT = re.compile(r"(\{[^}]*\}|&)")


def pseudo(words: str) -> str:
    """Accented and a third longer; blanks to fill and mnemonics stay."""
    parts = _KEPT.split(words)
    accented = "".join(p if _KEPT.fullmatch(p) else p.translate(_ACCENTS) for p in parts)
    return f"[{accented}{'~' * (len(words) // 3)}]"


class PseudoTranslator(QTranslator):
    """Translates every text that goes through `tr`."""

    def isEmpty(self) -> bool:
        return False

    def translate(
        self,
        _context: str | bytes,
        source: str | bytes,
        _comment: str | bytes | None = None,
        _count: int = -1,
    ) -> str:
        return pseudo(source.decode() if isinstance(source, bytes) else source)
