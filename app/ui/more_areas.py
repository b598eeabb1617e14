"""The parts around chat, agent and models: first run, demo, help, privacy, notices."""

from __future__ import annotations

from collections.abc import Callable

from app.core.engine_view import EngineView
from app.core.network_log import NetworkLog
from app.core.paths import Paths
from app.core.prompt_states import PromptStates
from app.core.settings import Settings
from app.library.service import LibraryService
from app.session.agent_session import AgentSession
from app.session.engine_seat import EngineSeat
from app.session.first_run import FirstRun
from app.ui.demo.build import DemoArea
from app.ui.first_run.controller import FirstRunController
from app.ui.help.area import Doctor, HelpArea
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.models.controller import ModelsController
from app.ui.notices import Notices
from app.ui.settings.build import SettingsArea
from app.ui.settings.privacy_control import PrivacyControl
from app.ui.settings.privacy_panel import PrivacyPanel
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class MoreAreas:
    """Built after the first paint, like the pages they belong to."""

    def __init__(
        self,
        window: MainWindow,
        paths: Paths,
        settings: Settings,
        seat: EngineSeat,
        theme: Theme,
        icons: Icons,
        tasks: TaskOwner,
    ) -> None:
        self._window = window
        self._paths = paths
        self._settings = settings
        self._seat = seat
        self._theme = theme
        self._icons = icons
        self._tasks = tasks
        self._notices = Notices(window, icons, lambda: settings.flag("look.notify"))
        window.chats.answer_ended.connect(
            lambda: self._notices.tell(window.tr("The answer is finished."))
        )

    def say(self, words: str, action: str = "", then: Callable[[], object] | None = None) -> None:
        """A calm line in the window, and a notice where it is not in front."""
        self._window.toast.say(words, action, then)
        self._notices.tell(words)

    def tell(self, words: str) -> None:
        """Only a notice, for somebody who looks elsewhere."""
        self._notices.tell(words)

    def add(
        self,
        library: LibraryService,
        models: ModelsController,
        agent: AgentSession,
        log: NetworkLog,
        settings_area: SettingsArea | None,
        doctor: Doctor | None,
    ) -> None:
        """Adds the pages; what they share with the agent and the models comes with them."""
        window, tasks, seat, theme = self._window, self._tasks, self._seat, self._theme
        self._first_run = FirstRunController(
            window.chat_page,
            FirstRun(library, seat, self._settings),
            library.downloader,
            tasks,
            window.toast.say,
            lambda: not window.chats.is_answering and not agent.is_working,
        )
        self._first_run.models_wanted.connect(lambda: window.show_page("models"))
        self._first_run.models_changed.connect(models.refresh)
        self._first_run.finished.connect(self.tell)
        self._demo = DemoArea(
            window, self._paths, seat, theme, self._icons, tasks, lambda: agent.is_working
        )
        HelpArea(window, self._paths, self._settings, theme, tasks, doctor)
        if settings_area is not None:
            page = settings_area.page
            self._first_run.other_computer_wanted.connect(lambda: page.show_section("engine"))
            panel = PrivacyPanel(theme)
            page.add_extra("privacy", panel)
            states = PromptStates(self._paths.prefix_cache)
            PrivacyControl(panel, log, tasks, lambda: seat.view.pid, states)
        self._first_run.other_computer_wanted.connect(lambda: window.show_page("settings"))
        self._first_run.start()
        self.set_engine_view(seat.view)

    def set_engine_view(self, view: EngineView) -> None:
        """Each change of the engine."""
        self._first_run.set_engine_view(view)
        self._demo.set_engine_view(view)

    async def close(self) -> None:
        """Ends what runs, removes what was for the moment."""
        self._notices.close()
        await self._demo.close()
