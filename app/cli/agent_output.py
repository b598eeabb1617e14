"""How `garret agent` shows a run: JSON lines for programs, plain lines for people."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Protocol, TextIO

from app.agent import events
from app.agent.types import Answer, visible
from app.cli.agent_json import event_json


class Output(Protocol):
    """Shows events and answers what is asked; deny and no are the answers of a program."""

    async def show(self, event: events.AgentEvent) -> None: ...


def refuse(event: events.AgentEvent) -> None:
    """The answers nobody gave: deny, and no."""
    if isinstance(event, events.Approval):
        event.resolve(Answer("deny", "Nobody is there to be asked; the answer is no."))
    elif isinstance(event, events.Question):
        event.resolve(False)


class JsonOutput:
    """One JSON object a line on stdout. Everything that would be asked is denied."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    async def show(self, event: events.AgentEvent) -> None:
        """Prints the event at once, so that a reader can follow."""
        refuse(event)
        if (line := event_json(event)) is not None:
            self.write(line)

    def write(self, line: dict[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=True) + "\n")
        self._stream.flush()


class PlainOutput:
    """The run as readable lines; cards are asked in the terminal, where there is one."""

    def __init__(self, *, interactive: bool) -> None:
        self._interactive = interactive
        self._in_text = False
        self._said = ""  # in the present step

    async def show(self, event: events.AgentEvent) -> None:
        """Prints one event."""
        if isinstance(event, events.StepStarted):
            self._said = ""
        if isinstance(event, events.Text):
            self._in_text = True
            self._said += event.text
            sys.stdout.write(visible(event.text))
            sys.stdout.flush()
            return
        if isinstance(event, events.Approval):
            await self._approve(event)
        elif isinstance(event, events.Question):
            answer = self._interactive and await _yes(f"{event.text} [y/N] ", event.answer)
            event.resolve(answer)
        elif isinstance(event, events.RunEnded):
            self._line(_plain_ended(event, self._said))
        elif (line := _plain(event)) is not None:
            self._line(line)

    async def _approve(self, event: events.Approval) -> None:
        request = event.request
        lines = [f"? {visible(request.title)}", f"  {event.reason}"]
        if request.why:
            lines.append(f"  The model says: {visible(request.why)}")
        lines += [f"  {visible(part)}" for part in request.command.splitlines()]
        lines += [f"  {visible(part)}" for part in request.diff.splitlines()]
        lines += [f"  ! {visible(part)}" for part in request.warnings]
        note = f" ({visible(request.undo_note)})" if request.undo_note else ""
        lines.append(f"  Can be undone: {request.undo}{note}")
        self._line("\n".join(lines))
        if not self._interactive:
            refuse(event)
            self._line("  No terminal to ask in: denied.")
            return
        allowed = await _yes("  Allow this? [y/N] ", event.answer)
        event.resolve(Answer("allow_once" if allowed else "deny"))

    def _line(self, text: str) -> None:
        if self._in_text:
            sys.stdout.write("\n")
            self._in_text = False
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


async def _yes(prompt: str, over: asyncio.Future[Any]) -> bool:
    """What the person types; no as soon as nobody waits for the answer any more (`over`)."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    try:
        loop.add_reader(sys.stdin.fileno(), read)
    except NotImplementedError:  # Windows
        return _is_yes(await asyncio.to_thread(sys.stdin.readline))
    try:
        await asyncio.wait({typed, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return typed.done() and _is_yes(typed.result())


def _is_yes(line: str) -> bool:
    return line.strip().lower() in ("y", "yes")


def _plain(event: events.AgentEvent) -> str | None:
    match event:
        case events.RunStarted():
            return f"Model {visible(event.model)}, working {_TIERS[event.tier]}."
        case events.TierChosen():
            return f"Now working {_TIERS[event.tier]}: {event.reason}"
        case events.AnswerDiscarded():
            return "(the answer above does not count)"
        case events.CallProposed():
            return f"• {visible(event.summary)}"
        case events.CallFinished():
            return _plain_finished(event)
        case events.TodosChanged():
            marks = {"completed": "x", "in_progress": ">", "pending": " "}
            lines = (f"  [{marks[item.status]}] {visible(item.content)}" for item in event.items)
            return "\n".join(lines)
        case events.TidyingMemory():
            if not event.done:
                return "Tidying memory …"
            return f"Tidied memory: {event.before_tokens} → {event.after_tokens} tokens."
        case events.WaitingForEngine():
            return f"{event.sentence} Asking again in {event.seconds:.1f} s."
        case events.TestsRun():
            return f"  tests {'pass' if event.passed else 'fail'} (try {event.round_number})"
    return None


_TIERS = {
    events.Tier.NATIVE: "with tools",
    events.Tier.JSON: "with tools described in the prompt",
    events.Tier.WHOLE_FILE: "on whole files",
}


def _plain_finished(event: events.CallFinished) -> str | None:
    outcome = event.outcome
    if outcome.is_error:
        first = outcome.text.strip().partition("\n")[0]
        return f"  ✗ {visible(first)}"
    changed = [
        f"{visible(change.path)} (+{change.added_lines} −{change.removed_lines})"
        for change in outcome.changes
    ]
    return f"  ✓ {', '.join(changed)}" if changed else None


def _plain_ended(event: events.RunEnded, said: str) -> str:
    lines = [""]
    if event.status != "done":
        lines.append(f"{event.status.capitalize()}: {visible(event.message)}")
    elif event.message != said.strip():
        lines.append(visible(event.message))
    if event.files_changed:
        lines.append("Changed: " + ", ".join(visible(path) for path in event.files_changed))
    tokens = event.tokens
    lines.append(
        f"{event.turns} steps, {event.seconds:.0f} s; {tokens.evaluated} tokens read, "
        f"{tokens.reused} reused, {tokens.written} written."
    )
    return "\n".join(lines)
