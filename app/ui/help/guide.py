"""The guide's pages as text, and a search over them. Pure but for reading the files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LINK = re.compile(r"\]\(([\w-]+)\.md\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"\*\*|[`#>|]|\]\([^)]*\)|\[|^\s*(?:-|\d+\.)\s|-{3,}", re.MULTILINE)
_AROUND_CHARS = 70


@dataclass(frozen=True, slots=True)
class GuidePage:
    """One page; `name` is its file without the ending, `text` is Markdown."""

    name: str
    title: str
    text: str

    @property
    def plain(self) -> str:
        """The words without Markdown's marks; code keeps its own."""
        prose = _FENCE.sub(lambda code: code[0].strip("`"), self.text)
        return " ".join(_MARKS.sub(" ", prose).split())


@dataclass(frozen=True, slots=True)
class Hit:
    """Where searched words stand: the page and the words around them."""

    page: GuidePage
    around: str


def load_guide(folder: Path) -> tuple[GuidePage, ...]:
    """The pages in the order of the index, which comes first."""
    index = _page(folder / "index.md")
    names = list(dict.fromkeys(_LINK.findall(index.text)))
    return (index, *(_page(folder / f"{name}.md") for name in names))


def search(pages: Sequence[GuidePage], text: str) -> tuple[Hit, ...]:
    """Pages with all the words, those with a word in the title first."""
    words = text.casefold().split()
    if not words:
        return ()
    found = []
    for page in pages:
        low = page.plain.casefold()
        if all(word in low for word in words):
            in_title = any(word in page.title.casefold() for word in words)
            found.append((not in_title, Hit(page, _around(page.plain, low, words[0]))))
    return tuple(hit for _rank, hit in sorted(found, key=lambda one: one[0]))


def _around(plain: str, low: str, word: str) -> str:
    at = low.find(word)
    start, end = max(0, at - _AROUND_CHARS), min(len(plain), at + _AROUND_CHARS)
    if start:
        start = plain.find(" ", start) + 1 or start
    if end < len(plain):
        end = plain.rfind(" ", start, end) if plain.rfind(" ", start, end) > at else end
    before = "…" if start else ""
    return f"{before}{plain[start:end].strip()}{'…' if end < len(plain) else ''}"


def _page(file: Path) -> GuidePage:
    text = file.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return GuidePage(file.stem, title[1] if title else file.stem, text)
