"""The agent in one folder, as the window uses it: open, ask, stop, look at changes, take back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from app.agent.agent import Agent, resume
from app.agent.events import AgentEvent
from app.agent.hands import ToolBox, open_hands
from app.agent.hunks import without
from app.agent.mcp_servers import FILE_NAME, McpServer, read_servers
from app.agent.record import FileRunRecords
from app.agent.remote import RemoteTools
from app.agent.review import FileReview, Ledger
from app.agent.run import AgentOptions
from app.agent.tiers import ModelTraits, choose_tier
from app.agent.types import Change, Mode, UndoReport
from app.agent.undo.blobs import digest_of
from app.core.engine_view import EngineView
from app.core.errors import NoModelLoaded, WorkspaceError
from app.core.messages import Message
from app.core.paths import Paths
from app.core.ports import ChatEngine, RunHead
from app.core.settings import Settings

_RETRY_S = 120.0
_RECENT = 10


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """The folder the agent works in, what holds it there, and a task that was cut off in it."""

    root: Path
    sandbox_proven: bool
    sandbox_sentence: str
    interrupted: RunHead | None = None


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One changed file and whether a person has decided on all of it."""

    change: Change
    is_kept: bool


@dataclass(frozen=True, slots=True)
class _Version:
    """One content of a file in place of another, chosen in a review."""

    run_id: str
    path: str
    old: bytes
    new: bytes


class AgentSession:
    """One folder at a time; one request at a time.

    Args:
        view: how the engine is at the moment; names the model.
    """

    def __init__(
        self,
        engine: ChatEngine,
        paths: Paths,
        settings: Settings,
        view: Callable[[], EngineView],
    ) -> None:
        self._engine = engine
        self._paths = paths
        self._settings = settings
        self._view = view
        self._hands: ToolBox | None = None
        self._agent: Agent | None = None
        self._model = ""
        self._ledger = Ledger()
        self._undone: list[_Version | None] = []  # None: an undo that the undo log knows
        self._records = FileRunRecords(paths.runs)
        self._remote = RemoteTools(paths.config / FILE_NAME)
        self._undo_lock = asyncio.Lock()
        self.is_working = False

    @property
    def recent(self) -> tuple[str, ...]:
        """Folders used before, newest first."""
        return self._settings.items("agent.recent_folders")

    @property
    def mode(self) -> Mode:
        if self._hands is not None:
            return self._hands.mode
        return Mode(self._settings.text("agent.mode"))

    def set_mode(self, mode: Mode) -> None:
        """Holds from the next call on."""
        if self._hands is not None:
            self._hands.mode = mode

    async def open(self, folder: Path, confirmed: str = "") -> OpenFolder:
        """Opens a folder; an open one is closed first.

        Raises: WorkspaceError, with `confirm` in its facts where typing a word would allow it.
        """
        await self.close()
        mode = Mode(self._settings.text("agent.mode"))
        hands = await asyncio.to_thread(open_hands, folder, mode, self._paths, confirmed=confirmed)
        self._hands = hands
        root = hands.workspace.root
        rest = [one for one in self.recent if one != str(root)]
        await asyncio.to_thread(
            self._settings.set, "agent.recent_folders", (str(root), *rest)[:_RECENT]
        )
        unfinished = await self._records.unfinished(str(root))
        return OpenFolder(
            root,
            hands.sandbox.proven,
            hands.sandbox.sentence,
            unfinished[0] if unfinished else None,
        )

    async def resume(self, run_id: str) -> tuple[Message, ...]:
        """Takes up a task that was cut off; the conversation so far. `send` then goes on with it.

        Raises: NoModelLoaded, WorkspaceError when there is no such run.
        """
        hands, options, traits, context = await self._parts()
        agent = await resume(
            run_id,
            self._records,
            self._engine,
            hands,
            options=options,
            traits=traits,
            context_tokens=context,
        )
        if agent is None:
            raise WorkspaceError("The record of this task cannot be read any more.")
        self._agent, self._model = agent, options.model
        self._forget_review()
        return agent.messages

    async def drop(self, run_id: str) -> None:
        """A task that was cut off is not offered again; its changes stay and can be undone."""
        await self._records.end(run_id, "stopped")

    async def send(self, text: str) -> AsyncGenerator[AgentEvent, None]:
        """Works on one request; the last event is RunEnded.

        Raises: NoModelLoaded, WorkspaceError when no folder is open.
        """
        agent = await self._ready_agent()
        self.is_working = True
        try:
            async with aclosing(agent.send(text)) as events:
                async for event in events:
                    yield event
        finally:
            self.is_working = False

    def say(self, text: str) -> None:
        """Something said while it works; delivered after the current tool."""
        if self._agent is not None:
            self._agent.say(text)

    def stop(self) -> None:
        """Ends what is going on at once."""
        if self._agent is not None:
            self._agent.stop()

    def take_unsaid(self) -> tuple[str, ...]:
        """What was said too late for the run to hear; it is the caller's again."""
        return self._agent.take_unsaid() if self._agent is not None else ()

    def new_conversation(self) -> None:
        """The next request starts afresh, in the same folder."""
        self._agent = None
        self._forget_review()

    async def changes(self) -> tuple[ChangedFile, ...]:
        """What the conversation left different in the folder."""
        if self._hands is None or self._agent is None:
            return ()
        return await asyncio.to_thread(self._changes, self._hands, self._agent.run_id)

    async def review(self, path: str) -> FileReview | None:
        """What is still to be decided in one file; None when it is as it was."""
        if self._hands is None or self._agent is None:
            return None
        return await asyncio.to_thread(self._review, self._hands, self._agent.run_id, path)

    def keep(self, review: FileReview, numbers: Collection[int]) -> None:
        """These hunks are right. Nothing changes on disk."""
        self._ledger.keep(review, numbers)

    async def keep_file(self, path: str) -> None:
        """All of one file is right."""
        for file in await self.changes():
            if file.change.path == path:
                self._ledger.keep_whole(file.change)

    async def keep_all(self) -> None:
        """Everything is right."""
        for file in await self.changes():
            self._ledger.keep_whole(file.change)

    async def undo_hunks(self, review: FileReview, numbers: Collection[int]) -> UndoReport:
        """Puts back what was there before at some places of a file; itself undoable.

        Raises: WorkspaceError when somebody changed the file since.
        """
        everything = {number for group in review.groups for number in group.numbers}
        if review.after is None or (review.before is None and set(numbers) == everything):
            return await self.undo_file(review.path)
        hands, agent = self._both()
        data = without(review.before or b"", review.after, numbers)

        version = _Version(agent.run_id, review.path, review.after, data)

        async def work() -> UndoReport:
            report = await asyncio.to_thread(_write, hands, version)
            self._undone.append(replace(version, old=data, new=version.old))
            return report

        return await self._one_by_one(work)

    async def undo_file(self, path: str) -> UndoReport:
        """Takes everything back that the conversation did to one file."""
        hands, agent = self._both()
        return await self._take_back(path, hands.undo.undo_file, agent.run_id, path)

    async def undo_all(self) -> UndoReport:
        """Takes the whole conversation's changes back."""
        hands, agent = self._both()
        return await self._take_back(None, hands.undo.undo_run, agent.run_id)

    async def redo(self) -> UndoReport:
        """Takes the newest undo back.

        Raises: WorkspaceError when somebody changed the file since.
        """
        hands, agent = self._both()

        async def work() -> UndoReport:
            if not self._undone:
                return UndoReport()
            newest = self._undone.pop()
            if newest is None:
                return await asyncio.to_thread(hands.undo.redo, agent.run_id)
            return await asyncio.to_thread(_write, hands, newest)

        return await self._one_by_one(work)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undo to be taken back."""
        return bool(self._undone)

    async def _take_back(
        self, path: str | None, undo: Callable[..., UndoReport], *arguments: str
    ) -> UndoReport:
        async def work() -> UndoReport:
            report = await asyncio.to_thread(undo, *arguments)
            if report.restored or report.deleted or report.merged:
                self._undone.append(None)
                self._ledger.forget(path)
            return report

        return await self._one_by_one(work)

    async def servers(self) -> tuple[McpServer, ...]:
        """The MCP servers the user added, the switched-off ones too.

        Raises: SettingError.
        """
        return await asyncio.to_thread(read_servers, self._remote.file, all_of_them=True)

    async def save_servers(self, servers: Sequence[McpServer]) -> None:
        """Replaces the list; holds for the next task.

        Raises: SettingError.
        """
        await self._remote.save(servers)

    async def try_server(self, server: McpServer) -> tuple[tuple[str, ...], str]:
        """The names of a server's tools, or why it cannot be used."""
        return await self._remote.try_out(server)

    def take_problems(self) -> tuple[str, ...]:
        """Servers that could not be used since the last time this was asked."""
        return self._remote.take_problems()

    async def close(self) -> None:
        """Stops what runs and lets go of the folder."""
        self.stop()
        hands, self._hands, self._agent = self._hands, None, None
        self._forget_review()
        await self._remote.close()
        async with self._undo_lock:  # an undo that nobody waits for any more comes to its end
            if hands is not None:
                await hands.close()

    async def _one_by_one(self, work: Callable[[], Awaitable[UndoReport]]) -> UndoReport:
        """Undo and redo never overlap, also when whoever asked does not wait for the end."""

        async def locked() -> UndoReport:
            async with self._undo_lock:
                return await work()

        return await asyncio.shield(asyncio.create_task(locked(), name="agent-undo-work"))

    def _both(self) -> tuple[ToolBox, Agent]:
        if self._hands is None or self._agent is None:
            raise WorkspaceError("Nothing was changed in this conversation.")
        return self._hands, self._agent

    def _forget_review(self) -> None:
        self._ledger = Ledger()
        self._undone.clear()

    def _changes(self, hands: ToolBox, run_id: str) -> tuple[ChangedFile, ...]:
        return tuple(
            ChangedFile(
                change,
                self._ledger.is_kept(change, *hands.undo.before_and_after(run_id, change.path)),
            )
            for change in hands.undo.changes(run_id)
        )

    def _review(self, hands: ToolBox, run_id: str, path: str) -> FileReview | None:
        change = next((one for one in hands.undo.changes(run_id) if one.path == path), None)
        if change is None:
            return None
        return self._ledger.review(change, *hands.undo.before_and_after(run_id, path))

    async def _parts(self) -> tuple[ToolBox, AgentOptions, ModelTraits, int | None]:
        """What an agent is made of, with the user's servers connected."""
        if self._hands is None:
            raise WorkspaceError("No folder is open.", "Choose a folder first.")
        model = self._view().model
        if model is None:
            raise NoModelLoaded("No model is loaded.", "Choose a model first.")
        await self._remote.connect(self._hands)
        options = AgentOptions(
            model=model.model_id,
            max_steps=self._settings.number("agent.max_steps"),
            retry_for_s=_RETRY_S,
        )
        traits = ModelTraits(model.model_id, model.n_params, model.tool_format)
        context = model.n_ctx or await self._engine.context_tokens(model.model_id)
        return self._hands, options, traits, context

    async def _ready_agent(self) -> Agent:
        model = self._view().model
        if self._agent is not None and model is not None and model.model_id == self._model:
            return self._agent
        hands, options, traits, context = await self._parts()
        before = self._agent
        if before is not None and before.choice.tier is not choose_tier(traits).tier:
            before = None  # the conversation is written in another way of speaking
        if before is None:
            self._forget_review()
        self._model = options.model
        self._agent = Agent(
            self._engine,
            hands,
            options,
            traits=traits,
            records=self._records,
            context_tokens=context,
            run_id=before.run_id if before is not None else None,
            messages=before.messages if before is not None else (),
        )
        return self._agent


def _write(hands: ToolBox, version: _Version) -> UndoReport:
    try:
        hands.undo.keep_version(version.run_id, version.path, version.new, digest_of(version.old))
    except WorkspaceError as error:
        raise WorkspaceError(
            f"{version.path} was changed since, so one part of it cannot be undone.",
            "Undo the whole file instead: it leaves alone what others wrote.",
        ) from error
    return UndoReport(restored=(version.path,))
