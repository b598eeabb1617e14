"""Shows the engine's state on the chat page and carries out its remedies."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtWidgets import QMenu

from app.core.engine_view import EngineView
from app.core.events import TurnEnded
from app.ui.chat_page import ChatPage
from app.ui.context_gauge import ContextUse
from app.ui.engine_notice import engine_notice, model_state
from app.ui.ports import EngineControl, ModelChoice
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.words import count_words, duration_words

_MUCH_TOKENS = 1_000


class EngineViewController(QObject):
    """One per window."""

    models_page_wanted = Signal()

    def __init__(
        self,
        page: ChatPage,
        control: EngineControl,
        tasks: TaskOwner,
        theme: Theme,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._control = control
        self._tasks = tasks
        self._theme = theme
        self._view = EngineView()
        self._use = ContextUse()
        self._read_per_s = 0.0
        page.engine_action.connect(self.act)
        page.composer.model_requested.connect(self.choose_model)

    @property
    def view(self) -> EngineView:
        return self._view

    def set_view(self, view: EngineView) -> None:
        """A new state."""
        self._view = view
        choice = self._choice(view.model.model_id if view.model else view.loading_id)
        name = choice.name if choice else (view.model.model_id if view.model else "")
        self._page.set_engine_notice(engine_notice(view, name))
        note = choice.note if choice else ""
        self._page.composer.set_model(model_state(view, name), note)
        self._page.welcome.set_note(self._welcome_words(view, choice, name))
        total = view.model.n_ctx if view.model else 0
        self.set_use(ContextUse(total) if total != self._use.total else self._use)

    def set_use(self, use: ContextUse) -> None:
        """What fills the context."""
        self._use = use
        self._page.composer.gauge.set_use(use)

    def take_usage(self, ended: TurnEnded) -> None:
        """Token counts of an answer that has ended."""
        usage = ended.usage
        if ended.timings is not None and ended.timings.prompt_per_s > 0:
            self._read_per_s = ended.timings.prompt_per_s
        self.set_use(
            ContextUse(
                self._use.total,
                history=usage.prompt_tokens,
                answer=usage.completion_tokens,
            )
        )

    def act(self, action: str) -> None:
        """A remedy the user chose."""
        if action == "start_engine":
            self._tasks.start("engine-start", self._control.start_engine())
        elif action == "cancel_load":
            self._tasks.start("engine-cancel", self._control.cancel_load())
        elif action == "smaller_plan":
            self._tasks.start("engine-load", self._control.load_smaller())
        elif action == "choose_model":
            self.choose_model()

    def choose_model(self) -> None:
        """A menu of the installed models over the composer's button; none: the models page."""
        if not self._control.choices():
            self.models_page_wanted.emit()
            return
        menu = QMenu(self._page)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        loaded = self._view.model.model_id if self._view.model else ""
        if words := self._switch_words():
            menu.addAction(words).setEnabled(False)
            menu.addSeparator()
        for choice in self._control.choices():
            words = choice.name.replace("&", "&&")
            action = menu.addAction(f"{words}\t{choice.note}" if choice.note else words)
            action.setCheckable(True)
            action.setChecked(choice.model_id == loaded)
            action.triggered.connect(
                lambda _checked=False, model_id=choice.model_id: self.load(model_id)
            )
        menu.addSeparator()
        more = menu.addAction(self.tr("Get more models…"))
        more.triggered.connect(self.models_page_wanted)
        button = self._page.composer.model
        menu.popup(button.mapToGlobal(QPoint(0, -menu.sizeHint().height() - 4)))

    def _switch_words(self) -> str:
        """What another model would have to read before its first word."""
        if self._use.used < _MUCH_TOKENS:
            return ""
        words = self.tr("Another model reads this chat anew: {count} tokens").format(
            count=count_words(self._use.used)
        )
        if self._read_per_s > 0:
            time = duration_words(self._use.used / self._read_per_s)
            words += self.tr(", about {time} at the speed of this one").format(time=time)
        return words

    def load(self, model_id: str) -> None:
        """Another model."""
        self._tasks.start("engine-load", self._control.load_model(model_id))

    def _choice(self, model_id: str | None) -> ModelChoice | None:
        return next((c for c in self._control.choices() if c.model_id == model_id), None)

    def _welcome_words(self, view: EngineView, choice: ModelChoice | None, name: str) -> str:
        if view.phase != "ready" or view.model is None:
            return self.tr("Everything stays on this computer.")
        context = count_words(view.model.n_ctx)
        if choice is not None and choice.is_tiny:
            return self.tr(
                "{name} answers. It is a tiny model to try things with: quick, but often wrong."
            ).format(name=name)
        return self.tr("{name} answers, with room for {context} tokens.").format(
            name=name, context=context
        )
