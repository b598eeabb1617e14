"""What the demo page shows. Pure; the words are made here."""

from __future__ import annotations

from dataclasses import dataclass

from app.session.demo_events import DemoReport
from app.session.demos import DemoCard
from app.ui.words import count_words, duration_words, speed_words

KINDS = {"chat": "Chat", "agent": "Agent"}
ONLY_LOOKS = "Agent, only looks"


@dataclass(frozen=True, slots=True)
class CardFace:
    """A card as it lies on the page. `obstacle` says what it needs that is not there."""

    card_id: str
    title: str
    summary: str
    kind: str
    footer: str = ""
    obstacle: str = ""

    @property
    def spoken(self) -> str:
        """All of it in one line, for a screen reader."""
        return ". ".join(
            part.rstrip(".") for part in (self.title, self.kind, self.summary, self.below) if part
        )

    @property
    def below(self) -> str:
        return self.obstacle or self.footer


@dataclass(frozen=True, slots=True)
class Fact:
    """A heading with plain sentences."""

    heading: str
    lines: tuple[str, ...]
    is_warning: bool = False


def card_face(
    card: DemoCard, expected_s: float | None, *, is_read: bool, obstacle: str = ""
) -> CardFace:
    """The card for this model on this machine."""
    words = []
    if expected_s is not None:
        words.append(f"about {duration_words(max(1, round(expected_s)))} here")
    if is_read:
        words.append("begins at once")
    kind = ONLY_LOOKS if card.mode == "look" else KINDS[card.kind]
    return CardFace(card.card_id, card.title, card.summary, kind, " · ".join(words), obstacle)


def end_line(report: DemoReport) -> str:
    """One line for the end of a run."""
    state = {"done": "Done", "stopped": "Stopped", "failed": "Could not finish"}[report.status]
    words = [f"{state} in {duration_words(report.seconds)}"]
    if report.written_per_s:
        words.append(speed_words(report.written_per_s))
    if report.verified is not None:
        words.append("checked: it works" if report.verified else "checked: it does not work yet")
    return " · ".join(words)


def facts(card: DemoCard, report: DemoReport) -> tuple[Fact, ...]:
    """What just happened, in plain words."""
    found = [Fact("What it was given", (card.what_happened,)), _read(report), _wrote(report)]
    if report.steps:
        found.append(Fact("What it did", report.steps))
    if report.verified is not None:
        found.append(
            Fact(
                "Does it work?",
                (
                    "Garret checked the result: it works."
                    if report.verified
                    else "Garret checked the result: it does not work yet. A larger model may do "
                    "better.",
                ),
            )
        )
    if report.status != "done":
        found.append(Fact("Why it ended", (report.message or "It was stopped.",), is_warning=True))
    if report.restarts:
        times = "once" if report.restarts == 1 else f"{report.restarts} times"
        found.append(
            Fact("The engine", (f"It stopped and was started again {times}; the work went on.",))
        )
    found.append(_left(report))
    return tuple(found)


def _read(report: DemoReport) -> Fact:
    tokens = report.tokens
    total = tokens.evaluated + tokens.reused
    lines = [f"{count_words(total)} tokens (pieces of words) in all."]
    if tokens.reused:
        lines.append(f"{count_words(tokens.reused)} of them it had read before and remembered.")
    if report.first_word_s is not None:
        lines.append(f"The first word came after {duration_words(report.first_word_s)}.")
    return Fact("What the model read", tuple(lines))


def _wrote(report: DemoReport) -> Fact:
    lines = [f"{count_words(report.tokens.written)} tokens."]
    if report.written_per_s:
        lines = [
            f"{count_words(report.tokens.written)} tokens, {speed_words(report.written_per_s)}."
        ]
    if report.files_written:
        lines.append(f"Files: {', '.join(report.files_written)}.")
    return Fact("What the model wrote", tuple(lines))


def _left(report: DemoReport) -> Fact:
    proof = report.proof
    heading = "What left this computer"
    if proof.elsewhere:
        where = ", ".join(proof.elsewhere)
        words = (
            f"While it ran, Garret had a connection to {where}. A download that goes on does this; "
            "see Privacy in the settings."
        )
        return Fact(heading, (words,), is_warning=True)
    if not proof.is_clean:
        return Fact(heading, ("This system does not let Garret look at its connections.",))
    processes = "process" if proof.processes == 1 else f"{proof.processes} processes"
    looks = "once" if proof.looks == 1 else f"{proof.looks} times"
    lines = [
        f"Nothing. Garret looked {looks} at all connections of its {processes}: none led to "
        "another computer."
    ]
    if report.is_fenced:
        lines.append("Commands ran in a fence that has no network at all.")
    return Fact(heading, tuple(lines))
