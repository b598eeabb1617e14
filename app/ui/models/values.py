"""What the models page draws. Pure values; the words are made here, not in widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["fits", "tight", "too big", ""]
VERDICT_WORDS: dict[Verdict, str] = {
    "fits": "Fits",
    "tight": "Tight",
    "too big": "Too big",
    "": "",
}
VERDICT_HELP: dict[Verdict, str] = {
    "fits": "This machine has enough memory for it.",
    "tight": "It loads, but with little room for long conversations.",
    "too big": "It needs more memory than this machine has.",
    "": "",
}


@dataclass(frozen=True, slots=True)
class Verb:
    """A button of a row or a section. `name` goes into the page's signal."""

    name: str
    title: str
    is_main: bool = False
    tip: str = ""


@dataclass(frozen=True, slots=True)
class PoolPart:
    """A piece of a memory bar. `role` chooses its colour."""

    title: str
    size_bytes: int
    role: Literal["weights", "context", "work", "other", "free", "reserve"]


@dataclass(frozen=True, slots=True)
class MemoryPicture:
    """One memory pool as a bar: its name and its pieces, in bytes."""

    title: str
    parts: tuple[PoolPart, ...]

    @property
    def total_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of the page.

    `fraction` None: no bar. `facts` are short pieces (size, speed, context) set side by side.
    `more` are the verbs behind the row's menu button; `picture` is drawn under the facts.
    """

    key: str
    title: str
    summary: str = ""
    facts: tuple[str, ...] = ()
    verdict: Verdict = ""
    label: str = ""  # "Recommended", "In use", "Faster", "Better"
    verbs: tuple[Verb, ...] = ()
    more: tuple[Verb, ...] = ()
    fraction: float | None = None
    progress: str = ""
    error: str = ""
    picture: MemoryPicture | None = None

    def with_more(self, more: tuple[Verb, ...]) -> ModelRow:
        """The same with other verbs behind its menu button."""
        return replace(self, more=more)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with rows; `note` stands under the heading, `empty` where there are no rows.

    `choices` are (value, title) of a menu beside the heading, `choice_name` says what it chooses;
    `verbs` are buttons there, `footer` and its verbs stand below the rows.
    """

    key: str
    title: str
    rows: tuple[ModelRow, ...] = ()
    note: str = ""
    empty: str = ""
    choice_name: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    chosen: str = ""
    verbs: tuple[Verb, ...] = ()
    footer: str = ""
    footer_verbs: tuple[Verb, ...] = ()


def size_text(size_bytes: int) -> str:
    """Sizes as people read them: 46 GB, 5.7 GB, 98 MB."""
    if size_bytes >= 10e9:
        return f"{size_bytes / 1e9:.0f} GB"
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{max(1, round(size_bytes / 1e6)) if size_bytes else 0} MB"


def memory_text(size_bytes: int) -> str:
    """Memory is sold in powers of two: a 64 GB machine has 64 GiB."""
    gib = size_bytes / (1 << 30)
    if gib < 0.1:
        return f"{size_bytes / (1 << 20):.0f} MB"
    return f"{gib:.0f} GB" if gib >= 10 else f"{gib:.1f} GB"


def duration_text(seconds: float) -> str:
    """Time left in the two largest units: 1 h 5 min, 3 min, 20 s."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        hours, rest = divmod(whole, 3600)
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    if whole >= 90:
        return f"{round(whole / 60)} min"
    return f"{whole} s"


def context_text(n_ctx: int) -> str:
    """A context in pages of 500 words (three words for four tokens)."""
    return f"remembers about {max(1, n_ctx * 3 // 4 // 500):,} pages"
