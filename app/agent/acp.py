"""Garret's agent as editors host it: the Agent Client Protocol over stdio.

The editor draws; Garret decides. Permissions, containment and undo are the same as in the window.
MCP servers that an editor offers are not used: they may come from a file in the workspace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import acp
from acp import schema

from app.agent import events
from app.agent.agent import Agent
from app.agent.types import Answer, Mode, PermissionRequest
from app.core.errors import GarretError

OpenAgent = Callable[[Path, Mode], Awaitable[Agent]]
_MODES = {
    Mode.LOOK: ("Look", "Reads only; edits and commands are refused."),
    Mode.ASK: ("Ask", "Asks before each edit and each command."),
    Mode.AUTO: ("Hands-free", "Edits at once, runs commands inside the sandbox."),
}
_EMBEDDED_CHARS = 20_000


@dataclass(slots=True)
class _Session:
    agent: Agent
    cancelled: bool = False
    titles: dict[str, str] = field(default_factory=dict)


class EditorAgent:
    """The agent side of the protocol; what it does not offer is answered as not found.

    Args:
        open_agent: makes an agent for a folder; raises GarretError where that cannot be.
        version: Garret's own, shown by editors.
    """

    def __init__(self, open_agent: OpenAgent, version: str) -> None:
        self._open_agent = open_agent
        self._version = version
        self._sessions: dict[str, _Session] = {}
        self._editor: acp.Client | None = None

    def on_connect(self, conn: acp.Client) -> None:
        self._editor = conn

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: schema.ClientCapabilities | None = None,
        client_info: schema.Implementation | None = None,
        **kwargs: Any,
    ) -> schema.InitializeResponse:
        return schema.InitializeResponse(
            protocol_version=min(protocol_version, acp.PROTOCOL_VERSION),
            agent_capabilities=schema.AgentCapabilities(
                load_session=False,
                prompt_capabilities=schema.PromptCapabilities(embedded_context=True),
            ),
            agent_info=schema.Implementation(name="garret", title="Garret", version=self._version),
            auth_methods=[],
        )

    async def authenticate(self, method_id: str, **kwargs: Any) -> schema.AuthenticateResponse:
        return schema.AuthenticateResponse()

    async def new_session(
        self,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **kwargs: Any,
    ) -> schema.NewSessionResponse:
        try:
            agent = await self._open_agent(Path(cwd), Mode.ASK)
        except GarretError as error:
            raise acp.RequestError(-32000, str(error), error.to_json()) from error
        self._sessions[agent.run_id] = _Session(agent)
        return schema.NewSessionResponse(session_id=agent.run_id, modes=_modes(Mode.ASK))

    async def set_session_mode(
        self, session_id: str, mode_id: str, **kwargs: Any
    ) -> schema.SetSessionModeResponse:
        session = self._session(session_id)
        if mode_id not in [mode.value for mode in Mode]:
            raise acp.RequestError.invalid_params({"mode_id": mode_id})
        session.agent.hands.mode = Mode(mode_id)
        return schema.SetSessionModeResponse()

    async def prompt(
        self, session_id: str, prompt: list[Any], **kwargs: Any
    ) -> schema.PromptResponse:
        session = self._session(session_id)
        session.cancelled = False
        text = "\n\n".join(filter(None, map(_block_text, prompt)))
        ended: events.RunEnded | None = None
        async with contextlib.aclosing(session.agent.send(text)) as stream:
            async for event in stream:
                await self._show(session_id, session, event)
                if isinstance(event, events.RunEnded):
                    ended = event
        assert ended is not None  # the last event of every run
        if session.cancelled:
            return schema.PromptResponse(stop_reason="cancelled")
        if ended.status != "done":
            await self._update(session_id, acp.update_agent_message_text(ended.message))
        return schema.PromptResponse(
            stop_reason="max_turn_requests" if ended.status == "stopped" else "end_turn"
        )

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        if (session := self._sessions.get(session_id)) is not None:
            session.cancelled = True
            session.agent.stop()

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise acp.RequestError.invalid_params({"session_id": session_id})
        return session

    async def _update(self, session_id: str, update: Any) -> None:
        assert self._editor is not None  # set before any request is handled
        await self._editor.session_update(session_id=session_id, update=update)

    async def _show(self, session_id: str, session: _Session, event: events.AgentEvent) -> None:
        if isinstance(event, events.Approval):
            session.titles.setdefault(event.request.call_id, event.request.title)
            event.resolve(await self._approval(session_id, event))
        elif isinstance(event, events.Question):
            event.resolve(await self._question(session_id, event))
        elif (update := _update_of(event, session.agent)) is not None:
            await self._update(session_id, update)

    async def _approval(self, session_id: str, event: events.Approval) -> Answer:
        request = event.request
        options = [
            schema.PermissionOption(option_id="deny", name="Deny", kind="reject_once"),
            schema.PermissionOption(option_id="allow_once", name="Allow once", kind="allow_once"),
        ]
        if request.always_rule:
            options.append(
                schema.PermissionOption(
                    option_id="allow_always",
                    name=f"Always allow: {request.always_rule}",
                    kind="allow_always",
                )
            )
        card = schema.ToolCallUpdate(
            tool_call_id=request.call_id,
            title=request.title,
            kind=request.kind,
            status="pending",
            content=[acp.tool_content(acp.text_block(_card(request, event.reason)))],
        )
        chosen = await self._choose(session_id, card, options)
        if chosen == "allow_once" or (chosen == "allow_always" and request.always_rule):
            return Answer("allow_once" if chosen == "allow_once" else "allow_always")
        return Answer("deny")

    async def _question(self, session_id: str, event: events.Question) -> bool:
        options = [
            schema.PermissionOption(option_id="no", name="Stop here", kind="reject_once"),
            schema.PermissionOption(option_id="yes", name="Continue", kind="allow_once"),
        ]
        card = schema.ToolCallUpdate(
            tool_call_id=f"question_{id(event):x}", title=event.text, kind="other", status="pending"
        )
        return await self._choose(session_id, card, options) == "yes"

    async def _choose(
        self, session_id: str, card: schema.ToolCallUpdate, options: list[schema.PermissionOption]
    ) -> str:
        """The option the person chose; "" for none, also when the editor cannot ask."""
        assert self._editor is not None  # set before any request is handled
        try:
            answer = await self._editor.request_permission(
                session_id=session_id, tool_call=card, options=options
            )
        except acp.RequestError:
            return ""
        outcome = answer.outcome
        return outcome.option_id if isinstance(outcome, schema.AllowedOutcome) else ""


def _modes(current: Mode) -> schema.SessionModeState:
    return schema.SessionModeState(
        current_mode_id=current.value,
        available_modes=[
            schema.SessionMode(id=mode.value, name=name, description=text)
            for mode, (name, text) in _MODES.items()
        ],
    )


def _block_text(block: Any) -> str:
    """What a part of the prompt means as text; pictures and sound are named, not read."""
    if isinstance(block, schema.TextContentBlock):
        return block.text
    if isinstance(block, schema.ResourceContentBlock):
        return f"(The user points at {block.name}: {block.uri})"
    if isinstance(block, schema.EmbeddedResourceContentBlock):
        text = getattr(block.resource, "text", None)
        if isinstance(text, str):
            return f"<file uri={block.resource.uri!r}>\n{text[:_EMBEDDED_CHARS]}\n</file>"
        return f"(The user attached {block.resource.uri}, which is not text.)"
    return "(The user attached something that is not text; this model cannot see it.)"


def _card(request: PermissionRequest, reason: str) -> str:
    """All that the person must know to decide, in plain text."""
    lines = [reason]
    if request.why:
        lines.append(f"The model says: {request.why}")
    if request.command:
        lines.append(f"Command:\n{request.display_command}")
    if request.diff:
        lines.append(request.diff)
    lines += request.warnings
    note = f" ({request.undo_note})" if request.undo_note else ""
    lines.append(f"Can be undone: {request.undo}{note}")
    return "\n\n".join(lines)


def _update_of(event: events.AgentEvent, agent: Agent) -> Any:
    """The protocol's update for an event; None for what editors do not draw."""
    match event:
        case events.Text():
            return acp.update_agent_message_text(event.text)
        case events.Thinking():
            return acp.update_agent_thought_text(event.text)
        case events.WaitingForEngine():
            return acp.update_agent_thought_text(f"{event.sentence} Asking again.\n")
        case events.TidyingMemory() if not event.done:
            return acp.update_agent_thought_text("Tidying memory …\n")
        case events.CallProposed():
            return acp.start_tool_call(
                event.call.call_id,
                event.summary,
                kind=event.kind or "other",
                status="in_progress",
                raw_input=event.call.arguments,
            )
        case events.CallFinished():
            return _finished(event, agent)
        case events.TodosChanged():
            return acp.update_plan(
                acp.plan_entry(item.content, status=item.status) for item in event.items
            )
    return None


def _finished(event: events.CallFinished, agent: Agent) -> schema.ToolCallProgress:
    content: list[Any] = []
    for change in event.outcome.changes[:20]:
        before, after = agent.hands.undo.before_and_after(agent.run_id, change.path)
        path = str(agent.hands.workspace.root / change.path)
        with contextlib.suppress(UnicodeDecodeError):  # a binary file has no diff to show
            old = before.decode("utf-8") if before is not None else None
            content.append(acp.tool_diff_content(path, (after or b"").decode("utf-8"), old))
    shown = event.outcome.display or event.outcome.text
    if not content and shown:
        content.append(acp.tool_content(acp.text_block(shown)))
    return acp.update_tool_call(
        event.call.call_id,
        status="failed" if event.outcome.is_error else "completed",
        content=content,
    )
