"""Records the first run as pictures: the real window from an empty home, its clicks counted.

    python scripts/record_first_run.py --out DIR [--no-network] [--scheme dark] [--scale 1.25]

The starter model lies where a bundle puts it. A loopback server stands for the hub and serves the
model that is recommended for this machine (its name, another small model's bytes: --model). With
--no-network nothing answers there. Everything else is the program itself, in our own engine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CACHE = Path.home() / ".cache" / "garret"
STARTER = CACHE / "starter" / "SmolLM2-135M-Instruct.Q4_1.gguf"
CODER = CACHE / "coder" / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"


class Recorder:
    """Waits, clicks and takes pictures of the one window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clicks = 0
        self.pictures = 0
        self.started_s = time.monotonic()

    async def window(self) -> Any:
        from app.ui.main_window import MainWindow

        return await self.until(
            lambda: next((w for w in _top_level() if isinstance(w, MainWindow)), None)
        )

    async def until(self, condition: Callable[[], Any], limit_s: float = 240.0) -> Any:
        """Waits until it holds; what it came to."""
        async with asyncio.timeout(limit_s):
            while not (found := condition()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found

    async def click(self, widget: Any) -> None:
        """A real mouse click in the middle of a widget."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.clicks += 1
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        await asyncio.sleep(0.3)

    async def picture(self, widget: Any, name: str, words: str) -> None:
        await asyncio.sleep(0.4)
        self.pictures += 1
        file = self.folder / f"{self.pictures}-{name}.png"
        widget.grab().save(str(file))
        after = time.monotonic() - self.started_s
        print(f"{file.name}: {words} [{self.clicks} clicks, {after:.1f} s]", flush=True)


def _top_level() -> list[Any]:
    from PySide6.QtWidgets import QApplication

    return list(QApplication.topLevelWidgets())


async def story(recorder: Recorder, *, network: bool) -> None:
    """What somebody does who opens Garret for the first time."""
    window = await recorder.window()
    page = window.chat_page
    await recorder.until(lambda: window.engine.view.phase == "ready")
    await recorder.until(lambda: page.welcome.panel.view.heading)
    await recorder.picture(window, "open", "the window after the first start; the starter is ready")
    page.composer.set_text("What is a hash table? Answer in two sentences.")
    _press_enter(page.composer.text)
    await recorder.until(lambda: window.chats.is_answering, 20)
    await recorder.until(lambda: not window.chats.is_answering)
    await recorder.picture(window, "answered", "the first answer: no click, no network")
    chat_id = window.chats.chat_id
    window.new_chat()
    await asyncio.sleep(0.3)
    row = page.welcome.panel.rows[0]
    if not row.row.verbs:
        return
    await recorder.click(_button(row, row.row.verbs[0].title))
    if not network:
        await recorder.until(lambda: page.welcome.panel.rows[0].row.error)
        await recorder.picture(window, "no-network", "without a network: said in one line")
        return
    await recorder.until(lambda: row.row.fraction and row.row.fraction > 0.02)
    await recorder.picture(window, "on-its-way", "the good model is on its way")
    window.chats.open_chat(chat_id)
    await recorder.until(lambda: not page.is_empty)
    await recorder.picture(
        window, "meanwhile", "the first chat again; the strip shows the download"
    )
    first = window.engine.view.model.model_id
    await recorder.until(lambda: _answers_anew(window, first))
    await recorder.picture(window, "taken-over", "it has taken over; the conversation is there")
    page.composer.set_text("And what is it good for? One sentence.")
    _press_enter(page.composer.text)
    await recorder.until(lambda: window.chats.is_answering, 20)
    await recorder.until(lambda: not window.chats.is_answering)
    await recorder.picture(window, "next-answer", "the next message is answered by the good model")


def _answers_anew(window: Any, first: str) -> bool:
    view = window.engine.view
    return view.phase == "ready" and view.model is not None and view.model.model_id != first


def _press_enter(widget: Any) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClick(widget, Qt.Key.Key_Return)


def _button(parent: Any, text: str) -> Any:
    from app.ui.buttons import FlatButton

    return next(button for button in parent.findChildren(FlatButton) if button.text() == text)


def record(options: argparse.Namespace, home: Path) -> int:
    """Runs the program with the recorder in its loop."""
    from app import compose
    from app.cli import bundled_starter
    from app.core.paths import find_paths
    from app.core.settings import Settings

    bundled_starter.offer([], STARTER)
    paths = find_paths()
    Settings.load(paths.settings_file).set("look.theme", options.scheme)
    recorder = Recorder(Path(options.out))
    program: Any = compose
    real_run = program.run
    failed: list[BaseException] = []

    async def with_recorder(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
        window_task = asyncio.ensure_future(main())
        try:
            await story(recorder, network=not options.no_network)
        except BaseException as error:  # noqa: BLE001  reported below, after the window is closed
            failed.append(error)
        for window in _top_level():
            window.close()
        return await window_task

    program.run = lambda app, main: real_run(app, lambda: with_recorder(main))
    code = compose.main([])
    print(f"{recorder.clicks} clicks, {recorder.pictures} pictures in {options.out}")
    if failed:
        raise failed[0]
    return code


def serve(model: Path) -> Any:
    """The loopback hub: whichever model is recommended here, `model` stands for it."""
    from app.library.catalogue import load_catalogue
    from tests.hostile_hub import COMMIT, HostileHub, Repo

    hub = HostileHub()
    hub.speed_bytes_s = 60_000_000
    with model.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for entry in load_catalogue().models:
        for file_of in entry.files:
            commit = file_of.revision if len(file_of.revision) == 40 else COMMIT
            made = hub.repos.setdefault(file_of.repo, Repo({}, commit=commit))
            made.files[file_of.paths[0]] = model
            made.hashes[file_of.paths[0]] = sha256
    return hub


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", required=True, help="folder for the pictures")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--scale", default="1", help="QT_SCALE_FACTOR")
    parser.add_argument("--model", default=str(CODER), help="a GGUF that stands for the good model")
    options = parser.parse_args()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    os.environ["QT_SCALE_FACTOR"] = options.scale
    home = Path(tempfile.mkdtemp(prefix="garret-first-run-"))
    os.environ["HOME"] = str(home)
    os.environ["GARRET_HOME"] = str(home / "garret")
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
    try:
        with contextlib.ExitStack() as stack:
            if not options.no_network:
                hub = stack.enter_context(serve(Path(options.model)))
                os.environ["HF_ENDPOINT"] = hub.endpoint
            return record(options, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
