"""A run as JSON lines: the form of `garret agent --json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from app.agent import events


def event_json(event: events.AgentEvent) -> dict[str, Any] | None:
    """One JSON line of an event; None for what is too fine to print."""
    form = _FORMS.get(type(event))
    return None if form is None else {"type": _TYPES[type(event)], **form(event)}


def tokens_json(tokens: events.TokenCount) -> dict[str, int]:
    """Token counts under the names the last line is documented with."""
    return {
        "tokens_evaluated": tokens.evaluated,
        "tokens_reused": tokens.reused,
        "tokens_written": tokens.written,
    }


def _started(event: events.RunStarted) -> dict[str, Any]:
    return {
        "run": event.run_id,
        "model": event.model,
        "tier": event.tier.value,
        "context_tokens": event.context_tokens,
    }


def _step_ended(event: events.StepEnded) -> dict[str, Any]:
    return {
        "number": event.number,
        "seconds": round(event.seconds, 3),
        **tokens_json(event.tokens),
    }


def _call(event: events.CallProposed) -> dict[str, Any]:
    return {
        "id": event.call.call_id,
        "tool": event.call.name,
        "arguments": _arguments(event.call.arguments),
        "summary": event.summary,
    }


def _approval(event: events.Approval) -> dict[str, Any]:
    request = event.request
    return {
        "id": request.call_id,
        "title": request.title,
        "reason": event.reason,
        "command": request.command,
        "paths": list(request.paths),
        "answer": "deny",
    }


def _finished(event: events.CallFinished) -> dict[str, Any]:
    outcome = event.outcome
    return {
        "id": event.call.call_id,
        "tool": event.call.name,
        "ok": not outcome.is_error,
        "denied": outcome.denied,
        "stopped": outcome.stopped,
        "text": outcome.text,
        "exit_code": outcome.exit_code,
        "changes": [{"path": change.path, "kind": change.kind} for change in outcome.changes],
        "seconds": round(event.seconds, 3),
    }


def _todos(event: events.TodosChanged) -> dict[str, Any]:
    return {"items": [{"content": item.content, "status": item.status} for item in event.items]}


def _tidying(event: events.TidyingMemory) -> dict[str, Any]:
    return {
        "done": event.done,
        "before_tokens": event.before_tokens,
        "after_tokens": event.after_tokens,
    }


def _waiting(event: events.WaitingForEngine) -> dict[str, Any]:
    return {"reason": event.sentence, "attempt": event.attempt, "seconds": event.seconds}


def _question(event: events.Question) -> dict[str, Any]:
    return {"kind": event.kind, "text": event.text, "answer": "no"}


def _tests(event: events.TestsRun) -> dict[str, Any]:
    return {
        "command": event.command,
        "passed": event.passed,
        "round": event.round_number,
        "output": event.output,
    }


def _ended(event: events.RunEnded) -> dict[str, Any]:
    return {
        "status": event.status,
        "message": event.message,
        "turns": event.turns,
        **tokens_json(event.tokens),
        "files_changed": list(event.files_changed),
        "seconds": round(event.seconds, 3),
        "facts": event.facts,
    }


_FORMS: dict[type, Callable[[Any], dict[str, Any]]] = {
    events.RunStarted: _started,
    events.TierChosen: lambda event: {"tier": event.tier.value, "reason": event.reason},
    events.StepStarted: lambda event: {"number": event.number},
    events.Text: lambda event: {"text": event.text},
    events.Thinking: lambda event: {"text": event.text},
    events.AnswerDiscarded: lambda event: {"reason": event.reason},
    events.StepEnded: _step_ended,
    events.CallProposed: _call,
    events.Approval: _approval,
    events.CallOutput: lambda event: {"id": event.call_id, "text": event.text},
    events.CallFinished: _finished,
    events.TodosChanged: _todos,
    events.Correction: lambda event: {"text": event.text},
    events.TidyingMemory: _tidying,
    events.WaitingForEngine: _waiting,
    events.UserSaid: lambda event: {"text": event.text},
    events.Question: _question,
    events.TestsRun: _tests,
    events.RunEnded: _ended,
}
_TYPES: dict[type, str] = {
    events.RunStarted: "started",
    events.TierChosen: "tier",
    events.StepStarted: "step_started",
    events.Text: "text",
    events.Thinking: "thinking",
    events.AnswerDiscarded: "answer_discarded",
    events.StepEnded: "step_ended",
    events.CallProposed: "call",
    events.Approval: "approval",
    events.CallOutput: "output",
    events.CallFinished: "call_finished",
    events.TodosChanged: "todos",
    events.Correction: "correction",
    events.TidyingMemory: "tidying_memory",
    events.WaitingForEngine: "waiting_for_engine",
    events.UserSaid: "user_said",
    events.Question: "question",
    events.TestsRun: "tests",
    events.RunEnded: "ended",
}


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
