"""Another engine on this or another machine: llama-server, Ollama, vLLM, SGLang."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.client.openai_chat import OpenAIChatEngine
from app.core.control import EngineStatus, LoadSpec, ModelInfo
from app.core.engine_view import EngineView, ModelChoice
from app.core.errors import EngineRefused, GarretError


class RemoteEngine:
    """The same face as LocalEngine; loading means choosing which of its models to ask."""

    def __init__(
        self, chat: OpenAIChatEngine, on_change: Callable[[EngineView], None], last_used: str = ""
    ) -> None:
        self._chat = chat
        self._on_change = on_change
        self._last_used = last_used
        self._choices: tuple[ModelChoice, ...] = ()
        self.view = EngineView(phase="starting", base_url=chat.base_url)

    def choices(self) -> Sequence[ModelChoice]:
        """Its models as of the last `refresh`."""
        return self._choices

    async def refresh(self) -> Sequence[ModelChoice]:
        """Asks the engine what it has.

        Raises: GarretError when it does not answer.
        """
        names = await self._chat.models()
        self._choices = tuple(ModelChoice(name, name, self._chat.base_url) for name in names)
        return self._choices

    async def open(self) -> None:
        """Looks whether it answers; the view says so."""
        self._show(EngineView(phase="starting", base_url=self._chat.base_url))
        try:
            names = [choice.model_id for choice in await self.refresh()]
        except GarretError as error:
            self._show(EngineView(phase="failed", error=error, base_url=self._chat.base_url))
            return
        if not names:
            empty = EngineRefused("That engine has no models.", "Install one there first.")
            self._show(EngineView(phase="failed", error=empty, base_url=self._chat.base_url))
            return
        await self.load_model(self._last_used if self._last_used in names else names[0])

    async def load_model(self, model_id: str) -> None:
        """Asks this model from now on."""
        try:
            n_ctx = await self._chat.context_tokens(model_id) or 0
        except GarretError as error:
            self._show(EngineView(phase="failed", error=error, base_url=self._chat.base_url))
            return
        model = ModelInfo(model_id=model_id, n_ctx=n_ctx)
        self._show(EngineView(phase="ready", model=model, base_url=self._chat.base_url))

    async def load_smaller(self) -> None:
        """Its memory is its own affair."""

    def smaller_words(self) -> str:
        return ""

    @property
    def spec(self) -> LoadSpec | None:
        """Nothing was loaded from here."""
        return None

    async def unload(self) -> None:
        """Its memory is its own affair."""

    async def status(self) -> EngineStatus | None:
        """Nobody tells."""
        return None

    async def cancel_load(self) -> None:
        """Nothing is loaded from here."""

    async def start_engine(self) -> None:
        """Looks again."""
        await self.open()

    async def close(self) -> None:
        await self._chat.close()

    def _show(self, view: EngineView) -> None:
        self.view = view
        self._on_change(view)
