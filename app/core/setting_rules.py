"""What a setting is made of, and which values it may hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.core.errors import SettingError

SettingValue = bool | int | float | str | tuple[str, ...]
SettingKind = Literal[
    "switch", "number", "decimal", "text", "choice", "folder", "secret", "list", "secrets"
]
AppliesAt = Literal["once", "next load", "engine restart", "next start"]


@dataclass(frozen=True, slots=True)
class Section:
    """One page of the settings window."""

    key: str
    title: str
    help: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is called, what it may hold, and what it does in plain words.

    `minimum` and `maximum` bound numbers and decimals, both inclusive; for lists `maximum` bounds
    the number of entries. `special` is one value outside the bounds with its own meaning, and
    `special_title` says that meaning. `choices` pairs each stored value with its title.
    `hidden` settings are remembered by the app itself and have no row on the page.
    """

    key: str
    kind: SettingKind
    default: SettingValue
    section: str
    title: str
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float = 1
    unit: str = ""
    special: float | None = None
    special_title: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    applies: AppliesAt = "once"
    hidden: bool = False

    @property
    def is_secret(self) -> bool:
        """True for values that no log, report or screenshot may hold."""
        return self.kind in ("secret", "secrets")


def checked_value(setting: Setting, value: object) -> SettingValue:
    """The value in its stored type.

    Raises:
        SettingError: the value has the wrong type or is out of bounds.
    """
    return _CHECKS[setting.kind](setting, value)


def _wrong(setting: Setting, wanted: str) -> SettingError:
    return SettingError(
        f"“{setting.title}” must be {wanted}.", "Choose another value.", key=setting.key
    )


def _check_switch(setting: Setting, value: object) -> SettingValue:
    if not isinstance(value, bool):
        raise _wrong(setting, "on or off")
    return value


def _check_number(setting: Setting, value: object) -> SettingValue:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(setting, "a whole number")
    return int(_in_bounds(setting, value))


def _check_decimal(setting: Setting, value: object) -> SettingValue:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _wrong(setting, "a number")
    return float(_in_bounds(setting, float(value)))


def _in_bounds(setting: Setting, value: float) -> float:
    if setting.special is not None and value == setting.special:
        return value
    low = setting.minimum if setting.minimum is not None else float("-inf")
    high = setting.maximum if setting.maximum is not None else float("inf")
    if not low <= value <= high:
        raise _wrong(setting, _bounds_text(setting))
    return value


def _bounds_text(setting: Setting) -> str:
    unit = f" {setting.unit}" if setting.unit else ""
    text = f"between {setting.minimum:,g} and {setting.maximum:,g}{unit}"
    if setting.special is not None:
        text += f", or {setting.special:g} for “{setting.special_title}”"
    return text


def _check_text(setting: Setting, value: object) -> SettingValue:
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(setting, "text")
    if setting.maximum is not None and len(value) > setting.maximum:
        raise _wrong(setting, f"at most {setting.maximum:,g} characters long")
    return value


def _check_choice(setting: Setting, value: object) -> SettingValue:
    values = [choice for choice, _title in setting.choices]
    if not isinstance(value, str) or value not in values:
        raise _wrong(setting, "one of: " + ", ".join(values))
    return value


def _check_folder(setting: Setting, value: object) -> SettingValue:
    if not isinstance(value, str | os.PathLike):
        raise _wrong(setting, "a folder")
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise _wrong(setting, "a folder")
    if text and not Path(text).expanduser().is_absolute():
        raise _wrong(setting, "a full path, or empty")
    return text


def _check_list(setting: Setting, value: object) -> SettingValue:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _wrong(setting, "a list of texts")
    items = tuple(value)
    if not all(isinstance(item, str) and item and "\0" not in item for item in items):
        raise _wrong(setting, "a list of texts")
    if setting.maximum is not None and len(items) > setting.maximum:
        raise _wrong(setting, f"a list of at most {setting.maximum:g} entries")
    return tuple(dict.fromkeys(items))


_CHECKS: dict[str, Callable[[Setting, object], SettingValue]] = {
    "switch": _check_switch,
    "number": _check_number,
    "decimal": _check_decimal,
    "text": _check_text,
    "secret": _check_text,
    "choice": _check_choice,
    "folder": _check_folder,
    "list": _check_list,
    "secrets": _check_list,
}
