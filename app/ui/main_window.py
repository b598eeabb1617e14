"""The window: menus, sidebar, a stack of pages. What happens in them is their controllers' work.

Built by the composition root:

    window = MainWindow(theme, icons, services, state, tasks)
    window.set_engine_view(view)      # for each EngineView of the supervisor
    window.add_page("models", "Models", "model", models_page, "Ctrl+2")
    window.show()
    await window.until_closed()

`services` is `app.ui.ports.ChatServices`; `tasks` should report errors to `window.report`.
"""

from __future__ import annotations

import asyncio

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QCloseEvent,
    QKeySequence,
)
from PySide6.QtWidgets import QMainWindow, QMessageBox, QSplitter, QStackedWidget, QWidget

from app.core.build import version_line
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.storage.values import Chat, ChatPlace
from app.ui.actions import build_actions
from app.ui.chat_controller import ChatController
from app.ui.chat_page import ChatPage
from app.ui.chat_verbs import ChatParts, ChatVerbs
from app.ui.composer_controller import ComposerController
from app.ui.engine_view_controller import EngineViewController
from app.ui.help.keyboard_map import KeyboardMap
from app.ui.help_dialogs import About
from app.ui.icons import Icons
from app.ui.ports import ChatOptions, ChatServices, TakesEscape
from app.ui.sidebar import Sidebar
from app.ui.sidebar_controller import SidebarController
from app.ui.sidebar_filter import ChatFilter
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.toast import Toast
from app.ui.transcript.formulas import Formulas
from app.ui.transcript.look import FormulaMaker
from app.ui.unsaved_question import ask_unsaved
from app.ui.view_controls import ViewControls
from app.ui.window_state import WindowState


class MainWindow(QMainWindow):
    """Never blank, never blocked: everything that can go wrong is a line inside it."""

    updates_wanted = Signal()

    def __init__(
        self,
        theme: Theme,
        icons: Icons,
        services: ChatServices,
        state: WindowState,
        tasks: TaskOwner,
        formulas: FormulaMaker | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._tasks = tasks
        self._theme = theme
        self._icons = icons
        self._formulas = Formulas(self) if formulas is None else None
        self._closed: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        self._question: QMessageBox | None = None
        self._quits_anyway = False
        self.setWindowTitle("Garret")
        self.setWindowIcon(icons.app_icon())
        self.setMinimumSize(560, 420)
        self.sidebar = Sidebar(theme, icons)
        self.chat_page = ChatPage(theme, icons, formulas or self._formulas)
        self._stack = QStackedWidget()
        self._pages: dict[str, QWidget] = {}
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.addWidget(self.sidebar)
        self._splitter.addWidget(self._stack)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setCollapsible(1, False)
        self._splitter.setHandleWidth(1)
        self.setCentralWidget(self._splitter)
        self.toast = Toast(theme, self._stack)
        self.actions_by_name = build_actions(self, icons)
        self.chats = ChatController(self.chat_page, services, tasks, self)
        self.sidebar_control = SidebarController(
            self.sidebar, self.chats, services.storage, tasks, self
        )
        self.engine = EngineViewController(self.chat_page, services.control, tasks, theme, self)
        parts = ChatParts(
            self,
            self.chat_page,
            self.chats,
            self.sidebar_control,
            self.engine,
            self.toast,
            self.context_choices,
        )
        self.verbs = ChatVerbs(parts, services, tasks, self.actions_by_name)
        self.composing = ComposerController(
            self, self.chat_page, self.chats, self.engine, services, tasks, theme
        )
        self.view_controls = ViewControls(self, theme, state, self.actions_by_name)
        self._connect()
        self.add_page("chat", self.tr("Chat"), "chat", self.chat_page, "Ctrl+1")
        self._restore()
        self.sidebar_control.refresh()
        self.engine.set_view(services.control.view)

    def _connect(self) -> None:
        theme = self._theme
        for name, slot in {
            "new_chat": self.new_chat,
            "quit": self.close,
            "stop": self._on_stop,
            "find": self.chat_page.find_bar.open_bar,
            "find_next": lambda: self.chat_page.find_bar.step(1),
            "find_previous": lambda: self.chat_page.find_bar.step(-1),
            "search": self._on_search,
            "switch_chat": lambda: self.sidebar_control.open_switcher(theme),
            "archived": lambda: self._show_place("archived"),
            "trashed": lambda: self._show_place("trash"),
            "tune": self.composing.tune,
            "prompts": self.composing.open_library,
            "keys": lambda: KeyboardMap(self.menuBar(), theme, self).open(),
            "about": self._on_about,
            "focus": self.chat_page.composer.text.setFocus,
        }.items():
            self.actions_by_name[name].triggered.connect(slot)
        self.sidebar.page_chosen.connect(self.show_page)
        self.sidebar.chat_chosen.connect(lambda _chat, _message: self.show_page("chat"))
        self.sidebar.new_chat_wanted.connect(self.new_chat)
        self.chats.chat_opened.connect(self._on_chat_opened)
        self.chats.chats_changed.connect(self._show_title)
        self.engine.models_page_wanted.connect(self._on_models_wanted)
        self.chats.problem.connect(self.show_problem)
        self.chats.answer_ended.connect(self._on_answer_ended)
        self.sidebar_control.trashed.connect(self._on_trashed)
        self.sidebar_control.filtered.connect(self._on_filtered)
        self.chat_page.composer.problem.connect(self.toast.say)

    # -- pages ------------------------------------------------------------------------------

    def add_page(self, name: str, title: str, icon: str, page: QWidget, keys: str = "") -> None:
        """Another page: a button in the sidebar, an entry in View, keys."""
        self._pages[name] = page
        self._stack.addWidget(page)
        if name != "chat":
            self.sidebar.add_page(name, title, icon)
        menu = self.findChild(QWidget, "menu-View")
        action = menu.addAction(title)  # type: ignore[union-attr]
        if keys:
            action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda: self.show_page(name))
        self.addAction(action)

    def page_widget(self, name: str) -> QWidget:
        """The page of that name; KeyError where there is none."""
        return self._pages[name]

    def show_page(self, name: str) -> None:
        """Brings a page to the front."""
        self._stack.setCurrentWidget(self._pages[name])
        self.sidebar.set_page(name)
        if name == "chat":
            self.chat_page.composer.text.setFocus()

    @property
    def page(self) -> str:
        """Name of the page in front."""
        current = self._stack.currentWidget()
        return next(name for name, page in self._pages.items() if page is current)

    def new_chat(self) -> None:
        """An empty chat page."""
        self.show_page("chat")
        self.chats.new_chat()

    # -- state ------------------------------------------------------------------------------

    def set_engine_view(self, view: EngineView) -> None:
        """Each change of the supervisor's view, and the first."""
        self.engine.set_view(view)

    def set_options(self, options: ChatOptions) -> None:
        """The user's chat settings, at the start and after each change."""
        self.chat_page.composer.set_enter_sends(options.enter_sends)
        self.chat_page.transcript.set_options(
            show_thinking=options.show_thinking, show_speed=options.show_speed
        )
        self._theme.set_code_family(options.code_font)

    def show_problem(self, error: GarretError) -> None:
        """An error that belongs to no message."""
        self.toast.say(str(error), is_problem=True)

    def report(self, _task: str, error: Exception) -> None:
        """For the task owner: what a task could not finish."""
        if isinstance(error, GarretError):
            self.show_problem(error)
        else:
            self.toast.say(
                self.tr("Something went wrong inside Garret. The log has the details."),
                is_problem=True,
            )

    def wake(self) -> None:
        """Another start asked for the window."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    async def until_closed(self) -> None:
        """Returns when the user has closed the window and every task of it is over."""
        await asyncio.shield(self._closed)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ignored until all tasks are over; then the window is really gone."""
        if self._closed.done():
            event.accept()
            return
        event.ignore()
        if self.chats.has_unsaved and not self._quits_anyway:
            if self._question is None:
                self._question = ask_unsaved(self, self._quit_anyway)
                self._question.finished.connect(self._on_answered)
            return
        self._save()
        self.chats.save_draft()
        self.hide()
        asyncio.get_event_loop().create_task(self._finish(), name="close-window")

    def _quit_anyway(self) -> None:
        self._quits_anyway = True
        QTimer.singleShot(0, self, self.close)

    def _on_answered(self) -> None:
        if self._question is not None:
            self._question.deleteLater()
            self._question = None

    async def _finish(self) -> None:
        await self.chats.until_drafts_saved()
        await self._tasks.close()
        if self._formulas is not None:
            self._formulas.close()
        if not self._closed.done():
            self._closed.set_result(None)

    def _restore(self) -> None:
        geometry = self._state.bytes_of("window/geometry")
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            self.resize(1060, 740)
        sizes = self._state.bytes_of("window/splitter")
        if sizes.isEmpty() or not self._splitter.restoreState(sizes):
            self._splitter.setSizes([240, 820])
        self.view_controls.restore()
        chat_id = self._state.number("window/chat", 0)
        if chat_id:
            self.chats.open_chat(chat_id)
        QTimer.singleShot(0, self.chat_page.composer.text, self.chat_page.composer.text.setFocus)

    def _save(self) -> None:
        self._state.put("window/geometry", self.saveGeometry())
        self._state.put("window/splitter", self._splitter.saveState())
        self._state.put("window/chat", self.chats.chat_id or 0)
        self.view_controls.save()
        self._state.save()

    def context_choices(self, _message_id: int) -> None:
        """What can be done when the context is full."""
        self.toast.say(
            self.tr("Start a new chat, or shorten this one by editing an earlier question."),
            action=self.tr("New chat"),
            then=self.new_chat,
        )

    # -- slots ------------------------------------------------------------------------------

    def _on_stop(self) -> None:
        front: object = self._stack.currentWidget()
        if isinstance(front, TakesEscape):
            front.escape()
        elif self.chat_page.find_bar.isVisible():
            self.chat_page.find_bar.close_bar()
        elif self.chats.is_answering:
            self.chats.stop()
        elif self.chat_page.composer.editing is not None:
            self.chat_page.composer.end_edit()
        elif self.view_controls.presenting:
            self.view_controls.set_presenting(False)

    def _on_about(self) -> None:
        about = About(version_line(), self._theme, self._icons, self)
        about.updates_wanted.connect(self.updates_wanted)
        about.licences_wanted.connect(self.actions_by_name["licences"].trigger)
        about.open()

    def _show_place(self, place: ChatPlace) -> None:
        """The archive or the trash in the sidebar; once more, the chats again."""
        self.sidebar_control.set_place(place if self.sidebar.place != place else "active")
        self.actions_by_name["sidebar"].setChecked(True)

    def _on_filtered(self, chosen: ChatFilter) -> None:
        self.actions_by_name["archived"].setChecked(chosen.place == "archived")
        self.actions_by_name["trashed"].setChecked(chosen.place == "trash")

    def _on_models_wanted(self) -> None:
        if "models" in self._pages:
            self.show_page("models")

    def _on_search(self) -> None:
        self.sidebar.setVisible(True)
        self.sidebar.search.setFocus()
        self.sidebar.search.selectAll()

    def _on_chat_opened(self, chat: Chat | None) -> None:
        self.show_page("chat")
        self._show_title()
        del chat

    def _show_title(self) -> None:
        chat = self.chats.chat
        title = chat.title if chat is not None else ""
        self.setWindowTitle(title or "Garret")

    def _on_answer_ended(self) -> None:
        """Said once to a screen reader, not for every token."""
        event = QAccessibleAnnouncementEvent(
            self.chat_page.transcript, self.tr("The answer is finished.")
        )
        QAccessible.updateAccessibility(event)

    def _on_trashed(self, chat: Chat) -> None:
        self.toast.say(
            self.tr("“{title}” is in the trash for 30 days.").format(title=chat.title[:60]),
            action=self.tr("Undo"),
            then=lambda: self.sidebar_control.restore(chat),
        )
