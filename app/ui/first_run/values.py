"""What the first-run panel and the strip of a coming model say. Pure."""

from __future__ import annotations

from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.session.first_run import Offer
from app.ui.engine_notice import EngineNotice
from app.ui.first_run.panel import PanelView
from app.ui.models.mapping import download_row
from app.ui.models.values import ModelRow, Verb, duration_text, size_text

GOOD = "good"
_LONGEST = 30


def panel_view(offer: Offer, progress: DownloadProgress | None, problem: str = "") -> PanelView:
    """The panel for what is offered, on its way, or not possible."""
    rows: list[ModelRow] = []
    if progress is not None and progress.phase != "cancelled":
        rows.append(_coming(progress))
    elif offer.row is not None:
        rows.append(_good(offer, problem))
    if progress is None:
        rows += [_found(number, one) for number, one in enumerate(offer.found)]
    if offer.row is None and progress is None:
        note = f"{offer.too_small} The tiny model goes on answering, quickly and with mistakes."
        return PanelView(
            "What this computer can do", tuple(rows), note, can_use_other_computer=True
        )
    note = offer.no_room
    if progress is not None and not progress.is_final:
        note = "Go on chatting. It takes over when it is ready; this conversation stays."
    return PanelView("A good model for this computer", tuple(rows), note)


def offer_facts(offer: Offer) -> tuple[str, ...]:
    """46 GB, fits with 64k context, about 1 h 5 min."""
    assert offer.row is not None
    facts = [size_text(offer.row.size_bytes)]
    if offer.context_tokens:
        facts.append(f"fits with {_thousands(offer.context_tokens)} context")
    facts.append(f"about {duration_text(offer.minutes * 60)} at 100 Mbit/s")
    return tuple(facts)


def coming_notice(progress: DownloadProgress | None) -> EngineNotice:
    """The strip over the composer while a model is on its way."""
    if progress is None or progress.phase in ("installed", "cancelled"):
        return EngineNotice()
    fraction = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    row = download_row(progress)
    if progress.phase == "failed":
        return EngineNotice(
            f"{progress.title}: {progress.error}",
            progress.remedy,
            "resume_download",
            "Try again",
            is_problem=True,
        )
    if progress.phase == "paused":
        return EngineNotice(
            f"{progress.title} · {row.progress}", "", "resume_download", "Resume", fraction
        )
    return EngineNotice(
        f"{progress.title} · {row.progress}", "", "pause_download", "Pause", fraction
    )


def _good(offer: Offer, problem: str) -> ModelRow:
    assert offer.row is not None
    return ModelRow(
        key=GOOD,
        title=offer.row.title,
        summary=offer.row.what,
        facts=offer_facts(offer),
        verbs=(Verb("get", "Try again" if problem else "Get it", is_main=True),),
        error=problem,
    )


def _coming(progress: DownloadProgress) -> ModelRow:
    row = download_row(progress)
    verbs: tuple[Verb, ...] = (Verb("pause", "Pause"), Verb("cancel", "Cancel"))
    if progress.phase in ("paused", "failed"):
        verbs = (Verb("resume", "Resume", is_main=True),)
    elif progress.phase == "installed":
        verbs = ()
    return ModelRow(
        key=GOOD,
        title=row.title,
        verbs=verbs,
        fraction=row.fraction,
        progress="Ready; it takes over in a moment." if not verbs else row.progress,
        error=row.error,
    )


def _found(number: int, found: Found) -> ModelRow:
    return ModelRow(
        key=str(number),
        title=_short(found.title),
        facts=(f"already on this computer, in {found.app}", size_text(found.size_bytes)),
        verbs=(Verb("use", "Use it"),),
    )


def _short(name: str) -> str:
    """A file's name may be longer than the window is wide."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _thousands(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens >= 1024 else str(tokens)
