"""What the hardware page draws. Pure values; the words are made in mapping.py."""

from __future__ import annotations

from dataclasses import dataclass

from app.ui.models.values import MemoryPicture


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the machine; `tip` says more."""

    name: str
    value: str
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of memory of the loaded model: as planned and as llama.cpp reports it, in bytes."""

    name: str
    planned_bytes: int
    reported_bytes: int
    tip: str = ""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model in memory; no `rows` while llama.cpp has reported nothing."""

    title: str
    words: str
    rows: tuple[Compared, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class HardwareView:
    """Everything on the page. `report` is plain text for a bug report, without private paths."""

    sentence: str
    notices: tuple[str, ...]
    pictures: tuple[MemoryPicture, ...]
    facts: tuple[Fact, ...]
    model: LoadedModel | None
    report: str
