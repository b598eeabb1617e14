"""What a person decides on the agent page: changes one by one, cards by key, folders by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import shiboken6
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.agent.hunks import hunks, without
from app.agent.mcp_servers import McpServer
from app.agent.record import FileRunRecords
from app.agent.review import FileReview, Ledger, grouped
from app.agent.types import Change, Mode
from app.core.events import TextDelta
from app.core.ports import RunHead
from app.ui.agent.confirm_folder import ConfirmFolder
from app.ui.agent.diff_colors import file_colors
from app.ui.agent.diff_rows import split_rows, unified_rows
from app.ui.agent.servers_dialog import ServersDialog
from app.ui.agent.values import counts_in, is_test_run
from app.ui.transcript.cells import UserCell
from tests.ui.conftest import in_qt_loop, until
from tests.ui.test_agent_page import Bench, ScriptedAnswers, call

pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)
OLD = "".join(f"line {n}\n" for n in range(40))
NEW = OLD.replace("line 3\n", "line three\n").replace("line 30\n", "")


def review_of(old: bytes, new: bytes, path: str = "a.py") -> FileReview:
    return FileReview(path, old, new, grouped(hunks(old, new)))


async def edited(bench: Bench) -> None:
    """A finished run that changed a.txt in two places, hands-free."""
    (bench.folder / "a.txt").write_text(OLD)
    await bench.open()
    bench.session.set_mode(Mode.AUTO)
    bench.page.composer.submitted.emit("Change it", ())
    await until(lambda: len(bench.page.changes.diff.rows()) > 4)
    await until(lambda: not bench.session.is_working)


def edits() -> ScriptedAnswers:
    read = call(1, "read_file", file_path="a.txt")
    return ScriptedAnswers(
        [read], [call(2, "write_file", file_path="a.txt", content=NEW)], [TextDelta("Done.")]
    )


@in_qt_loop
async def test_one_change_is_kept_and_its_neighbour_undone(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path, edits())
    await edited(bench)
    panel, diff = bench.page.changes, bench.page.changes.diff
    diff.decide(keep=True)
    await until(lambda: diff.review is not None and len(diff.review.groups) == 1)
    assert (bench.folder / "a.txt").read_text() == NEW  # keeping changes nothing on disk
    diff.decide(keep=False)
    half = OLD.replace("line 3\n", "line three\n")
    await until(lambda: (bench.folder / "a.txt").read_text() == half)
    await until(lambda: panel.list.item(0) is not None and "✓" in panel.list.item(0).text())
    await until(lambda: panel.redo.isEnabled())
    panel.redo_wanted.emit()
    await until(lambda: (bench.folder / "a.txt").read_text() == NEW)
    panel.undo_all_wanted.emit()
    await until(lambda: (bench.folder / "a.txt").read_text() == OLD)
    await until(lambda: panel.list.count() == 0)
    await bench.close()


@in_qt_loop
async def test_a_part_of_a_file_that_somebody_changed_since_is_not_undone(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path, edits())
    await edited(bench)
    (bench.folder / "a.txt").write_text(NEW + "mine\n")
    bench.page.changes.diff.decide(keep=False)
    story = bench.page.transcript
    await until(lambda: any("changed since" in str(slot.cell) for slot in story._column.slots))
    assert (bench.folder / "a.txt").read_text() == NEW + "mine\n"
    await bench.close()


@in_qt_loop
async def test_esc_denies_and_what_was_typed_meanwhile_is_delivered(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    write = call(1, "write_file", file_path="b.txt", content="x")
    bench = Bench(qtbot, qapp, tmp_path, ScriptedAnswers([write], [TextDelta("All right.")]))
    await bench.open()
    bench.page.composer.submitted.emit("Write b.txt", ())
    await until(lambda: bench.cards("approval"))
    bench.page.composer.submitted.emit("And be brief.", ())

    def said() -> list[bool]:
        cells = [slot.cell for slot in bench.page.transcript._column.slots]
        return [c.is_queued for c in cells if isinstance(c, UserCell) and "brief" in c.text]

    assert said() == [True]
    bench.page.escape()
    await until(lambda: not bench.session.is_working)
    assert not (bench.folder / "b.txt").exists()
    assert said() == [False]
    await bench.close()


@in_qt_loop
async def test_a_risky_folder_opens_only_by_its_name(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path, ScriptedAnswers())
    risky = tmp_path / "home" / "data"
    bench.controller.open_folder(str(risky))
    window = bench.page.window()
    await until(lambda: window.findChildren(ConfirmFolder))
    (dialog,) = window.findChildren(ConfirmFolder)
    dialog.field.setText("yes")
    assert not dialog.open_it.isEnabled()
    dialog.field.setText("data")
    dialog.open_it.click()
    await until(lambda: bench.page.header.folder.toolTip() == str(risky))
    await bench.close()


@in_qt_loop
async def test_a_task_that_was_cut_off_is_offered_again(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path, ScriptedAnswers([TextDelta("Finished it.")]))
    paths = bench.session._paths
    records = FileRunRecords(paths.runs)
    await records.begin(RunHead("a" * 32, str(bench.folder), "m", "ask", "Mend the roof", 1.0))
    await bench.open()
    await until(lambda: bench.cards("question"))
    card_id, card = bench.cards("question")[0]
    assert "Mend the roof" in str(card)
    bench.page.card_action.emit(card_id, "yes", card)
    await until(lambda: bench.session.is_working)
    await until(lambda: not bench.session.is_working)
    await until(lambda: not bench.tasks.running("agent-run"))
    assert await records.unfinished(str(bench.folder)) == []
    await bench.close()


@in_qt_loop
async def test_a_server_is_added_by_hand(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> None:
    bench = Bench(qtbot, qapp, tmp_path, ScriptedAnswers())
    bench.controller.servers.open()
    await until(lambda: bench.controller.servers.dialog)
    dialog = bench.controller.servers.dialog
    assert isinstance(dialog, ServersDialog)
    dialog.add.click()
    dialog.name.setText("echo")
    dialog._on_save()
    assert "neither a command nor an address" in dialog.verdict.text()
    dialog.command.setText("npx -y a-server")
    dialog._on_save()
    await until(lambda: not shiboken6.isValid(dialog) or not dialog.isVisible())
    assert [server.name for server in await bench.session.servers()] == ["echo"]
    await bench.close()


def test_servers_written_by_hand_keep_what_they_hold(qtbot: QtBot, theme: object) -> None:
    servers = (
        McpServer("a", ("npx", "-y", "with space"), {"KEY": "a=b"}),
        McpServer("b", url="http://127.0.0.1:1/mcp", headers={"X": "y"}, enabled=False),
    )
    dialog = ServersDialog(theme, servers, None)  # type: ignore[arg-type]
    qtbot.addWidget(dialog)
    dialog.list.setCurrentRow(1)
    dialog.list.setCurrentRow(0)
    assert dialog.servers() == servers


def test_both_views_show_every_line_that_changed() -> None:
    review = review_of(OLD.encode(), NEW.encode())
    one = unified_rows(review)
    left, right = split_rows(review)
    assert len(left) == len(right)
    assert [row.text for row in one if row.kind == "removed"] == ["line 3", "line 30"]
    assert [row.text for row in one if row.kind == "added"] == ["line three"]
    assert [row.text for row in left if row.kind == "removed"] == ["line 3", "line 30"]
    assert [row.text for row in right if row.kind == "added"] == ["line three"]
    assert next(row for row in one if row.kind == "added").marks == ((5, 5),)
    same = [(row.old, row.new) for row in one if row.kind == "same"]
    assert (3, 3) in same
    assert (32, 31) in same


def test_hidden_characters_and_line_ends_are_drawn() -> None:
    rows = unified_rows(review_of("a\u202eb\n".encode(), b"ab\r\n"))
    texts = [row.text for row in rows if row.kind in ("removed", "added")]
    assert texts == ["a\\u{202e}b", "ab"]
    ends = unified_rows(review_of(b"a\n", b"a\r\n"))
    assert [row.text for row in ends if row.kind in ("removed", "added")] == ["a␊", "a␍␊"]


def test_colours_belong_to_the_line_they_are_drawn_on() -> None:
    colors = file_colors(review_of(b"x = 1\n", b"def f():\n    return 'a'\n"), dark=False)
    assert (0, 3) in [(start, length) for start, length, _ in colors.new[1]]
    assert (4, 6) in [(start, length) for start, length, _ in colors.new[2]]
    assert set(colors.old) == {1}


def test_what_was_kept_is_not_asked_again_until_it_changes() -> None:
    old, new = OLD.encode(), NEW.encode()
    ledger = Ledger()
    change = Change("a.txt", "modified", "1", "2")
    review = ledger.review(change, old, new)
    ledger.keep(review, review.groups[0].numbers)
    rest = ledger.review(change, old, new)
    assert [group.numbers for group in rest.groups] == [(0,)]
    assert rest.before == without(old, new, review.groups[1].numbers)
    ledger.keep(rest, rest.groups[0].numbers)
    assert ledger.is_kept(change, old, new)
    assert not ledger.is_kept(change, old, new + b"more\n")
    ledger.forget("a.txt")
    assert not ledger.is_kept(change, old, new)


def test_runs_of_tests_are_recognised() -> None:
    runs = ["pytest -q", ".venv/bin/python -m pytest", "cargo test", "python3 -B test_x.py"]
    assert all(map(is_test_run, runs))
    assert not any(map(is_test_run, ["ls tests", "cat pytest.ini", "pip install pytest-x"]))
    assert counts_in("....\n=== 3 failed, 12 passed in 0.5s ===\n") == "3 failed, 12 passed"
