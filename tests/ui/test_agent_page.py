from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.events import TextDelta, ToolCallReady, TurnEnded, TurnEvent, Usage
from app.core.messages import ToolCallPart
from app.core.paths import find_paths
from app.core.ports import TurnRequest
from app.core.settings import Settings
from app.session.agent_session import AgentSession
from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage
from app.ui.agent.values import ApprovalCard, ToolCard
from app.ui.application import icons_folder
from app.ui.icons import Icons
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.transcript.cells import CustomCell
from tests.ui.conftest import in_qt_loop, until


class ScriptedAnswers:
    """A ChatEngine that gives its answers one after another."""

    def __init__(self, *answers: list[TurnEvent]) -> None:
        self._answers = list(answers)

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        del request
        answer = self._answers.pop(0) if self._answers else [TextDelta("Done.")]
        for event in answer:
            yield event
        calls = any(isinstance(event, ToolCallReady) for event in answer)
        yield TurnEnded("tool_calls" if calls else "stop", Usage(100, 10, 50))

    async def models(self) -> list[str]:
        return ["m"]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        del request
        return None

    async def context_tokens(self, model: str) -> int | None:
        del model
        return 32_768


def call(number: int, name: str, **arguments: object) -> TurnEvent:
    return ToolCallReady(0, ToolCallPart(f"c{number}", name, json.dumps(arguments)))


class Bench:
    """The page with a real session in a folder of its own."""

    def __init__(self, qtbot: QtBot, app: QApplication, tmp_path: Path, engine: object) -> None:
        self.folder = tmp_path / "project"
        self.folder.mkdir()
        paths = find_paths(environ={"GARRET_HOME": str(tmp_path / "home")})
        paths.make()
        settings = Settings.load(paths.settings_file)
        model = ModelInfo("m", n_params=30_000_000_000, n_ctx=32_768, tool_format="qwen3-coder")
        view = EngineView(phase="ready", model=model)
        self.session = AgentSession(engine, paths, settings, lambda: view)  # type: ignore[arg-type]
        theme = Theme(app)
        self.page = AgentPage(theme, Icons(icons_folder(), theme))
        self.page.resize(1100, 800)
        self.tasks = TaskOwner(self._on_error)
        self.errors: list[Exception] = []
        self.controller = AgentController(self.page, self.session, self.tasks, theme)
        qtbot.addWidget(self.page)

    def _on_error(self, _name: str, error: Exception) -> None:
        self.errors.append(error)

    async def open(self) -> None:
        self.controller.open_folder(str(self.folder))
        await until(lambda: self.page.header.folder.toolTip())

    def cards(self, kind: str) -> list[tuple[int, object]]:
        return [
            (slot.message_id, slot.cell.payload)
            for slot in self.page.transcript._column.slots
            if isinstance(slot.cell, CustomCell) and slot.cell.kind == kind
        ]

    def answer(self, verb: str) -> None:
        (card_id, card) = self.cards("approval")[-1]
        self.page.card_action.emit(card_id, verb, card)

    async def close(self) -> None:
        await self.tasks.close()
        await self.session.close()
        assert self.errors == []


@in_qt_loop
async def test_an_allowed_edit_is_made_listed_and_taken_back(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    engine = ScriptedAnswers(
        [TextDelta("I write it."), call(1, "write_file", file_path="a.txt", content="hello\n")],
        [TextDelta("Written.")],
    )
    bench = Bench(qtbot, qapp, tmp_path, engine)
    await bench.open()
    bench.page.composer.submitted.emit("Write a.txt", ())
    await until(lambda: bench.cards("approval"))
    assert not (bench.folder / "a.txt").exists()
    card = bench.cards("approval")[0][1]
    assert isinstance(card, ApprovalCard)
    assert "hello" in card.exact
    bench.answer("allow_once")
    await until(lambda: not bench.session.is_working)
    assert (bench.folder / "a.txt").read_text() == "hello\n"
    assert [one.change.path for one in await bench.session.changes()] == ["a.txt"]
    assert bench.page.changes.path == "a.txt"
    await until(lambda: "hello" in [row.text for row in bench.page.changes.diff.rows()])
    bench.page.changes.undo_all_wanted.emit()
    await until(lambda: not (bench.folder / "a.txt").exists())
    bench.page.changes.redo_wanted.emit()
    await until(lambda: (bench.folder / "a.txt").exists())
    await bench.close()


@in_qt_loop
async def test_a_denied_edit_changes_nothing_and_the_story_says_so(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    engine = ScriptedAnswers(
        [call(1, "write_file", file_path="a.txt", content="x")], [TextDelta("All right.")]
    )
    bench = Bench(qtbot, qapp, tmp_path, engine)
    await bench.open()
    bench.page.composer.submitted.emit("Write a.txt", ())
    await until(lambda: bench.cards("approval"))
    bench.answer("deny")
    await until(lambda: not bench.session.is_working)
    assert list(bench.folder.iterdir()) == []
    tool = bench.cards("tool")[0][1]
    assert isinstance(tool, ToolCard)
    assert tool.state == "denied"
    await bench.close()


@in_qt_loop
async def test_stop_denies_an_open_card(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> None:
    engine = ScriptedAnswers([call(1, "write_file", file_path="a.txt", content="x")])
    bench = Bench(qtbot, qapp, tmp_path, engine)
    await bench.open()
    bench.page.composer.submitted.emit("Write a.txt", ())
    await until(lambda: bench.cards("approval"))
    bench.page.composer.stop_requested.emit()
    await until(lambda: not bench.session.is_working)
    assert list(bench.folder.iterdir()) == []
    card = bench.cards("approval")[0][1]
    assert isinstance(card, ApprovalCard)
    assert card.answered
    await bench.close()


@in_qt_loop
async def test_a_refused_folder_is_said_on_the_page(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path, ScriptedAnswers())
    bench.controller.open_folder("/no/such/folder")
    await until(lambda: bench.page.problem.text())
    assert not bench.page.composer.isEnabled()
    await bench.close()
