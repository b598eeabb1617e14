"""The agent in one folder, as the window uses it: open, ask, stop, look at changes, take back."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from app.agent.agent import Agent
from app.agent.events import AgentEvent
from app.agent.hands import ToolBox, open_hands
from app.agent.record import FileRunRecords
from app.agent.run import AgentOptions
from app.agent.tiers import ModelTraits
from app.agent.types import Change, Mode, UndoReport
from app.core.engine_view import EngineView
from app.core.errors import NoModelLoaded, WorkspaceError
from app.core.paths import Paths
from app.core.ports import ChatEngine
from app.core.settings import Settings

_RETRY_S = 120.0
_MAX_DIFF_CHARS = 400_000
_RECENT = 10


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """The folder the agent works in, and what holds it there."""

    root: Path
    sandbox_proven: bool
    sandbox_sentence: str


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
        return OpenFolder(root, hands.sandbox.proven, hands.sandbox.sentence)

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

    def new_conversation(self) -> None:
        """The next request starts afresh, in the same folder."""
        self._agent = None

    async def changes(self) -> tuple[Change, ...]:
        """What the conversation left different in the folder."""
        if self._hands is None or self._agent is None:
            return ()
        return await asyncio.to_thread(self._hands.undo.changes, self._agent.run_id)

    async def diff(self, path: str) -> str:
        """A unified diff of one file, from before the conversation to what it left."""
        if self._hands is None or self._agent is None:
            return ""
        before, after = await asyncio.to_thread(
            self._hands.undo.before_and_after, self._agent.run_id, path
        )
        return await asyncio.to_thread(unified, path, before, after)

    async def undo_file(self, path: str) -> UndoReport:
        hands, agent = self._both()
        return await self._one_by_one(hands.undo.undo_file, agent.run_id, path)

    async def undo_all(self) -> UndoReport:
        hands, agent = self._both()
        return await self._one_by_one(hands.undo.undo_run, agent.run_id)

    async def redo(self) -> UndoReport:
        hands, agent = self._both()
        return await self._one_by_one(hands.undo.redo, agent.run_id)

    async def close(self) -> None:
        """Stops what runs and lets go of the folder."""
        self.stop()
        hands, self._hands, self._agent = self._hands, None, None
        if hands is not None:
            await hands.close()

    async def _one_by_one(self, work: Callable[..., UndoReport], *arguments: str) -> UndoReport:
        """Undo and redo never overlap, also when whoever asked does not wait for the end."""

        async def locked() -> UndoReport:
            async with self._undo_lock:
                return await asyncio.to_thread(work, *arguments)

        return await asyncio.shield(asyncio.create_task(locked(), name="agent-undo-work"))

    def _both(self) -> tuple[ToolBox, Agent]:
        if self._hands is None or self._agent is None:
            raise WorkspaceError("Nothing was changed in this conversation.")
        return self._hands, self._agent

    async def _ready_agent(self) -> Agent:
        if self._hands is None:
            raise WorkspaceError("No folder is open.", "Choose a folder first.")
        model = self._view().model
        if model is None:
            raise NoModelLoaded("No model is loaded.", "Choose a model first.")
        if self._agent is None or model.model_id != self._model:
            self._model = model.model_id
            self._agent = Agent(
                self._engine,
                self._hands,
                AgentOptions(
                    model=model.model_id,
                    max_steps=self._settings.number("agent.max_steps"),
                    retry_for_s=_RETRY_S,
                ),
                traits=ModelTraits(model.model_id, model.n_params, model.tool_format),
                records=FileRunRecords(self._paths.runs),
                context_tokens=model.n_ctx or await self._engine.context_tokens(model.model_id),
            )
        return self._agent


def unified(path: str, before: bytes | None, after: bytes | None) -> str:
    """A unified diff of two contents; one sentence for what is not text."""
    texts = []
    for content in (before, after):
        if content is not None and b"\0" in content[:8192]:
            return f"{path} is not a text file."
        texts.append((content or b"").decode("utf-8", "replace").splitlines(keepends=True))
    lines = difflib.unified_diff(texts[0], texts[1], f"a/{path}", f"b/{path}")
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return text[:_MAX_DIFF_CHARS]
