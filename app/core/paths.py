"""Where Garret keeps things. `GARRET_HOME` moves all of it under one folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one user, absolute; none of them need exist yet."""

    config: Path
    data: Path
    cache: Path
    models: Path

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.json"

    @property
    def model_settings_file(self) -> Path:
        return self.config / "models.json"

    @property
    def load_outcomes_file(self) -> Path:
        return self.data / "load-outcomes.json"

    @property
    def chats_file(self) -> Path:
        return self.data / "chats.sqlite3"

    @property
    def backups(self) -> Path:
        return self.data / "backups"

    @property
    def undo(self) -> Path:
        return self.data / "undo"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def network_log(self) -> Path:
        return self.data / "network.jsonl"

    @property
    def backends_file(self) -> Path:
        return self.data / "backends.json"

    @property
    def updates_file(self) -> Path:
        return self.data / "updates.json"

    @property
    def bandwidth_file(self) -> Path:
        return self.cache / "bandwidth.json"

    @property
    def prefix_cache(self) -> Path:
        return self.cache / "prefixes"

    def make(self) -> None:
        """Creates the folders, private to the user."""
        for folder in (self.config, self.data, self.cache, self.models, self.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def find_paths(
    environ: Mapping[str, str] | None = None, platform: str | None = None, home: Path | None = None
) -> Paths:
    """The platform's usual folders (XDG on Linux, Library on macOS, AppData on Windows)."""
    env = os.environ if environ is None else environ
    system = sys.platform if platform is None else platform
    user = Path.home() if home is None else home
    if one := env.get("GARRET_HOME"):
        root = Path(one).expanduser().absolute()
        return Paths(root / "config", root / "data", root / "cache", root / "models")
    if system == "darwin":
        library = user / "Library"
        data = library / "Application Support" / "Garret"
        return Paths(data / "Config", data, library / "Caches" / "Garret", data / "Models")
    if system == "win32":
        local = Path(env.get("LOCALAPPDATA") or user / "AppData" / "Local") / "Garret"
        roaming = Path(env.get("APPDATA") or user / "AppData" / "Roaming") / "Garret"
        return Paths(roaming, local / "Data", local / "Cache", local / "Models")

    def xdg(name: str, default: str) -> Path:
        value = env.get(name)
        base = Path(value) if value and Path(value).is_absolute() else user / default
        return base / "garret"

    data = xdg("XDG_DATA_HOME", ".local/share")
    return Paths(
        xdg("XDG_CONFIG_HOME", ".config"), data, xdg("XDG_CACHE_HOME", ".cache"), data / "models"
    )
