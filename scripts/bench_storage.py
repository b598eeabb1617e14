"""Measures search and opening with 100,000 messages in 5,000 chats.

    python scripts/bench_storage.py [--messages 100000] [--chats 5000] [--seed 1] [--json]

The texts are cut from Python's own standard library: real code, real prose, real repetition.
Opening is compared with an empty database in the same run. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.core.messages import Message, TextPart  # noqa: E402
from app.storage.rows import parts_to_text  # noqa: E402
from app.storage.searchable import searchable_text  # noqa: E402
from app.storage.storage import Storage, open_storage  # noqa: E402
from app.storage.titles import title_from  # noqa: E402

NOW = 1_790_000_000.0


def library_text() -> str:
    """Some five million characters of the standard library."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = [*sorted(folder.glob("*.py")), *sorted(folder.glob("asyncio/*.py"))]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


class Corpus:
    """Messages of log-normal length (median 400 characters), and questions about them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._text = library_text()
        self._names = sorted(set(re.findall(r"[A-Za-z_]{3,}", self._text)))

    def message(self) -> str:
        length = int(min(6000, max(30, self._dice.lognormvariate(6.0, 1.0))))
        start = self._dice.randrange(len(self._text) - length)
        return self._text[start : start + length]

    def queries(self, count: int) -> list[str]:
        """Names, pairs of names, pieces of code, very common words, two-letter words, misses."""
        fixed = ["the", "self", "return", "def __init__(self", "for i in range", "if x is", "io"]
        fixed += ["import os", "qz", "not there at all", "raise ValueError(", "os.path", "in"]
        found = list(fixed)
        while len(found) < count:
            kind = self._dice.randrange(3)
            if kind == 0:
                found.append(self._dice.choice(self._names))
            elif kind == 1:
                found.append(" ".join(self._dice.sample(self._names, 2)))
            else:
                start = self._dice.randrange(len(self._text) - 40)
                found.append(self._text[start : start + self._dice.randrange(5, 30)])
        return found


def fill(connection: sqlite3.Connection, corpus: Corpus, chats: int, messages: int) -> None:
    """Writes the chats in bulk, through the same tables and triggers as the app."""
    per_chat = [messages // chats + (number < messages % chats) for number in range(chats)]
    for number, count in enumerate(per_chat):
        chat_id = connection.execute(
            "INSERT INTO chats (uid, title, created_at, updated_at) VALUES (?, '', ?, ?)"
            " RETURNING id",
            (f"bench-{number}", NOW + number, NOW + number),
        ).fetchone()[0]
        parent: int | None = None
        for turn in range(count):
            part = TextPart(corpus.message())
            parent = connection.execute(
                "INSERT INTO messages (chat_id, parent_id, role, parts, created_at)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id",
                (
                    chat_id,
                    parent,
                    "assistant" if turn % 2 else "user",
                    parts_to_text([part]),
                    NOW + number,
                ),
            ).fetchone()[0]
            connection.execute(
                "INSERT INTO message_text VALUES (?, ?)", (parent, searchable_text([part]))
            )
            if turn == 0:
                title = title_from(part.text)
                connection.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat_id))
        connection.execute("UPDATE chats SET active_leaf = ? WHERE id = ?", (parent, chat_id))


async def timed_search(storage: Storage, queries: list[str]) -> tuple[list[float], list[float]]:
    """Milliseconds per query as the app awaits it, and on the processor alone: the second does
    not grow when other programs keep this machine busy."""
    waited: list[float] = []
    worked: list[float] = []
    clean_read = storage.database.read

    async def measured(job: Callable[[sqlite3.Connection], Any]) -> Any:
        def timed(connection: sqlite3.Connection) -> Any:
            started = time.thread_time()
            result = job(connection)
            worked.append((time.thread_time() - started) * 1000)
            return result

        return await clean_read(timed)

    storage.database.read = measured  # type: ignore[method-assign]
    for query in queries:
        started = time.perf_counter()
        await storage.search.find(query)
        waited.append((time.perf_counter() - started) * 1000)
    storage.database.read = clean_read  # type: ignore[method-assign]
    return sorted(waited), sorted(worked)


_OPEN = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from app.storage.storage import open_storage

async def main():
    started = time.perf_counter()
    storage = await open_storage(Path(sys.argv[1]))
    chats = await storage.chats.list(limit=200)
    if chats:
        await storage.messages.branch(chats[0].id)
    print((time.perf_counter() - started) * 1000)
    await storage.close()

asyncio.run(main())
"""


def open_ms(path: Path, repeats: int = 5) -> float:
    """Median time in a fresh process from opening to the first chat's messages."""
    times = []
    for _ in range(repeats):
        command = [sys.executable, "-c", _OPEN, str(path), str(ROOT)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times.append(float(done.stdout))
    return statistics.median(times)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(folder: Path, chats: int, messages: int, seed: int) -> dict[str, float]:
    corpus = Corpus(seed)
    path, empty = folder / "full" / "chats.sqlite3", folder / "empty" / "chats.sqlite3"
    await (await open_storage(empty)).close()
    storage = await open_storage(path)
    started = time.perf_counter()
    await storage.database.write(lambda connection: fill(connection, corpus, chats, messages))
    filled_s = time.perf_counter() - started
    times, worked = await timed_search(storage, corpus.queries(300))

    started = time.perf_counter()
    await storage.chats.list()
    list_ms = (time.perf_counter() - started) * 1000
    chat = await storage.chats.create()
    adds = []
    for _ in range(30):
        started = time.perf_counter()
        await storage.messages.add(chat.id, None, Message.of("user", corpus.message()))
        adds.append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    await storage.backups.make()
    backup_s = time.perf_counter() - started
    await storage.close()
    full_ms, empty_ms = open_ms(path), open_ms(empty)
    return {
        "messages": messages,
        "chats": chats,
        "database_mb": round(path.stat().st_size / 1e6, 1),
        "fill_s": round(filled_s, 1),
        "search_p50_ms": round(percentile(times, 0.5), 2),
        "search_p95_ms": round(percentile(times, 0.95), 2),
        "search_max_ms": round(times[-1], 2),
        "search_p95_cpu_ms": round(percentile(worked, 0.95), 2),
        "list_all_chats_ms": round(list_ms, 1),
        "add_message_p50_ms": round(statistics.median(adds), 2),
        "open_ms": round(full_ms, 1),
        "open_empty_ms": round(empty_ms, 1),
        "open_extra_ms": round(full_ms - empty_ms, 1),
        "backup_s": round(backup_s, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--chats", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="accepted; the output is JSON anyway")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="garret-bench-") as folder:
        result = asyncio.run(measure(Path(folder), options.chats, options.messages, options.seed))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
