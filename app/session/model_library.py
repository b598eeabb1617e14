"""Builds the library the window uses: store, hub and downloads as the settings say."""

from __future__ import annotations

import os

from app.core.network_log import NetworkLog
from app.core.paths import Paths
from app.core.settings import Settings
from app.library.download.downloader import Downloader
from app.library.hub import Hub
from app.library.service import LibraryService
from app.library.store import Store
from app.session.engines import models_folder


def build_library(
    paths: Paths, settings: Settings, log: NetworkLog | None = None
) -> LibraryService:
    """Nothing is looked up or started yet. HF_ENDPOINT goes before the setting."""
    store = Store(models_folder(paths, settings))
    endpoint = os.environ.get("HF_ENDPOINT", "") or settings.text("models.hub_url")
    hub = Hub(endpoint, settings.text("models.hub_token"), log=log)
    downloader = Downloader(store, hub)
    downloader.speed.set(int(settings.number("models.download_limit_mbit_s") * 1e6 / 8))
    return LibraryService(store, hub, downloader, bandwidth_file=paths.bandwidth_file)
