"""Kills the window while someone streams and edits in it, and looks for what was lost.

    python scripts/soak_window.py [--kills 300] [--seed 1] [--folder DIR] [--json]

A child shows the real window (offscreen) on one data folder: a driver types into the composer,
answers again, edits, switches branches and chats, stops and trashes, while a scripted engine
writes about 200 words a second. A journal notes what reached the transcript, with times. The
parent kills the child with SIGKILL after a random time, checks the file, opens it as the app does
and compares, as `soak_storage.py` does one layer below. Any loss ends the run with status 1. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["QT_QPA_PLATFORM"] = "offscreen"

from app.storage.storage import open_storage  # noqa: E402
from app.ui.application import create_application, icons_folder  # noqa: E402
from app.ui.application import run as run_loop  # noqa: E402
from app.ui.icons import Icons  # noqa: E402
from app.ui.main_window import MainWindow  # noqa: E402
from app.ui.ports import ChatServices  # noqa: E402
from app.ui.tasks import TaskOwner  # noqa: E402
from app.ui.theme import Theme  # noqa: E402
from app.ui.transcript.messages import MessageItem  # noqa: E402
from app.ui.transcript.transcript import Transcript  # noqa: E402
from app.ui.window_state import WindowState  # noqa: E402
from scripts.soak_kills import (  # noqa: E402
    DATABASE,
    JOURNAL,
    Journal,
    SteadyEngine,
    Tally,
    add_options,
    look,
    report,
)
from tests.fakes import FakeEngineControl  # noqa: E402

LONGEST_LIFE_S = 2.2


class Watcher:
    """Notes what reaches the transcript, before anything is drawn."""

    def __init__(self, transcript: Transcript, journal: Journal) -> None:
        self._journal = journal
        self._shown: dict[int, int] = {}
        self._wrap(transcript, "begin_answer", self._begun)
        self._wrap(transcript, "append_text", self._grown)
        self._wrap(transcript, "end_answer", self._stored)
        self._wrap(transcript, "add_before_queued", self._stored)

    def _wrap(self, transcript: Transcript, name: str, note: Any) -> None:
        clean = getattr(transcript, name)

        def noted(*args: Any) -> None:
            note(*args)
            clean(*args)

        setattr(transcript, name, noted)

    def _begun(self, item: MessageItem) -> None:
        self._shown[item.id] = 0
        self._journal.note("stored", id=item.id, text=None)

    def _grown(self, message_id: int, text: str) -> None:
        self._shown[message_id] = self._shown.get(message_id, 0) + len(text)
        self._journal.note("shown", id=message_id, chars=self._shown[message_id])

    def _stored(self, item: MessageItem) -> None:
        self._journal.note("stored", id=item.id, text=item.text)


class Driver:
    """Uses the window as a restless person would, until it is killed."""

    def __init__(self, window: MainWindow, dice: random.Random) -> None:
        self._window = window
        self._dice = dice
        self._count = 0

    async def work(self) -> None:
        while True:
            self._step()
            await asyncio.sleep(self._dice.choice((0.02, 0.1, 0.3, 0.8)))

    def _step(self) -> None:
        chats, page = self._window.chats, self._window.chat_page
        items = [item for item in page.transcript.messages() if item.state != "queued"]
        mine = [item for item in items if item.role == "user"]
        self._count += 1
        words = f"question {self._count} {self._dice.random()}"
        dice = self._dice.random()
        if dice < 0.12:
            self._go_elsewhere()
        elif chats.is_answering and dice < 0.3:
            chats.stop()
        elif chats.is_answering:
            page.composer.set_text(words)  # a draft, kept as one types
        elif not mine or dice < 0.55:
            page.composer.set_text(words)
            page.composer.text.submitted.emit()
        elif dice < 0.7:
            page.composer.begin_edit(self._dice.choice(mine).id, words)
            page.composer.text.submitted.emit()
        elif dice < 0.85:
            self._window.actions_by_name["regenerate"].trigger()
        else:
            chats.select_sibling(self._dice.choice(items).id, self._dice.choice((-1, 1)))

    def _go_elsewhere(self) -> None:
        model = self._window.sidebar.model
        rows = [model.row(at) for at in range(model.rowCount())]
        known = [row.chat_id for row in rows if row.chat_id is not None]
        if not known or self._dice.random() < 0.2:
            self._window.new_chat()
        elif self._dice.random() < 0.1:
            self._window.actions_by_name["trash"].trigger()
            self._window.toast.button.click()
        else:
            self._window.chats.open_chat(self._dice.choice(known))


def run_child(folder: Path, seed: int, ready: int) -> None:
    """Never returns by itself."""
    dice = random.Random(seed)
    app = create_application(["garret"])
    theme = Theme(app)

    async def window() -> int:
        storage = await open_storage(folder / DATABASE)
        services = ChatServices(storage, SteadyEngine(dice), FakeEngineControl())
        state = WindowState(folder / "window.ini")
        icons = Icons(icons_folder(), theme)
        journal = Journal(folder / JOURNAL)

        def on_error(name: str, error: Exception) -> None:
            journal.note("problem", what=f"{name}: {error!r}")

        made = MainWindow(theme, icons, services, state, TaskOwner(on_error))
        Watcher(made.chat_page.transcript, journal)
        made.show()
        os.write(ready, b"1")
        await Driver(made, dice).work()
        return 0

    run_loop(app, window)


def kill_once(folder: Path, seed: int, tally: Tally) -> None:
    """One round: a forked child, killed after a random time; then the comparison."""
    read_end, write_end = os.pipe()
    child = os.fork()  # everything is imported already, and no Qt object exists yet
    if child == 0:
        os.close(read_end)
        try:
            run_child(folder, seed, write_end)
        finally:
            os._exit(3)
    os.close(write_end)
    is_ready = os.read(read_end, 1) == b"1"
    os.close(read_end)
    if is_ready:
        time.sleep(random.Random(seed).uniform(0.0, LONGEST_LIFE_S))
    killed_at = time.monotonic()
    os.kill(child, signal.SIGKILL)
    _pid, status = os.waitpid(child, 0)
    tally.kills += 1
    if not is_ready or not os.WIFSIGNALED(status):
        tally.problems.append(f"kill {tally.kills}: the window died by itself ({status})")
        return
    look(folder, killed_at, tally)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add_options(parser)
    return report(kill_once, parser.parse_args())


if __name__ == "__main__":
    raise SystemExit(main())
