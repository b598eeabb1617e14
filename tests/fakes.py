"""Stand-ins shared by the suite: small classes that behave, no mocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.core.events import TextDelta, TurnEnded, TurnEvent, Usage
from app.core.ports import TurnRequest
from app.ui.ports import ModelChoice


class FakeEngine:
    """An engine that answers from scripts: each a list of events, pauses (s) and errors.

    One script per request, the last repeated. `requests` keeps what was asked; `closed` counts
    the answers whose stream was closed or came to its end.
    """

    def __init__(
        self, *scripts: Sequence[TurnEvent | float | BaseException], context: int | None = 4096
    ) -> None:
        self.scripts = scripts or (FakeEngine.words("Hello there."),)
        self.context = context
        self.requests: list[TurnRequest] = []
        self.closed = 0

    @staticmethod
    def words(text: str, pause_s: float = 0.0) -> list[TurnEvent | float | BaseException]:
        """A script that says `text` word by word."""
        script: list[TurnEvent | float | BaseException] = []
        words = text.split(" ")
        for number, word in enumerate(words):
            script.append(TextDelta(word if number == 0 else f" {word}"))
            if pause_s:
                script.append(pause_s)
        return [*script, TurnEnded("stop", Usage(10, len(words), 4))]

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        try:
            for step in script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                else:
                    await asyncio.sleep(0)
                    yield step
        finally:
            self.closed += 1

    async def models(self) -> list[str]:
        return ["fake"]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        """Four characters are a token, and each message costs four more."""
        return sum(4 + sum(len(str(p)) for p in m.parts) // 4 for m in request.messages)

    async def context_tokens(self, model: str) -> int | None:
        return self.context


class FakeEngineControl:
    """The user's hand on an engine that is always ready, unless `view` is set to something else."""

    def __init__(self, view: EngineView | None = None) -> None:
        model = ModelInfo("smollm2-135m-instruct", n_ctx=8192, n_ctx_train=8192)
        self.view = view if view is not None else EngineView("ready", model)
        self.asked: list[str] = []

    def choices(self) -> list[ModelChoice]:
        return [
            ModelChoice("smollm2-135m-instruct", "SmolLM2 135M", "98 MB", is_tiny=True),
            ModelChoice("qwen3-coder-next-q4_k_m", "Qwen3-Coder-Next", "48.5 GB"),
        ]

    async def load_model(self, model_id: str) -> None:
        self.asked.append(f"load {model_id}")

    async def load_smaller(self) -> None:
        self.asked.append("smaller")

    async def cancel_load(self) -> None:
        self.asked.append("cancel")

    async def start_engine(self) -> None:
        self.asked.append("start")


class FakeSeat:
    """An engine seat whose loads succeed at once, unless the id is in `refuses`."""

    def __init__(self, model_id: str = "starter", choices: Sequence[ModelChoice] = ()) -> None:
        self.view = EngineView("ready", ModelInfo(model_id, n_ctx=8192))
        self.refuses: dict[str, GarretError] = {}
        self.loaded: list[str] = []
        self.restarts = 0
        self._choices = list(choices)

    def choices(self) -> list[ModelChoice]:
        return self._choices

    async def refresh(self) -> list[ModelChoice]:
        return self._choices

    async def load_model(self, model_id: str) -> None:
        self.loaded.append(model_id)
        if (error := self.refuses.get(model_id)) is not None:
            self.view = EngineView("idle", error=error)
        else:
            self.view = EngineView("ready", ModelInfo(model_id, n_ctx=8192))

    async def start_engine(self) -> None:
        self.restarts += 1

    async def status(self) -> None:
        """Nothing is known of its devices."""

    def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        return FakeEngine().stream(request)
