"""The prompt library: texts with variables, called by /name in the composer."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.core.errors import StorageError
from app.storage.database import Database
from app.storage.rows import clean

_VARIABLE = re.compile(r"\{\{\s*([^\W\d]\w*)\s*(?:\|([^{}]*))?\}\}")
_NAME = re.compile(r"[^\W_][\w-]{0,39}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A saved text. `{{name}}` is a variable, `{{name|text}}` one with a default."""

    id: int
    name: str
    description: str
    text: str
    updated_at: float = 0.0

    @property
    def variables(self) -> dict[str, str]:
        """Each variable once, in order, with its default ("" for none)."""
        found: dict[str, str] = {}
        for match in _VARIABLE.finditer(self.text):
            name, default = match.group(1), (match.group(2) or "").strip()
            if not found.get(name):
                found[name] = default
        return found

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its variables replaced once: values are never searched for variables."""
        defaults = self.variables

        def value_of(match: re.Match[str]) -> str:
            name = match.group(1)
            return values.get(name) or defaults[name]

        return _VARIABLE.sub(value_of, self.text)


class PromptLibrary:
    """The saved prompts, by name."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    async def list(self) -> list[Prompt]:
        """All prompts by name."""

        def job(connection: sqlite3.Connection) -> list[Prompt]:
            rows = connection.execute("SELECT * FROM prompts ORDER BY name")
            return [Prompt(**dict(row)) for row in rows]

        return await self._db.read(job)

    async def save(self, name: str, text: str, description: str = "") -> Prompt:
        """Adds a prompt, or replaces the one of this name.

        Raises: StorageError when the name cannot be typed after a slash.
        """
        clean_name = name.strip().removeprefix("/")
        if not _NAME.fullmatch(clean_name):
            raise StorageError(
                "A prompt's name is one word of letters, digits and dashes.",
                "Choose a short name such as “review”.",
            )

        def job(connection: sqlite3.Connection) -> Prompt:
            row = connection.execute(
                "INSERT INTO prompts (name, description, text, updated_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET description = excluded.description,"
                " text = excluded.text, updated_at = excluded.updated_at RETURNING *",
                (clean_name, clean(description), clean(text), self._clock()),
            ).fetchone()
            return Prompt(**dict(row))

        return await self._db.write(job)

    async def delete(self, prompt_id: int) -> Prompt | None:
        """Removes a prompt and returns it, so that `save` can undo; None when it is gone."""

        def job(connection: sqlite3.Connection) -> Prompt | None:
            row = connection.execute(
                "DELETE FROM prompts WHERE id = ? RETURNING *", (prompt_id,)
            ).fetchone()
            return Prompt(**dict(row)) if row is not None else None

        return await self._db.write(job)
