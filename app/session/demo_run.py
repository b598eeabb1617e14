"""Runs a demo card: a fresh folder, the prompt read beforehand, an eye on the engine, a report."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from app.agent.agent import Agent
from app.agent.asking import Asker, ModelAnswer
from app.agent.events import AgentEvent, RunEnded, StepEnded, StepStarted, TokenCount
from app.agent.hands import ToolBox, open_hands
from app.agent.run import AgentOptions
from app.agent.tiers import ModelTraits
from app.agent.types import Answer, Mode, PermissionRequest
from app.core.control import ModelInfo
from app.core.errors import GarretError, NoModelLoaded
from app.core.messages import Message, ToolCallPart
from app.core.paths import Paths
from app.core.ports import ChatEngine, TurnRequest
from app.session.demo_events import DemoEnded, DemoEvent, EngineRestarted, ReportBuilder
from app.session.demos import DemoCard, clear_workspaces, fresh_workspace
from app.session.engine_seat import EngineSeat
from app.session.own_connections import ConnectionWatch
from app.session.watched_engine import ReadingEngine, WatchedEngine

_RETRY_S = 180.0
_NO_SUCH_PROGRAM = 127
_MAX_STEPS = 30
_PROBE_TOKENS = 12
_READS_FASTER = 5.0  # than it writes, where a prompt too short to measure was read
_CHAT_TOKENS = 700  # a tiny model may never come to an end by itself


class DemoRunner:
    """One card at a time. `scratch` is made on first use, outside Garret's own folders."""

    def __init__(
        self, seat: EngineSeat, paths: Paths, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seat = seat
        self._paths = paths
        self._clock = clock
        self._scratch: Path | None = None
        self._ready: dict[str, Path] = {}
        self._hands: ToolBox | None = None
        self._agent: Agent | None = None
        self._speeds: dict[str, tuple[float, float]] = {}  # tokens/s: reading, writing
        self._asking: asyncio.Task[ModelAnswer] | None = None
        self._is_stopped = False

    @property
    def model(self) -> ModelInfo | None:
        """What would answer now."""
        return self._seat.view.model

    @property
    def workspace(self) -> Path | None:
        """The folder of the run that goes on, or was last."""
        return self._hands.workspace.root if self._hands is not None else None

    async def warm(self, card: DemoCard) -> bool:
        """Has the engine read the card's prompt, and write nothing. False where it could not."""
        model = self.model
        if model is None:
            return False
        speed = self._speeds.get(model.model_id)
        engine = ReadingEngine(self._seat, 1 if speed else _PROBE_TOKENS)
        async with aclosing(self._answer(card, model, engine)) as events:
            async for _event in events:
                pass
        if (timings := engine.timings) is not None and not speed and timings.predicted_per_s:
            read_per_s = timings.prompt_per_s if timings.prompt_n > _PROBE_TOKENS else 0.0
            writes = timings.predicted_per_s
            self._speeds[model.model_id] = (read_per_s or _READS_FASTER * writes, writes)
        return engine.has_read

    def expected_s(self, card: DemoCard) -> float | None:
        """How long the card takes on this machine, its prompt read beforehand; None: unknown."""
        model = self.model
        speed = self._speeds.get(model.model_id) if model is not None else None
        return card.expected_s(*speed) if speed is not None else None

    async def run(self, card: DemoCard) -> AsyncGenerator[DemoEvent, None]:
        """Works on a card to its end; the last event is DemoEnded.

        Raises: NoModelLoaded, WorkspaceError.
        """
        model = self._need_model()
        self._is_stopped = False
        said: list[str] = []
        engine = WatchedEngine(self._seat, self._seat.start_engine, said.append)
        report = ReportBuilder(card.card_id, model.model_id, self._clock())
        async with ConnectionWatch(lambda: [self._seat.view.pid]) as watch:
            async with aclosing(self._answer(card, model, engine)) as events:
                async for event in events:
                    while said:
                        restarted = EngineRestarted(said.pop(0))
                        report.add(restarted, self._clock())
                        yield restarted
                    report.add(event, self._clock())
                    yield event
            ended_s = self._clock()
            verified = await self._verify(card)
        fenced = self._hands.sandbox.proven if self._hands is not None else None
        done = report.finished(ended_s, verified, fenced, watch.proof)
        if done.written_per_s and done.tokens.written >= _PROBE_TOKENS:
            writes = done.written_per_s
            reads = self._speeds.get(model.model_id, (_READS_FASTER * writes, 0.0))[0]
            self._speeds[model.model_id] = (reads, writes)
        yield DemoEnded(done)

    def stop(self) -> None:
        """Ends what goes on; the report says so."""
        self._is_stopped = True
        if self._agent is not None:
            self._agent.stop()
        if self._asking is not None:
            self._asking.cancel()

    async def reset(self) -> None:
        """Every folder of earlier runs is gone."""
        await self._let_go()
        self._ready.clear()
        if self._scratch is not None:
            await asyncio.to_thread(clear_workspaces, self._scratch)

    async def close(self) -> None:
        """Nothing is left behind."""
        self.stop()
        await self._let_go()
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch = None

    # -- inside -----------------------------------------------------------------------------

    def _need_model(self) -> ModelInfo:
        model = self.model
        if model is None:
            raise NoModelLoaded("No model is loaded.", "Choose a model first.")
        return model

    async def _answer(
        self, card: DemoCard, model: ModelInfo, engine: ChatEngine
    ) -> AsyncGenerator[AgentEvent, None]:
        is_real = isinstance(engine, WatchedEngine)
        steps = (
            self._chat(card, model, engine)
            if card.kind == "chat"
            else self._work(card, model, engine, is_real=is_real)
        )
        async with aclosing(steps) as events:
            async for event in events:
                yield event

    async def _chat(
        self, card: DemoCard, model: ModelInfo, engine: ChatEngine
    ) -> AsyncGenerator[AgentEvent, None]:
        """A chat card as one step of a run, so that both kinds are told alike."""
        started_s = self._clock()
        request = TurnRequest(
            model.model_id, (Message.of("user", card.prompt),), max_tokens=_CHAT_TOKENS
        )
        events: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        asker = Asker(engine, events.put_nowait, retry_for_s=_RETRY_S, hide_calls_of=())
        task = self._asking = asyncio.create_task(asker.ask(request), name="demo-chat")
        task.add_done_callback(lambda _task: events.put_nowait(None))
        yield StepStarted(1)
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            task.cancel()
            await asyncio.wait({task})
        seconds = self._clock() - started_s
        if task.cancelled():
            yield RunEnded("stopped", "Stopped.", 1, TokenCount(), seconds=seconds)
            return
        try:
            answer = task.result()
        except GarretError as error:
            yield RunEnded("failed", str(error), 1, TokenCount(), seconds=seconds)
            return
        yield StepEnded(1, answer.tokens, seconds)
        yield RunEnded("done", answer.text.strip(), 1, answer.tokens, seconds=seconds)

    async def _work(
        self, card: DemoCard, model: ModelInfo, engine: ChatEngine, *, is_real: bool
    ) -> AsyncGenerator[AgentEvent, None]:
        """An agent card in its own fresh folder."""
        await self._let_go()
        folder = self._ready.pop(card.card_id, None) if is_real else None
        if folder is None:
            folder = await asyncio.to_thread(self._fresh, card)
        hands = await asyncio.to_thread(open_hands, folder, Mode(card.mode), self._paths)
        self._hands = hands
        agent = Agent(
            engine,
            hands,
            AgentOptions(model.model_id, max_steps=_MAX_STEPS, retry_for_s=_RETRY_S),
            traits=ModelTraits(model.model_id, model.n_params, model.tool_format),
            context_tokens=model.n_ctx or None,
        )
        self._agent = agent
        try:
            async with aclosing(agent.send(card.prompt)) as events:
                async for event in events:
                    yield event
        finally:
            self._agent = None
            if not is_real:
                self._ready[card.card_id] = folder
                await self._let_go()

    def _fresh(self, card: DemoCard) -> Path:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="garret-demo-"))
        return fresh_workspace(card, self._scratch)

    async def _let_go(self) -> None:
        hands, self._hands = self._hands, None
        if hands is not None:
            await hands.close()

    async def _verify(self, card: DemoCard) -> bool | None:
        """The card's own check, run by the agent's hands inside the same fence."""
        hands = self._hands
        if not card.verify or hands is None or self._is_stopped:
            return None
        hands.mode = Mode.AUTO
        command = json.dumps({"command": shlex.join(card.verify)})
        call = ToolCallPart("demo-check", "run_shell_command", command)
        outcome = await hands.execute(call, asker=_Nobody(), cancel=asyncio.Event())
        if outcome.denied or outcome.exit_code in (None, _NO_SUCH_PROGRAM):
            return None
        return outcome.exit_code == 0


class _Nobody:
    """Answers no to every card."""

    async def ask(self, _request: PermissionRequest, _reason: str) -> Answer:
        return Answer("deny")
