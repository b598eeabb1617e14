"""What the soaks of storage and of the window share: a steady engine, a journal, the comparison.

A child streams and edits on one data folder and notes in a journal what it was told is stored and
what was on the screen, with times. The parent kills it after a random time, checks the file, opens
it as the app does and compares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.events import TextDelta, TurnEnded, TurnEvent, Usage
from app.core.ports import TurnRequest
from app.storage.storage import open_storage

DATABASE = "chats.sqlite3"
JOURNAL = "journal.jsonl"
ALLOWED_BEHIND_S = 1.0
WORDS_PER_S = 200


def answer_text(words: int) -> str:
    """What the child's engine says: every prefix is recognisable."""
    return "".join(f"word{number} " for number in range(words))


class SteadyEngine:
    """Streams `answer_text` at WORDS_PER_S."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        total = self._dice.randrange(5, 600)
        started, said = time.monotonic(), 0
        while said < total:
            due = min(total, 1 + int((time.monotonic() - started) * WORDS_PER_S))
            if due > said:
                yield TextDelta("".join(f"word{number} " for number in range(said, due)))
                said = due
            await asyncio.sleep(1 / WORDS_PER_S)
        yield TurnEnded("stop", Usage(10, total, 0))

    async def models(self) -> list[str]:
        return ["steady"]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return None

    async def context_tokens(self, model: str) -> int | None:
        return None


class Journal:
    """Lines that survive the writer's death: one write call each, straight to the kernel."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kind: str, **facts: Any) -> None:
        line = json.dumps({"kind": kind, "at": time.monotonic(), **facts}) + "\n"
        os.write(self._file, line.encode())


@dataclass
class Tally:
    """What the kills found."""

    kills: int = 0
    while_streaming: int = 0
    messages: int = 0
    worst_behind_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)


KillOnce = Callable[[Path, int, Tally], None]


def look(folder: Path, killed_at: float, tally: Tally) -> None:
    """Compares what the journal says with what is on disk."""
    journal = folder / JOURNAL
    lines = journal.read_text().splitlines() if journal.exists() else []
    notes = [json.loads(line) for line in lines if line.endswith("}")]
    tally.problems += [
        f"kill {tally.kills}: {note['what']}" for note in notes if note["kind"] == "problem"
    ]
    tally.problems += file_problems(folder / DATABASE, tally.kills)
    asyncio.run(compare(folder, notes, killed_at, tally))


def file_problems(path: Path, kill: int) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        connection.execute("INSERT INTO message_search (message_search) VALUES ('integrity-check')")
    problems = [] if found == ["ok"] else [f"kill {kill}: {found}"]
    return problems + ([f"kill {kill}: orphans {orphans}"] if orphans else [])


async def compare(
    folder: Path, notes: list[dict[str, Any]], killed_at: float, tally: Tally
) -> None:
    ended = {n["id"]: n["text"] for n in notes if n["kind"] == "stored" and n["text"] is not None}
    tally.texts.update(ended)
    storage = await open_storage(folder / DATABASE)
    try:
        stored: dict[int, str] = {}
        drafts: dict[int, str] = {}
        # Killed between trashing and restoring, a chat is in the trash: moved, not lost.
        for chat in [*await storage.chats.list(), *await storage.chats.list("trash")]:
            drafts[chat.id] = chat.draft
            for message in await storage.messages.all(chat.id):
                stored[message.id] = message.text
                if message.state == "streaming":
                    tally.problems.append(f"kill {tally.kills}: {message.id} still streams")
    finally:
        await storage.close()
    tally.messages = len(stored)
    for message_id, text in tally.texts.items():
        if stored.get(message_id) != text:
            tally.problems.append(f"kill {tally.kills}: message {message_id} lost or changed")
    _compare_streaming(notes, ended, stored, killed_at, tally)
    _compare_drafts(notes, drafts, tally)


def _compare_streaming(
    notes: list[dict[str, Any]],
    ended: dict[int, str],
    stored: dict[int, str],
    killed_at: float,
    tally: Tally,
) -> None:
    shown = [n for n in notes if n["kind"] == "shown" and n["id"] not in ended]
    for message_id in {note["id"] for note in shown}:
        tally.while_streaming += 1
        kept = stored.get(message_id, "")
        if not answer_text(700).startswith(kept):
            tally.problems.append(f"kill {tally.kills}: answer {message_id} is garbled")
        lost = [n for n in shown if n["id"] == message_id and n["chars"] > len(kept)]
        if lost:
            behind = killed_at - lost[0]["at"]
            tally.worst_behind_s = max(tally.worst_behind_s, behind)
            if behind > ALLOWED_BEHIND_S:
                tally.problems.append(f"kill {tally.kills}: {behind:.2f} s of an answer lost")
        tally.texts[message_id] = kept


def _compare_drafts(notes: list[dict[str, Any]], drafts: dict[int, str], tally: Tally) -> None:
    last: dict[int, str] = {}
    going: dict[int, str] = {}
    for note in notes:
        if note["kind"] == "draft":
            last[note["chat"]] = note["draft"]
            going.pop(note["chat"], None)
        elif note["kind"] == "draft-going":
            going[note["chat"]] = note["draft"]
    for chat, draft in last.items():
        if drafts.get(chat) not in (draft, going.get(chat), ""):
            tally.problems.append(f"kill {tally.kills}: the draft of chat {chat} is wrong")


def soak(
    kill_once: KillOnce, folder: Path, kills: int, seed: int, *, report_every: int = 0
) -> Tally:
    """Kills the child `kills` times on one data folder."""
    tally = Tally()
    for number in range(kills):
        (folder / JOURNAL).unlink(missing_ok=True)
        kill_once(folder, seed * 1_000_003 + number, tally)
        if report_every and tally.kills % report_every == 0:
            print(f"{tally.kills}/{kills} kills, {len(tally.problems)} problems", file=sys.stderr)
    return tally


def add_options(parser: argparse.ArgumentParser) -> None:
    """What both scripts are told."""
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the database here")
    parser.add_argument("--json", action="store_true", help="no progress, only the result")


def report(kill_once: KillOnce, options: argparse.Namespace) -> int:
    """Soaks, prints what was found, one JSON object last; the exit status."""
    with tempfile.TemporaryDirectory(prefix="garret-soak-") as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        every = 0 if options.json else 20
        tally = soak(kill_once, folder, options.kills, options.seed, report_every=every)
        size = (folder / DATABASE).stat().st_size
    for problem in tally.problems:
        print(problem, file=sys.stderr)
    result = {
        "kills": tally.kills,
        "kills_while_streaming": tally.while_streaming,
        "messages_checked": tally.messages,
        "worst_behind_s": round(tally.worst_behind_s, 3),
        "problems": len(tally.problems),
        "database_bytes": size,
        "seconds": round(time.monotonic() - started, 1),
        "seed": options.seed,
    }
    print(json.dumps(result))
    return 1 if tally.problems or tally.kills < options.kills else 0
