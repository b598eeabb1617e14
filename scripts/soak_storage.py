"""Kills a process that streams and edits chats, again and again, and looks for what was lost.

    python scripts/soak_storage.py [--kills 300] [--seed 1] [--folder DIR] [--json]

A child works on one database: it asks, streams answers at about 200 words a second, edits,
retries, switches branches, names, trashes. It notes in a journal what it was told is stored and
what was on the screen, with times. The parent kills it with SIGKILL after a random time, checks
the file, opens it as the app does and compares. Any loss ends the run with status 1. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.core.events import TextDelta  # noqa: E402
from app.session.chat import ChatSession, SessionEvents  # noqa: E402
from app.session.events import AnswerEnded, AnswerProgress, AnswerStarted, MessageStored  # noqa: E402
from app.storage.storage import Storage, open_storage  # noqa: E402
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


class Child:
    """Works on the chats until it is killed."""

    def __init__(self, storage: Storage, journal: Journal, dice: random.Random) -> None:
        self._storage = storage
        self._journal = journal
        self._dice = dice
        self._engine = SteadyEngine(dice)
        self._count = 0

    async def work(self) -> None:
        while True:
            chats = await self._storage.chats.list(limit=5)
            if not chats or self._dice.random() < 0.1:
                chat = await self._storage.chats.create()
                self._journal.note("chat", chat=chat.id)
            else:
                chat = self._dice.choice(chats)
            session = ChatSession(self._engine, self._storage, chat.id)
            await self._one_step(session)

    async def _one_step(self, session: ChatSession) -> None:
        branch = await session.branch()
        self._count += 1
        words = f"question {self._count} {self._dice.random()}"
        mine = [message for message in branch if message.role == "user"]
        step = self._dice.random()
        if not mine or step < 0.45:
            await self._follow(session.send(words))
        elif step < 0.6:
            await self._follow(session.edit(self._dice.choice(mine).id, words))
        elif step < 0.75:
            await self._follow(session.regenerate(self._dice.choice(mine).id))
        elif step < 0.85:
            siblings = self._dice.choice(branch).sibling_ids
            await session.select_sibling(self._dice.choice(siblings))
        elif step < 0.95:
            self._journal.note("draft-going", chat=session.chat_id, draft=words)
            await self._storage.chats.update(session.chat_id, draft=words)
            self._journal.note("draft", chat=session.chat_id, draft=words)
        else:
            await self._storage.chats.trash(session.chat_id)
            await self._storage.chats.restore(session.chat_id)

    async def _follow(self, events: SessionEvents) -> None:
        stop_after = self._dice.randrange(1, 800)
        shown = seen = 0
        async for event in events:
            match event:
                case MessageStored(message):
                    self._journal.note("stored", id=message.id, text=message.text)
                    self._journal.note("draft", chat=message.chat_id, draft="")
                case AnswerStarted(message):
                    self._journal.note("stored", id=message.id, text=None)
                case AnswerProgress(message_id, TextDelta(text)):
                    shown += len(text)
                    seen += 1
                    self._journal.note("shown", id=message_id, chars=shown)
                    if seen == stop_after:
                        await events.aclose()
                        return
                case AnswerEnded(message):
                    self._journal.note("stored", id=message.id, text=message.text)


async def run_child(folder: Path, seed: int) -> None:
    storage = await open_storage(folder / DATABASE)
    print("ready", flush=True)
    await Child(storage, Journal(folder / JOURNAL), random.Random(seed)).work()


def kill_once(folder: Path, seed: int, tally: Tally) -> None:
    """One round: start, kill after a random time, compare."""
    command = [sys.executable, __file__, "--child", str(folder), "--seed", str(seed)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        if child.stdout.readline().strip() != "ready":
            tally.problems.append(f"kill {tally.kills}: the child did not start")
            child.wait()
            return
        time.sleep(random.Random(seed).uniform(0.0, 2.5))
        killed_at = time.monotonic()
        child.send_signal(signal.SIGKILL)
        child.wait()
    tally.kills += 1
    look(folder, killed_at, tally)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add_options(parser)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        asyncio.run(run_child(options.child, options.seed))
        return 0
    return report(kill_once, options)


if __name__ == "__main__":
    raise SystemExit(main())
