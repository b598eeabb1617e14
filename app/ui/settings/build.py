"""Builds the settings page with its parts, for the composition root."""

from __future__ import annotations

import sys
from collections.abc import Callable

from PySide6.QtCore import QObject

from app.core.engine_view import EngineView
from app.core.setting_list import SECTIONS, SETTINGS
from app.core.settings import Settings
from app.core.snippets import Endpoint, snippets
from app.ui.settings.controller import SettingsController
from app.ui.settings.endpoint_panel import EndpointPanel
from app.ui.settings.page import SettingsPage
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class SettingsArea(QObject):
    """The page and what keeps it true."""

    def __init__(
        self, settings: Settings, theme: Theme, tasks: TaskOwner, view: Callable[[], EngineView]
    ) -> None:
        self.page = SettingsPage(SECTIONS, SETTINGS, theme)
        super().__init__(self.page)
        self._settings = settings
        self._view = view
        self.endpoint = EndpointPanel(theme)
        self.page.add_extra("endpoint", self.endpoint)
        self._controller = SettingsController(self.page, settings, tasks)
        self.refresh_endpoint()

    def refresh(self) -> None:
        """After a setting has changed."""
        self._controller.refresh()
        self.refresh_endpoint()

    def refresh_endpoint(self) -> None:
        """After the engine has changed; what somebody is typing stays."""
        view = self._view()
        keys = self._settings.items("endpoint.keys")
        port = self._settings.number("endpoint.port")
        model = view.model.model_id if view.model else "your-model"
        n_ctx = view.model.n_ctx if view.model and view.model.n_ctx else 32_768
        key = keys[-1] if keys else "any-text"
        url = f"http://127.0.0.1:{port}"
        self.endpoint.show_endpoint(
            self._sentence(url, bool(keys)),
            snippets(Endpoint(url, key, model, n_ctx), windows=sys.platform == "win32"),
        )

    def _sentence(self, url: str, has_keys: bool) -> str:
        if not self._settings.flag("endpoint.enabled"):
            return self.tr("Off: no other program can use your models.")
        if self._settings.flag("endpoint.require_key") and not has_keys:
            return self.tr("On, but there is no key yet: make one above for each program.")
        view = self._view()
        if view.phase in ("idle", "loading", "ready") and view.base_url is None:
            return self.tr(
                "On, but port {port} cannot be opened, probably because another program uses it: "
                "choose another one above."
            ).format(port=self._settings.number("endpoint.port"))
        return self.tr("On: programs on this computer reach your models at {url}/v1").format(
            url=url
        )
