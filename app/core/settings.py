"""The user's settings: checked when set, kept in one JSON file, never half-written.

The file holds only what differs from the defaults. Entries this version does not know are kept,
so that an older Garret does not lose what a newer one stored.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.core.errors import SettingError
from app.core.setting_list import BY_KEY, SETTINGS
from app.core.setting_rules import SettingValue, checked_value

Listener = Callable[[str, SettingValue], None]


def default_values() -> dict[str, SettingValue]:
    """Every key with its default."""
    return {setting.key: setting.default for setting in SETTINGS}


def check_value(key: str, value: object) -> SettingValue:
    """The value in its stored type.

    Raises:
        SettingError: the key is unknown, or the value has the wrong type or is out of bounds.
    """
    setting = BY_KEY.get(key)
    if setting is None:
        raise SettingError(
            f"There is no setting called “{key}”.",
            "See the settings page for their names.",
            key=key,
        )
    return checked_value(setting, value)


class Settings:
    """The settings of one user. Every change is on disk before `set` returns.

    `problems` holds one sentence for each stored value that could not be used; `set_aside` is
    where an unreadable file was moved to, or None.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._values = default_values()
        self._listeners: list[Listener] = []
        self.problems: tuple[str, ...] = ()
        self.set_aside: Path | None = None

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The stored settings; a missing file means defaults, a corrupt one is set aside."""
        settings = cls(path)
        stored = settings._read_or_set_aside()
        problems = []
        for key, value in stored.items():
            if key not in BY_KEY:
                continue
            try:
                settings._values[key] = check_value(key, value)
            except SettingError as error:
                problems.append(error.sentence)
        settings.problems = tuple(problems)
        return settings

    def get(self, key: str) -> SettingValue:
        """The value of a setting; an unknown key is a bug and raises KeyError."""
        return self._values[key]

    def flag(self, key: str) -> bool:
        """The value of a switch."""
        value = self._values[key]
        assert isinstance(value, bool), key
        return value

    def number(self, key: str) -> int:
        """The value of a whole-number setting."""
        value = self._values[key]
        assert isinstance(value, int), key
        return value

    def text(self, key: str) -> str:
        """The value of a text, choice, folder or secret."""
        value = self._values[key]
        assert isinstance(value, str), key
        return value

    def items(self, key: str) -> tuple[str, ...]:
        """The value of a list."""
        value = self._values[key]
        assert isinstance(value, tuple), key
        return value

    def set(self, key: str, value: object) -> None:
        """Checks, stores and announces one value.

        Raises:
            SettingError: unknown key, bad value, or the file cannot be written.
        """
        self.set_many({key: value})

    def set_many(self, changes: Mapping[str, object]) -> None:
        """Like `set`, all or nothing."""
        checked = {key: check_value(key, value) for key, value in changes.items()}
        fresh = {key: value for key, value in checked.items() if self._values[key] != value}
        if not fresh:
            return
        self._write(fresh)
        self._values.update(fresh)
        for key, value in fresh.items():
            for listener in tuple(self._listeners):
                listener(key, value)

    def reset(self, *keys: str) -> None:
        """Back to the defaults: the named settings, or all that have a row on the page."""
        names = keys or tuple(setting.key for setting in SETTINGS if not setting.hidden)
        for key in names:
            if key not in BY_KEY:
                check_value(key, None)
        self.set_many({key: BY_KEY[key].default for key in names})

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener(key, value)` after each change; the result ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def changed(self) -> dict[str, SettingValue]:
        """What differs from the defaults, without secrets: fit for a bug report."""
        return {
            setting.key: self._values[setting.key]
            for setting in SETTINGS
            if self._values[setting.key] != setting.default and not setting.is_secret
        }

    def _read_or_set_aside(self) -> dict[str, Any]:
        assert self._path is not None
        try:
            return _read(self._path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingError(
                f"The settings in {self._path} cannot be read: {error.strerror}.",
                "Check who owns the file.",
            ) from error
        except ValueError:
            aside = self._path.with_name(f"{self._path.stem}.broken-{time.time_ns()}.json")
            os.replace(self._path, aside)
            self.set_aside = aside
            return {}

    def _write(self, changes: Mapping[str, SettingValue]) -> None:
        if self._path is None:
            return
        stored = self._read_or_set_aside()  # another Garret may have written meanwhile
        for key, value in changes.items():
            if value == BY_KEY[key].default:
                stored.pop(key, None)
            else:
                stored[key] = list(value) if isinstance(value, tuple) else value
        text = json.dumps(stored, indent=2, ensure_ascii=False, sort_keys=True)
        try:
            _replace_durably(self._path, text + "\n")
        except OSError as error:
            raise SettingError(
                f"The settings could not be saved: {error.strerror}.",
                "Free some disk space or check the folder's permissions.",
                path=str(self._path),
            ) from error


def _read(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data


def _replace_durably(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
