"""Keeps the Markdown mirror in step while the window is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from app.core.errors import StorageError
from app.storage.mirror import MarkdownMirror
from app.storage.storage import Storage

EVERY_S = 15.0
_AFTER_TROUBLE_S = 300.0


async def keep_mirror(
    storage: Storage, chosen_folder: Callable[[], str], every_s: float = EVERY_S
) -> None:
    """Writes changed chats to the chosen folder, for ever; "" means none.

    A folder that cannot be written (an unplugged stick, a full disk) is tried again later.
    """
    mirrors: dict[str, MarkdownMirror] = {}
    while True:
        folder = chosen_folder()
        pause_s = every_s
        if folder:
            mirror = mirrors.setdefault(folder, MarkdownMirror(storage, Path(folder)))
            try:
                await mirror.sync()
            except StorageError:
                pause_s = max(every_s, _AFTER_TROUBLE_S)
        await asyncio.sleep(pause_s)
