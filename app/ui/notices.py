"""Tells a person who looks at another window that something long is finished."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QApplication, QMainWindow, QSystemTrayIcon

from app.ui.icons import Icons


class Notices:
    """A mark in the task bar, and the system's own notice where there is a place for one.

    Args:
        is_wanted: what the user set.
    """

    def __init__(self, window: QMainWindow, icons: Icons, is_wanted: Callable[[], bool]) -> None:
        self._window = window
        self._icons = icons
        self._is_wanted = is_wanted
        self._tray: QSystemTrayIcon | None = None

    def tell(self, words: str) -> bool:
        """Says it, unless the window is in front or notices are not wanted; whether it was said."""
        if not self._is_wanted() or self._window.isActiveWindow():
            return False
        QApplication.alert(self._window)
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            tray = self._tray_icon()
            tray.show()
            tray.showMessage("Garret", words, self._icons.app_icon())
        return True

    def close(self) -> None:
        """Takes the icon away."""
        if self._tray is not None:
            self._tray.hide()
            self._tray.deleteLater()
            self._tray = None

    def _tray_icon(self) -> QSystemTrayIcon:
        if self._tray is None:
            self._tray = QSystemTrayIcon(self._icons.app_icon(), self._window)
            self._tray.messageClicked.connect(self._on_clicked)
            self._tray.activated.connect(lambda _reason: self._on_clicked())
        return self._tray

    def _on_clicked(self) -> None:
        if self._window.isMinimized():
            self._window.showNormal()
        self._window.raise_()
        self._window.activateWindow()
