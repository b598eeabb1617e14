"""Helps with what is about to be sent: counts it, completes /prompts, tunes the chat."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtWidgets import QWidget

from app.core.errors import GarretError
from app.core.events import TurnEnded
from app.core.messages import AttachmentPart, Message, TextPart
from app.core.ports import TurnRequest
from app.session.history import prompt_messages
from app.storage.prompts import Prompt
from app.ui.chat_controller import ChatController
from app.ui.chat_page import ChatPage
from app.ui.completion import CompletionList, Offer
from app.ui.context_gauge import ContextUse
from app.ui.context_popover import ContextPopover
from app.ui.engine_view_controller import EngineViewController
from app.ui.file_offers import FileOffer, FileOffers
from app.ui.ports import ChatServices
from app.ui.prompt_dialogs import FillDialog, PromptLibraryDialog
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.tune_dialog import TuneDialog
from app.ui.words import count_words, duration_words, speed_words

_COUNT_DELAY_MS = 500


class ComposerController(QObject):
    """One per window."""

    def __init__(
        self,
        host: QWidget,
        page: ChatPage,
        chats: ChatController,
        engine: EngineViewController,
        services: ChatServices,
        tasks: TaskOwner,
        theme: Theme,
    ) -> None:
        super().__init__(host)
        self._host = host
        self._page = page
        self._chats = chats
        self._engine = engine
        self._services = services
        self._tasks = tasks
        self._theme = theme
        self._prompts: list[Prompt] = []
        self._library: PromptLibraryDialog | None = None
        self._last: TurnEnded | None = None
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_COUNT_DELAY_MS)
        self._delay.timeout.connect(self._count)
        composer = page.composer
        composer.edited.connect(lambda _text: self._delay.start())
        composer.tune_requested.connect(self.tune)
        composer.context_requested.connect(self.show_context)
        chats.chat_opened.connect(self._on_chat)
        chats.usage_known.connect(self._on_usage)
        chats.speed_known.connect(self._on_speed)
        chats.answering_changed.connect(self._on_answering)
        self.files = FileOffers(
            composer, services.workspace, tasks, lambda: self.completion.refresh(), self
        )
        self.completion = CompletionList(composer.text, self._offers, self._take, page)
        self.reload_prompts()

    # -- tokens -----------------------------------------------------------------------------

    def _count(self) -> None:
        if self._engine.view.phase == "ready" and not self._chats.is_answering:
            self._tasks.start("count-tokens", self._count_tokens())

    async def _count_tokens(self) -> None:
        composer = self._page.composer
        text, files = composer.current_text, composer.files.parts
        chat, model = self._chats.chat, self._engine.view.model
        if model is None:
            return
        instructions = chat.system_prompt if chat is not None else ""
        history = [stored.message for stored in self._chats.branch]
        draft = [Message("user", (*files, TextPart(text)))] if text.strip() or files else []
        if not history and not draft:
            self._engine.set_use(ContextUse(model.n_ctx))
            composer.set_tokens("")
            return
        messages = prompt_messages(instructions, [*history, *draft])
        request = TurnRequest(model=model.model_id, messages=messages)
        try:
            total = await self._services.engine.count_tokens(request)
        except GarretError:
            return  # a count is a courtesy; sending will say what is wrong
        if total is not None and composer.current_text == text:
            shares = _shares(instructions, [*history, *draft])
            self._show_count(total, model.n_ctx, bool(draft), shares)

    def _show_count(
        self, total: int, room: int, has_draft: bool, shares: tuple[float, float]
    ) -> None:
        system, files = (round(total * share) for share in shares)
        use = ContextUse(room, system, files, max(total - system - files, 0))
        self._engine.set_use(use)
        words = ""
        if has_draft:
            left = room - total
            if left < 0:
                words = self.tr("{count} tokens too many").format(count=count_words(-left))
            else:
                words = self.tr("sends {count} tokens").format(count=count_words(total))
        self._page.composer.set_tokens(words)

    def _on_chat(self, _chat: object) -> None:
        self._last = None
        self._delay.start()

    def _on_usage(self, ended: TurnEnded) -> None:
        self._last = ended
        self._engine.take_usage(ended)

    def _on_answering(self) -> None:
        self._page.composer.set_tokens("")
        if not self._chats.is_answering:
            self._delay.start()

    def _on_speed(self, tokens_per_s: float) -> None:
        words = self.tr("about {speed}").format(speed=speed_words(tokens_per_s))
        self._page.composer.set_tokens(words)

    def show_context(self) -> None:
        """What fills the context, over its gauge."""
        gauge = self._page.composer.gauge
        popover = ContextPopover(gauge.use, self._theme, self._host)
        popover.show_at(gauge.mapToGlobal(QPoint(gauge.width() // 2, 0)))

    # -- this chat's own instructions and sampling --------------------------------------------

    def tune(self) -> None:
        """Opens the panel."""
        model = self._engine.view.model
        instructions, sampling = self._chats.tuning
        dialog = TuneDialog(
            instructions,
            sampling,
            model.sampling if model is not None else {},
            self._cost_words(),
            self._theme,
            self._host,
        )
        dialog.saved.connect(self._chats.set_tuning)
        dialog.open()

    def _cost_words(self) -> str:
        """What changing the instructions costs, once something has been read."""
        if self._last is None or self._last.usage.prompt_tokens < 500:
            return ""
        tokens = self._last.usage.prompt_tokens + self._last.usage.completion_tokens
        words = self.tr("Changing the instructions makes the model read {count} tokens again")
        words = words.format(count=count_words(tokens))
        speed = self._last.timings.prompt_per_s if self._last.timings is not None else 0.0
        if speed > 0:
            words += self.tr(", about {time}").format(time=duration_words(tokens / speed))
        return f"{words}."

    # -- prompts ----------------------------------------------------------------------------

    def reload_prompts(self) -> None:
        """Reads the library again."""
        self._tasks.start("prompts", self._load_prompts())

    async def _load_prompts(self) -> None:
        self._prompts = await self._services.storage.prompts.list()
        if self._library is not None:
            self._library.set_prompts(self._prompts)

    def _offers(self, word: str, is_first: bool) -> Sequence[Offer]:
        if word.startswith("@"):
            return self.files.offers(word)
        if not is_first or not word.startswith("/"):
            return ()
        start = word[1:].casefold()
        return [
            Offer(f"/{prompt.name}", prompt.description, prompt)
            for prompt in self._prompts
            if prompt.name.casefold().startswith(start)
        ]

    def _take(self, offer: Offer, start: int, end: int) -> None:
        if isinstance(offer.value, FileOffer):
            self._page.composer.replace(start, end, f"`{offer.value.path}` ")
            self.files.attach(offer.value)
            return
        prompt = offer.value
        assert isinstance(prompt, Prompt)
        if not prompt.variables:
            self._page.composer.replace(start, end, prompt.text)
            return
        dialog = FillDialog(prompt.name, prompt.variables, self._host)
        dialog.filled.connect(
            lambda values: self._page.composer.replace(start, end, prompt.fill(values))
        )
        dialog.open()

    def open_library(self) -> None:
        """The dialog that keeps the prompts."""
        library = PromptLibraryDialog(self._theme, self._host)
        self._library = library
        library.set_prompts(self._prompts)
        library.save_wanted.connect(self._on_save_prompt)
        library.delete_wanted.connect(self._on_delete_prompt)
        library.finished.connect(self._on_library_closed)
        library.open()

    def _on_library_closed(self, _result: int) -> None:
        self._library = None

    def _on_save_prompt(self, name: str, about: str, text: str) -> None:
        self._tasks.start("prompt-save", self._save_prompt(name, about, text))

    async def _save_prompt(self, name: str, about: str, text: str) -> None:
        try:
            await self._services.storage.prompts.save(name, text, about)
        except GarretError as error:
            if self._library is not None:
                self._library.say(str(error))
            return
        await self._load_prompts()

    def _on_delete_prompt(self, prompt_id: int) -> None:
        self._tasks.start("prompt-delete", self._delete_prompt(prompt_id))

    async def _delete_prompt(self, prompt_id: int) -> None:
        await self._services.storage.prompts.delete(prompt_id)
        await self._load_prompts()


def _shares(instructions: str, messages: Sequence[Message]) -> tuple[float, float]:
    """About which share of the text is instructions, and which attached files."""
    said = sum(len(message.text) for message in messages)
    files = sum(
        len(part.text)
        for message in messages
        for part in message.parts
        if isinstance(part, AttachmentPart)
    )
    total = max(len(instructions) + said + files, 1)
    return len(instructions) / total, files / total
