"""The View menu: colours, text size, sidebar, presentation mode, reset."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow

from app.ui.sidebar import Sidebar
from app.ui.theme import Scheme, Theme
from app.ui.window_state import WindowState

_SCHEMES: dict[str, Scheme] = {
    "theme_system": "system",
    "theme_light": "light",
    "theme_dark": "dark",
}


class HasSidebar(Protocol):
    """The part of the main window this needs."""

    sidebar: Sidebar


class ViewControls(QObject):
    """Changes how the window looks, never what is in it."""

    def __init__(
        self,
        window: QMainWindow,
        theme: Theme,
        state: WindowState,
        actions: dict[str, QAction],
    ) -> None:
        super().__init__(window)
        self._window = window
        self._theme = theme
        self._state = state
        self._actions = actions
        self._sidebar_before = True
        schemes = QActionGroup(self)
        for name, scheme in _SCHEMES.items():
            schemes.addAction(actions[name])
            actions[name].triggered.connect(lambda _on=False, s=scheme: theme.set_scheme(s))
        actions["zoom_in"].triggered.connect(lambda: theme.zoom_by(1))
        actions["zoom_out"].triggered.connect(lambda: theme.zoom_by(-1))
        actions["zoom_reset"].triggered.connect(theme.reset_zoom)
        actions["sidebar"].toggled.connect(self._on_sidebar)
        actions["present"].toggled.connect(self.set_presenting)
        actions["reset_view"].triggered.connect(self.reset)
        theme.changed.connect(self._show_state)
        self._show_state()

    @property
    def presenting(self) -> bool:
        return self._theme.presenting

    def set_presenting(self, on: bool) -> None:
        """Large type, strong contrast, nothing but the conversation."""
        if on == self._theme.presenting:
            return
        sidebar = self._actions["sidebar"]
        if on:
            self._sidebar_before = sidebar.isChecked()
            sidebar.setChecked(False)
        else:
            sidebar.setChecked(self._sidebar_before)
        self._window.menuBar().setVisible(not on)
        self._theme.set_presenting(on)

    def reset(self) -> None:
        """Everything as on the first day."""
        self.set_presenting(False)
        self._theme.reset_zoom()
        self._actions["sidebar"].setChecked(True)

    def restore(self) -> None:
        """What was chosen last time."""
        self._actions["sidebar"].setChecked(self._state.flag("view/sidebar", True))

    def save(self) -> None:
        """For next time; presentation mode does not survive."""
        sidebar = self._actions["sidebar"].isChecked()
        self._state.put("view/sidebar", self._sidebar_before if self.presenting else sidebar)

    def _on_sidebar(self, on: bool) -> None:
        window: HasSidebar = self._window  # type: ignore[assignment]
        window.sidebar.setVisible(on)

    def _show_state(self) -> None:
        for name, scheme in _SCHEMES.items():
            self._actions[name].setChecked(scheme == self._theme.scheme)
        self._actions["present"].setChecked(self._theme.presenting)
