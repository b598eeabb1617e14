"""run_shell_command: one command in the folder, held by the sandbox where there is one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from app.agent.clip import clip
from app.agent.command_room import CommandRoom
from app.agent.commands import parse
from app.agent.dangers import inspect
from app.agent.permissions import digest_of_request
from app.agent.redact import redact
from app.agent.rules import rules_for
from app.agent.sentinel import Guarded, Sentinel
from app.agent.shell import Limits, Result, Running, run, start
from app.agent.types import (
    PermissionRequest,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    visible,
)
from app.core.ports import ToolSpec

_MAX_COMMAND_CHARS = 20_000
_MAX_WALL_S = 3600.0
_FRESH_S = 1.0  # no card was shown in between: the picture for the card is still good
_NO_NETWORK = re.compile(
    r"resolve host|name resolution|Network is unreachable|EAI_AGAIN|ENOTFOUND|getaddrinfo"
    r"|socket.{0,80}Operation not permitted|Could not connect|dial (tcp|udp)|ConnectionError",
    re.IGNORECASE | re.DOTALL,
)
_ENDS = {
    "stop": "It was stopped.",
    "output": "It was stopped because it wrote too much.",
    "memory": "It was stopped because it used too much memory.",
    "processes": "It was stopped because it started too many processes.",
}


class RunShellCommand:
    """Runs a shell command."""

    kind: ToolKind = "execute"
    spec = ToolSpec(
        "run_shell_command",
        "Runs a command in the folder, without keyboard and without network. "
        "Use it for tests, builds and git, not to read or edit files.",
        {
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "timeout": {"type": "integer", "description": "Seconds"},
                "is_background": {"type": "boolean", "description": "For servers"},
                "network": {"type": "boolean", "description": "Needs it; the user is asked"},
            },
            "required": ["command"],
        },
    )

    def __init__(self, room: CommandRoom) -> None:
        self._room = room
        self._sentinel = Sentinel(room.services.workspace, room.services.undo.blobs)

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"Run {visible(str(arguments.get('command', '')))}"[:200]

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        command = str(arguments["command"])
        if not command.strip() or "\0" in command or len(command) > _MAX_COMMAND_CHARS:
            raise ToolError("The command is empty or too long.")
        await asyncio.to_thread(self._room.services.undo.before_command)
        return await asyncio.to_thread(self._request, arguments, context)

    def _request(self, arguments: Mapping[str, Any], context: ToolContext) -> PermissionRequest:
        command = str(arguments["command"])
        background = bool(arguments.get("is_background", False))
        room = self._room
        parsed = parse(command)
        dangers = inspect(command, parsed, room.is_inside, room.count_files)
        scripts = self.scripts(command)
        sandboxed = room.sandbox.status.proven
        argv = room.argv(command)
        network = dangers.network or bool(arguments.get("network", False))
        asks = list(dangers.asks)
        if network and not dangers.network:
            asks.append("It uses the network.")
        if background:
            asks.append("It stays running in the background.")
        coverage = room.services.undo.coverage
        if coverage.shared:
            names = ", ".join(coverage.shared)
            asks.append(f"It could change a file outside the folder through a hard link: {names}.")
        notes = [coverage.note] if coverage.note else []
        if background:
            notes.append("What it changes while it stays running is neither undone nor put back.")
        if dangers.touches_git:
            notes.append("What it does to the history in .git is not undone.")
        if network:
            notes.append("What it sends over the network cannot be taken back.")
        if not sandboxed:
            notes.append("Nothing holds it: what it does outside the folder is not undone.")
        reads = room.readable_places(dangers.outside)
        rules = rules_for(parsed, str(room.root), scripts, sandboxed)
        return PermissionRequest(
            context.call_id,
            self.spec.name,
            "execute",
            f"Run {visible(command)}"[:200],
            digest=digest_of_request(
                argv=argv,
                cwd=str(room.root),
                env=room.env_digest,
                scripts=scripts,
                network=network,
                background=background,
                sandboxed=sandboxed,
                reads=reads,
            ),
            argv=argv,
            command=command,
            cwd=str(room.root),
            env=tuple(sorted(room.env.items())),
            env_digest=room.env_digest,
            why=context.why,
            undo="partly" if notes else "yes",
            undo_note=" ".join(notes),
            protected=asks[0] if asks else "",
            forbidden=dangers.forbidden,
            warnings=tuple(asks[1:]),
            always_rule="; ".join(rule.sentence for rule in rules) if not asks else "",
            sandboxed=sandboxed,
            network=network,
            reads=reads,
        )

    def scripts(self, command: str) -> dict[str, str]:
        """The files in the folder that a command names, with their hashes."""
        words = tuple(word for part in parse(command).parts for word in part)
        return self._room.scripts(words)

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        undo = self._room.services.undo
        picture = await asyncio.to_thread(undo.before_command, _FRESH_S)
        request = await asyncio.to_thread(self._request, arguments, context)
        if approved is None or approved.digest != request.digest:
            raise ToolError("What the command would run changed since it was shown. Ask again.")
        if bool(arguments.get("is_background", False)):
            await asyncio.to_thread(self._room.services.learn_secrets, list(picture.guarded))
            return await self._start_background(request)
        watch = await asyncio.to_thread(self._sentinel.before, picture)
        await asyncio.to_thread(self._room.services.learn_secrets, list(picture.guarded))
        limits = replace(self._room.limits, wall_s=_wall_s(arguments.get("timeout")))
        spill, name = self._room.services.spill.new_file()
        try:
            running = await self._start(request, limits)
            result = await run(
                running, limits, context.cancel, context.output, spill, _question(request, context)
            )
        finally:
            now = await asyncio.to_thread(undo.look_after, picture)
            put_back = not approved.protected
            guarded = await asyncio.to_thread(self._sentinel.after, watch, now, put_back)
            if guarded.restored:
                now = await asyncio.to_thread(undo.look_after, picture)
            changes = await asyncio.to_thread(undo.record, context.call_id, picture, now)
        text = self._text(request, result, guarded, context, name)
        return ToolOutcome(
            text,
            is_error=result.exit_code != 0,
            display=f"{text}\n{request.undo_note}".rstrip(),
            display_kind="output",
            changes=changes,
            stopped=result.ended_by == "stop",
            exit_code=result.exit_code,
            ended_by=result.ended_by,
        )

    async def _start(
        self, request: PermissionRequest, limits: Limits, output: int | None = None
    ) -> Running:
        room = self._room
        try:
            return await start(
                room.sandbox,
                request.argv,
                room.root,
                room.scratch,
                room.env,
                limits,
                network=request.network,
                sandboxed=request.sandboxed,
                reads=request.reads,
                output=output,
            )
        except OSError as error:
            raise ToolError(f"The command could not be started: {error}.") from error

    async def _start_background(self, request: PermissionRequest) -> ToolOutcome:
        spill, name = self._room.services.spill.new_file()
        with spill.open("ab") as file:
            running = await self._start(request, self._room.limits, file.fileno())
        self._room.jobs.append(running)
        await asyncio.sleep(1.0)
        ended = running.process.returncode
        said = spill.read_text("utf-8", "replace")[:2000]
        state = "is running" if ended is None else f"ended with exit code {ended}"
        shown = redact(visible(said), self._room.services.secrets)
        text = f"The command {state}. Its output: read_file {name}\n{shown}"
        return ToolOutcome(text.rstrip(), is_error=bool(ended), display_kind="output")

    def _text(
        self,
        request: PermissionRequest,
        result: Result,
        guarded: Guarded,
        context: ToolContext,
        name: str,
    ) -> str:
        body = redact(result.text.rstrip("\n"), self._room.services.secrets)
        out = [clip(body, max(500, context.budget_chars - 400), self._room.services.spill, name)]
        if result.ended_by == "time":
            out.append(f"Stopped: the time limit passed after {result.elapsed_s:.0f} s.")
        elif result.ended_by == "start":
            out.append(f"The command could not be started: {result.detail}.")
        elif result.ended_by:
            out.append(_ENDS.get(result.ended_by, f"Stopped: {result.ended_by}."))
        else:
            out.append(f"Exit code {result.exit_code}.")
        if result.exit_code and request.sandboxed and not request.network and _offline(body):
            out.append("Commands have no network here. If it is needed, call again with network.")
        if guarded.restored:
            names = ", ".join(visible(path) for path in guarded.restored[:10])
            out.append(f"Put back, because commands may not change it unasked: {names}.")
        if guarded.failed:
            out.append(f"Could not be put back: {', '.join(map(visible, guarded.failed[:10]))}.")
        return "\n".join(part for part in out if part)


def _offline(text: str) -> bool:
    """Whether a command seems to have failed for want of a network."""
    return _NO_NETWORK.search(text) is not None


def _wall_s(value: object) -> float | None:
    """The model's time limit in seconds; it may have meant milliseconds."""
    if not isinstance(value, int | float) or value <= 0:
        return None
    seconds = value / 1000 if value >= 1000 else float(value)
    return min(_MAX_WALL_S, max(1.0, seconds))


def _question(
    request: PermissionRequest, context: ToolContext
) -> Callable[[float], Awaitable[bool]]:
    """Asks "Keep waiting?" on a card; without anybody to ask it stops."""

    async def keep_waiting(elapsed_s: float) -> bool:
        if context.asker is None:
            return False
        minutes = round(elapsed_s / 60)
        question = replace(
            request,
            kind="other",
            title=f"Still running after {minutes} minutes. Keep waiting?",
            digest=f"wait:{request.digest}:{minutes}",
            protected="",
            always_rule="",
        )
        answer = await context.asker.ask(question, f"It has run for {minutes} minutes.")
        return answer.kind != "deny"

    return keep_waiting
