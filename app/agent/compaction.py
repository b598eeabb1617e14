"""Tidying memory: a long conversation becomes a short one before it fills the context.

The summary is asked for at the end of the live conversation, so the engine has nothing to read
anew; then the conversation restarts from the same system prompt, which the engine still knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from app.agent.events import TidyingMemory
from app.agent.prompt import prompt_text
from app.agent.run import Ended, Run, message_chars
from app.core.errors import ContextFull, GarretError
from app.core.messages import Message, ToolResultPart
from app.core.ports import ToolSpec

MUST_SHRINK_TO = 0.5
_SUMMARY_CHARS = 8_000
_REQUEST_CHARS = 6_000
_LEAST_SUMMARY_CHARS = 80
_RECENT_CALLS = 30


def is_due(run: Run) -> bool:
    """Whether the next prompt would pass the share of the context that is kept free."""
    if run.context_tokens is None:
        return False
    return run.talk.estimated_tokens > run.options.compact_at * run.context_tokens


async def tidy(run: Run, tools: Sequence[ToolSpec], request_text: str) -> Ended | None:
    """Replaces the conversation by a summary; how the run ends where that cannot be done.

    Raises:
        Stopped: the user pressed Stop.
    """
    before = run.talk.estimated_tokens
    before_chars = _chars(run.talk.messages)
    run.emit(TidyingMemory(before_tokens=before))
    summary = await _ask_for_summary(run, tools)
    if len(summary) < _LEAST_SUMMARY_CHARS:
        summary = _own_summary(run)
    for limit in (_SUMMARY_CHARS, _SUMMARY_CHARS // 4):
        messages = _restart_messages(run, _head_and_tail(summary, limit), request_text)
        after_chars = _chars(messages)
        if after_chars <= MUST_SHRINK_TO * before_chars:
            break
    else:
        return Ended(
            "stopped",
            "The model's context is too small for this task: there is nothing left to tidy. "
            "Load the model with a larger context, or give a smaller task.",
        )
    await run.restart(messages)
    run.count("tidied")
    run.emit(TidyingMemory(True, before, run.talk.estimated_tokens))
    return None


def _chars(messages: Sequence[Message]) -> int:
    """Size of what can shrink: everything but the system prompt."""
    return sum(message_chars(message) for message in messages if message.role != "system")


async def _ask_for_summary(run: Run, tools: Sequence[ToolSpec]) -> str:
    """The model's own hand-over; empty where it has no room or will not write one."""
    run.talk.add(Message.of("user", prompt_text("hand_over")))
    try:
        answer = await run.ask(tools, counts_as_step=False)
    except ContextFull:
        return ""
    except GarretError as error:
        if "context" in str(error).lower():
            return ""
        raise
    return "" if answer.calls or answer.repeating else answer.text.strip()


def _restart_messages(run: Run, summary: str, request_text: str) -> list[Message]:
    system = [message for message in run.talk.messages[:1] if message.role == "system"]
    files = _files(run)
    text = (
        "This conversation goes on from an earlier one that was summarised.\n\n"
        f"<summary>\n{summary}\n</summary>\n\n"
        + (f"Files changed so far (SHA-256 of their content now):\n{files}\n\n" if files else "")
        + f"The user's request, in their own words:\n{_head_and_tail(request_text, _REQUEST_CHARS)}"
        "\n\nGo on with what is left to do. Read files again before you edit them."
    )
    return [*system, Message.of("user", text)]


def _files(run: Run) -> str:
    lines = []
    for path in sorted(run.changes):
        try:
            content = run.hands.workspace.read_bytes(path)
        except (GarretError, OSError):
            lines.append(f"- {path} (deleted)")
        else:
            lines.append(f"- {path} {hashlib.sha256(content).hexdigest()[:12]}")
    return "\n".join(lines[:50])


def _own_summary(run: Run) -> str:
    """A plain list of what was called, for a model that writes no summary."""
    results = {
        part.call_id: part
        for message in run.talk.messages
        for part in message.parts
        if isinstance(part, ToolResultPart)
    }
    lines = []
    for message in run.talk.messages:
        for call in message.tool_calls:
            result = results.get(call.call_id)
            state = "failed" if result is not None and result.is_error else "done"
            lines.append(f"- {call.name} {_short(call.arguments)}: {state}")
    return "Calls made so far, oldest first:\n" + "\n".join(lines[-_RECENT_CALLS:])


def _short(arguments: str) -> str:
    try:
        values = json.loads(arguments)
    except ValueError:
        return ""
    if not isinstance(values, dict):
        return ""
    return ", ".join(str(value)[:80].replace("\n", " ") for value in list(values.values())[:2])


def _head_and_tail(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - limit} characters left out …]\n{text[-half:]}"
