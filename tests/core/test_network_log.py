from __future__ import annotations

from pathlib import Path

from app.core.network_log import Connection, NetworkLog


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_noted_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "data" / "network.jsonl"
    log = NetworkLog(file, Clock())
    log.note("huggingface.co", "Asked about the Hub", 120)
    log.note("cdn.example.org", "Download of m.gguf", 5_000)
    assert NetworkLog(file).entries() == log.entries()
    assert [one.host for one in log.entries()] == ["huggingface.co", "cdn.example.org"]
    assert file.stat().st_mode & 0o077 == 0


def test_many_connections_of_one_download_are_one_line_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    log = NetworkLog(tmp_path / "n.jsonl", clock)
    for _ in range(3):
        log.note("cdn.example.org", "Download of m.gguf", 100)
    clock.now += 61
    log.note("cdn.example.org", "Download of m.gguf", 7)
    first, second = log.entries()
    assert (first.count, first.received_bytes) == (3, 300)
    assert (second.count, second.received_bytes) == (1, 7)
    assert NetworkLog(tmp_path / "n.jsonl").entries() == (first, second)


def test_a_failure_has_a_line_of_its_own() -> None:
    log = NetworkLog(clock=Clock())
    log.note("h", "p", 5)
    log.note("h", "p", failed=True)
    log.note("h", "p", 5)
    assert [one.failed for one in log.entries()] == [False, True, False]


def test_the_file_stays_small_and_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "n.jsonl"
    log = NetworkLog(file, Clock(), kept=5)
    for number in range(100):
        log.note(f"host{number}", "p")
    assert len(file.read_text().splitlines()) <= 20
    file.write_text(file.read_text() + "{broken\n[]\n" + '{"at": "x"}\n')
    assert [one.host for one in NetworkLog(file, kept=5).entries()] == [
        f"host{number}" for number in range(95, 100)
    ]


def test_clearing_removes_the_file(tmp_path: Path) -> None:
    log = NetworkLog(tmp_path / "n.jsonl")
    log.note("h", "p")
    log.clear()
    assert log.entries() == ()
    assert not (tmp_path / "n.jsonl").exists()


def test_since_leaves_out_what_was_before() -> None:
    clock = Clock()
    log = NetworkLog(clock=clock)
    log.note("old", "p")
    clock.now += 10
    log.note("new", "p")
    assert log.since(1005.0) == (Connection(1010.0, "new", "p"),)
