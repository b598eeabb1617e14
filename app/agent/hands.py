"""One object for everything an agent may do to a folder: arguments, permission, undo, tool."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.agent.arguments import decode
from app.agent.clip import Spill, clip
from app.agent.command_room import CommandRoom
from app.agent.commands import parse
from app.agent.folders import check
from app.agent.near import closest_names
from app.agent.permissions import decide
from app.agent.rules import Rule, Rules, rules_for
from app.agent.sandbox import Sandbox
from app.agent.services import Services
from app.agent.tools.edit import Edit
from app.agent.tools.glob import Glob
from app.agent.tools.grep_search import GrepSearch
from app.agent.tools.list_directory import ListDirectory
from app.agent.tools.read_file import ReadFile
from app.agent.tools.run_shell_command import RunShellCommand
from app.agent.tools.todo_write import TodoWrite
from app.agent.tools.write_file import WriteFile
from app.agent.types import (
    Answer,
    Asker,
    Decision,
    Mode,
    OutputSink,
    PermissionRequest,
    SandboxStatus,
    TodoList,
    Tool,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    no_output,
)
from app.agent.undo.blobs import digest_of
from app.agent.undo.log import UndoStore
from app.agent.workspace import Workspace
from app.core.errors import GarretError, WorkspaceError
from app.core.messages import ToolCallPart
from app.core.paths import Paths
from app.core.ports import ToolSpec
from app.core.tasks import end_tasks


class ToolBox:
    """The `Hands` of one run in one folder. Made by `open_hands`; `close` when the run is over."""

    def __init__(
        self,
        services: Services,
        room: CommandRoom,
        rules: Rules,
        mode: Mode,
        runs: Path,
    ) -> None:
        self.mode = mode
        self._runs = runs
        self.rules = rules
        self._services = services
        self._room = room
        self._shell = RunShellCommand(room)
        builtin: tuple[Tool, ...] = (
            ReadFile(services),
            ListDirectory(services),
            Glob(services),
            GrepSearch(services),
            Edit(services),
            WriteFile(services),
            self._shell,
            TodoWrite(services),
        )
        self._builtin: dict[str, Tool] = {tool.spec.name: tool for tool in builtin}
        self._tools = dict(self._builtin)

    @property
    def workspace(self) -> Workspace:
        return self._services.workspace

    @property
    def sandbox(self) -> SandboxStatus:
        return self._room.sandbox.status

    @property
    def undo(self) -> UndoStore:
        return self._services.undo

    @property
    def todos(self) -> TodoList:
        """The latest checklist."""
        return self._services.todos

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    def add_tools(self, tools: Sequence[Tool]) -> None:
        for tool in tools:
            self._tools.setdefault(tool.spec.name, tool)

    def drop_added_tools(self) -> None:
        self._tools = dict(self._builtin)

    def begin_turn(self, run_id: str, turn: int) -> None:
        self._services.undo.begin_turn(run_id, turn)
        if self.mode is not Mode.LOOK:
            self._services.undo.warm()
        self._services.spill.move_to(self._runs / run_id / "output")

    def saw(self, path: str) -> None:
        """Notes that the model has been shown a file whole (in a prompt), so that it may be
        written. For protocols without tools."""
        located = self.workspace.locate(path)
        self._services.ledger.seen[located] = digest_of(self.workspace.read_bytes(located))

    def kind_of(self, name: str) -> ToolKind | None:
        tool = self._find(name)
        return None if tool is None else tool.kind

    def summary(self, call: ToolCallPart) -> str:
        tool = self._find(call.name)
        if tool is None:
            return f"Unknown tool {call.name[:80]}"
        try:
            arguments: Mapping[str, Any] = decode(tool.spec, call.arguments)
        except ToolError:
            arguments = {}
        return tool.summary(arguments)

    def _find(self, name: str) -> Tool | None:
        found = self._tools.get(name)
        if found is None:
            plain = name.strip().casefold().replace("-", "_")
            found = self._tools.get(_TOOL_ALIASES.get(plain, plain))
        return found

    async def execute(
        self,
        call: ToolCallPart,
        *,
        asker: Asker,
        cancel: asyncio.Event,
        why: str = "",
        output: OutputSink = no_output,
        budget_chars: int = 10_000,
    ) -> ToolOutcome:
        tool = self._find(call.name)
        if tool is None:
            near = closest_names(call.name, list(self._tools), 1)
            hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(self._tools)}."
            return ToolOutcome(f"There is no tool {call.name[:80]}.{hint}", is_error=True)
        context = ToolContext(
            self.workspace,
            call.call_id,
            self.mode,
            self.sandbox,
            cancel,
            output,
            why,
            budget_chars,
            asker,
        )
        try:
            outcome = await self._walk(tool, call, context, asker)
        except (ToolError, GarretError) as problem:
            outcome = ToolOutcome(str(problem), is_error=True)
        except OSError as problem:  # a disk that fails, a file that vanished
            outcome = ToolOutcome(f"{problem.strerror or problem}.", is_error=True)
        text = _encodable(outcome.text)
        room = max(budget_chars, 16_384) if tool.spec.name == "read_file" else budget_chars
        if len(text) > max(500, room):
            text = await asyncio.to_thread(clip, text, max(500, room), self._services.spill)
        return replace(outcome, text=text)

    async def _walk(
        self, tool: Tool, call: ToolCallPart, context: ToolContext, asker: Asker
    ) -> ToolOutcome:
        arguments = decode(tool.spec, call.arguments)
        if self.mode is Mode.LOOK and tool.kind not in ("read", "search", "think"):
            decision = decide(tool.kind, None, self.mode, self.rules)
            return _refusal(decision, "")
        request = await tool.request(arguments, context)
        if request is not None and not request.why:
            request = replace(request, why=context.why)
        scripts: Mapping[str, str] = {}
        if request is not None and request.command:
            scripts = await asyncio.to_thread(self._shell.scripts, request.command)
        decision = decide(tool.kind, request, self.mode, self.rules, scripts)
        if decision.verdict == "deny":
            return _refusal(decision, "")
        if decision.verdict == "ask":
            if request is None:
                request = _bare_request(tool, arguments, context)
            answer = await self._ask(asker, request, decision, context)
            if answer.kind == "deny":
                return _refusal(replace(decision, verdict="deny", rule="answer"), answer.message)
            if answer.kind == "allow_always":
                await asyncio.to_thread(self._remember, tool, request, scripts)
            decision = Decision("allow", decision.reason, "answer")
        outcome = await tool.run(arguments, context, request)
        return replace(outcome, decision=decision)

    async def _ask(
        self, asker: Asker, request: PermissionRequest, decision: Decision, context: ToolContext
    ) -> Answer:
        """The person's answer; Stop and a vanished card mean deny."""
        question = asyncio.ensure_future(asker.ask(request, decision.reason))
        stop = asyncio.ensure_future(context.cancel.wait())
        try:
            await asyncio.wait({question, stop}, return_when=asyncio.FIRST_COMPLETED)
            if question.done() and not question.cancelled():
                return question.result()
            return Answer("deny", "The run was stopped.")
        finally:
            await end_tasks(question, stop)

    def _remember(self, tool: Tool, request: PermissionRequest, scripts: Mapping[str, str]) -> None:
        if request.protected or request.forbidden:
            return
        if request.command:
            parsed = parse(request.command)
            for rule in rules_for(parsed, request.cwd, scripts, request.sandboxed):
                self.rules.add(rule)
        elif tool.kind in ("fetch", "other"):
            self.rules.add(Rule("tool", (tool.spec.name,)))

    async def close(self) -> None:
        """Ends background commands and closes the files."""
        await self._room.close()
        self._services.undo.close()
        self._services.workspace.close()


_TOOL_ALIASES = {
    "read": "read_file", "view": "read_file", "cat": "read_file", "readfile": "read_file",
    "open_file": "read_file", "ls": "list_directory", "list_dir": "list_directory",
    "list_files": "list_directory", "find_files": "glob", "grep": "grep_search",
    "search": "grep_search", "search_file_content": "grep_search", "replace": "edit",
    "str_replace": "edit", "edit_file": "edit", "write": "write_file", "create_file": "write_file",
    "bash": "run_shell_command", "shell": "run_shell_command", "execute": "run_shell_command",
    "run_command": "run_shell_command", "execute_command": "run_shell_command",
    "terminal": "run_shell_command", "todowrite": "todo_write", "write_todos": "todo_write",
}  # fmt: skip


def _refusal(decision: Decision, message: str) -> ToolOutcome:
    if decision.rule == "answer":
        text = "The user said no." + (f" They wrote: {message}" if message else "")
    else:
        text = f"Not allowed: {decision.reason}"
    return ToolOutcome(text, is_error=True, denied=True, decision=decision)


def _bare_request(
    tool: Tool, arguments: Mapping[str, Any], context: ToolContext
) -> PermissionRequest:
    return PermissionRequest(
        context.call_id,
        tool.spec.name,
        tool.kind,
        tool.summary(arguments),
        digest=f"{tool.spec.name}:{context.call_id}",
        why=context.why,
        undo="no",
    )


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def open_hands(
    root: Path,
    mode: Mode,
    paths: Paths,
    *,
    confirmed: str = "",
    sandbox: Sandbox | None = None,
    environ: Mapping[str, str] | None = None,
) -> ToolBox:
    """The hands for the runs in one folder. Takes about half a second (the sandbox is probed):
    not for the GUI thread.

    Args:
        confirmed: what was typed to confirm a risky folder (see `app.agent.folders.check`).
        sandbox: an already probed one, so that several folders need not probe again.

    Raises:
        WorkspaceError: no such folder, a risky one that was not confirmed, or one that cannot be
            opened.
    """
    own = (paths.config, paths.data, paths.cache, paths.models)
    workspace = Workspace(check(root, confirmed, own=own))
    if sandbox is None:
        sandbox = Sandbox()
        sandbox.probe()
    try:
        undo = UndoStore(paths.undo, workspace)
    except OSError as error:
        workspace.close()
        raise WorkspaceError(
            f"The undo store cannot be opened: {error.strerror}.", "Free some disk space."
        ) from error
    services = Services(workspace, undo, Spill(paths.runs / "unnamed" / "output"))
    room = CommandRoom(services, sandbox, environ)
    rules = Rules(paths.data / "permissions", workspace.root)
    return ToolBox(services, room, rules, mode, paths.runs)
