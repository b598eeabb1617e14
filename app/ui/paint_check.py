"""Opens the real window with an empty chat, looks at its pixels, and closes: for the self-test.

`garret _paint FOLDER` prints one JSON object: {"colors": …, "width": …, "platform": …}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from PySide6.QtGui import QGuiApplication

from app.core.engine_view import EngineView
from app.core.events import TurnEvent
from app.core.ports import TurnRequest
from app.storage.storage import open_storage
from app.ui.application import create_application, icons_folder, run
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.ports import ChatServices, ModelChoice
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.window_state import WindowState

_STEP_PX = 7
_SETTLE_S = 0.3


class _NoEngine:
    """Nothing is loaded and nothing will be."""

    view = EngineView()
    _nothing: tuple[TurnEvent, ...] = ()

    def choices(self) -> Sequence[ModelChoice]:
        return ()

    async def load_model(self, model_id: str) -> None: ...

    async def load_smaller(self) -> None: ...

    async def cancel_load(self) -> None: ...

    async def start_engine(self) -> None: ...

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        for event in self._nothing:
            yield event

    async def models(self) -> list[str]:
        return []

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return None

    async def context_tokens(self, model: str) -> int | None:
        return None


def main(argv: list[str]) -> int:
    """0 when the window shows more than one colour."""
    folder = Path(argv[0])
    app = create_application([sys.argv[0]])
    theme = Theme(app)
    return run(app, lambda: _paint(folder, theme))


async def _paint(folder: Path, theme: Theme) -> int:
    storage = await open_storage(folder / "chats.sqlite3", folder / "backups")
    engine = _NoEngine()
    tasks = TaskOwner()
    window = MainWindow(
        theme,
        Icons(icons_folder(), theme),
        ChatServices(storage, engine, engine),
        WindowState(folder / "window.ini"),
        tasks,
    )
    window.resize(1000, 700)
    window.show()
    await asyncio.sleep(_SETTLE_S)
    image = window.grab().toImage()
    colors = {
        image.pixel(x, y)
        for x in range(0, image.width(), _STEP_PX)
        for y in range(0, image.height(), _STEP_PX)
    }
    window.close()
    await window.until_closed()
    await tasks.close()
    await storage.close()
    found = {
        "colors": len(colors),
        "width": image.width(),
        "height": image.height(),
        "platform": QGuiApplication.platformName(),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if len(colors) > 1 else 1
