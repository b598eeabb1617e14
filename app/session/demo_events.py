"""What a demo tells while it runs, and the report that is left of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.agent.events import (
    AgentEvent,
    CallFinished,
    CallProposed,
    RunEnded,
    RunStatus,
    StepEnded,
    StepStarted,
    TestsRun,
    Text,
    Thinking,
    TokenCount,
    WaitingForEngine,
    WritingCall,
)
from app.session.own_connections import ConnectionProof

MAX_STEPS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What just happened, in figures. Times are in seconds.

    `verified` is what the card's own check said; None where a person judges. `steps` are the
    tools in plain words. `first_word_s` is the wait before anything was written.
    """

    card_id: str
    model_id: str
    status: RunStatus = "stopped"
    message: str = ""
    seconds: float = 0.0
    first_word_s: float | None = None
    tokens: TokenCount = field(default_factory=TokenCount)
    writing_s: float = 0.0
    steps: tuple[str, ...] = ()
    files_written: tuple[str, ...] = ()
    verified: bool | None = None
    restarts: int = 0
    is_fenced: bool | None = None
    proof: ConnectionProof = field(default_factory=ConnectionProof)

    @property
    def written_per_s(self) -> float:
        """Tokens per second while it wrote; 0 when unknown."""
        return self.tokens.written / self.writing_s if self.writing_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class DemoEnded:
    """The last event of a demo."""

    report: DemoReport


@dataclass(frozen=True, slots=True)
class EngineRestarted:
    """The watchdog found the engine silent or gone and started it again."""

    sentence: str


DemoEvent = AgentEvent | EngineRestarted | DemoEnded


class ReportBuilder:
    """Gathers a report from the events of a run. `clock` is monotonic, in seconds."""

    def __init__(self, card_id: str, model_id: str, started_s: float) -> None:
        self._report = DemoReport(card_id, model_id)
        self._started_s = started_s
        self._step_s = started_s
        self._word_s: float | None = None
        self._steps: list[str] = []
        self._summaries: dict[str, str] = {}

    def add(self, event: DemoEvent, now_s: float) -> None:
        """Takes one event."""
        report = self._report
        match event:
            case StepStarted():
                self._word_s = None
            case Text() | Thinking() | WritingCall():
                if self._word_s is None:
                    self._word_s = now_s
                if report.first_word_s is None:
                    self._report = replace(report, first_word_s=now_s - self._started_s)
            case StepEnded():
                if self._word_s is not None:
                    spent = report.writing_s + now_s - self._word_s
                    self._report = replace(report, writing_s=spent)
                self._word_s = None
            case CallProposed(call, _kind, summary):
                self._summaries[call.call_id] = summary
            case CallFinished(call, outcome):
                words = "not allowed" if outcome.denied else "failed" if outcome.is_error else ""
                summary = self._summaries.get(call.call_id, call.name)
                self._steps.append(f"{summary} ({words})" if words else summary)
            case TestsRun(command, passed):
                self._steps.append(f"{command}: {'passed' if passed else 'failed'}")
            case EngineRestarted() | WaitingForEngine():
                self._report = replace(report, restarts=report.restarts + 1)
            case RunEnded():
                self._report = replace(
                    report,
                    status=event.status,
                    message=event.message,
                    tokens=event.tokens,
                    files_written=event.files_changed,
                )
            case _:
                return

    def finished(
        self, now_s: float, verified: bool | None, is_fenced: bool | None, proof: ConnectionProof
    ) -> DemoReport:
        """The whole report."""
        return replace(
            self._report,
            seconds=now_s - self._started_s,
            steps=tuple(self._steps[:MAX_STEPS_SHOWN]),
            verified=verified,
            is_fenced=is_fenced,
            proof=proof,
        )
