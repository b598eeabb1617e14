"""todo_write: the checklist of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from app.agent.services import Services
from app.agent.types import PermissionRequest, Todo, ToolContext, ToolKind, ToolOutcome, visible
from app.core.ports import ToolSpec

_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
_MAX_ITEMS = 50


class TodoWrite:
    """Replaces the checklist; the text is appended once and never injected again."""

    kind: ToolKind = "think"
    spec = ToolSpec(
        "todo_write",
        "Keeps a short checklist for work of several steps. Send the whole list each time.",
        {
            "type": "object",
            "properties": {
                "todos": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "content": {"type": "string"},
                            "status": {"enum": ["pending", "in_progress", "completed"]},
                        },
                    },
                }
            },
            "required": ["todos"],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        todos = _todos(arguments.get("todos"))
        done = sum(todo.status == "completed" for todo in todos)
        return f"Checklist: {done} of {len(todos)} done"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        return None

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        self._services.todos.items = _todos(arguments.get("todos"))
        rows = [f"{_MARKS[todo.status]} {todo.content}" for todo in self._services.todos.items]
        return ToolOutcome("\n".join(rows) or "(empty)", display_kind="todos")


def _todos(value: object) -> list[Todo]:
    found: list[Todo] = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, Mapping):
            content = str(item.get("content") or item.get("text") or item.get("task") or "")
            given = str(item.get("status", "pending"))
        else:
            content, given = str(item), "pending"
        status: Literal["pending", "in_progress", "completed"] = "pending"
        if given.replace("-", "_").replace(" ", "_").casefold() in ("in_progress", "active"):
            status = "in_progress"
        elif given.casefold() in ("completed", "done", "complete", "finished"):
            status = "completed"
        if content.strip():
            found.append(Todo(visible(content.strip())[:500], status))
    return found[:_MAX_ITEMS]
