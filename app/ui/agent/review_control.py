"""The changes panel at work: what is kept, what is undone, how the tests came out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from PySide6.QtCore import QObject

from app.agent.review import FileReview
from app.agent.types import ToolOutcome, UndoReport
from app.core.errors import GarretError
from app.core.messages import ToolCallPart
from app.session.agent_session import AgentSession
from app.ui.agent.diff_colors import file_colors
from app.ui.agent.page import AgentPage
from app.ui.agent.values import command_of, is_test_run, result_of
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme

Note = Callable[..., None]


class ReviewControl(QObject):
    """Between the panel and the session; `note` writes a line into the story."""

    def __init__(
        self,
        page: AgentPage,
        session: AgentSession,
        tasks: TaskOwner,
        theme: Theme,
        note: Note,
    ) -> None:
        super().__init__(page)
        self._page = page
        self._panel = page.changes
        self._session = session
        self._tasks = tasks
        self._theme = theme
        self._note = note
        panel, start = self._panel, tasks.start
        panel.file_chosen.connect(lambda path: start("agent-diff", self._show(path)))
        panel.keep_file_wanted.connect(lambda path: start("agent-keep", self._keep_file(path)))
        panel.keep_all_wanted.connect(lambda: start("agent-keep", self._keep_all()))
        panel.undo_file_wanted.connect(
            lambda path: start("agent-undo", self._undo(lambda: session.undo_file(path)))
        )
        panel.undo_all_wanted.connect(lambda: start("agent-undo", self._undo(session.undo_all)))
        panel.redo_wanted.connect(lambda: start("agent-redo", self._redo()))
        panel.diff.keep_wanted.connect(
            lambda review, numbers: start("agent-keep", self._keep(review, numbers))
        )
        panel.diff.undo_wanted.connect(
            lambda review, numbers: start(
                "agent-undo", self._undo(lambda: session.undo_hunks(review, numbers))
            )
        )
        theme.changed.connect(self._on_theme)

    def clear(self) -> None:
        """Another task: nothing is changed yet."""
        self._panel.tests.show_result(None)
        self._panel.show_changes(())
        self._page.show_side()

    async def refresh(self) -> None:
        """Asks what is different now."""
        files = await self._session.changes()
        self._panel.show_changes(files, can_redo=self._session.can_redo)
        self._page.show_side()

    def take_command(self, call: ToolCallPart, outcome: ToolOutcome) -> None:
        """A command that ran tests updates the strip."""
        command = command_of(call.arguments) if outcome.exit_code is not None else ""
        if command and is_test_run(command):
            self.show_tests(command, outcome.exit_code == 0, outcome.display or outcome.text)

    def show_tests(self, command: str, passed: bool, output: str) -> None:
        """The newest run of the tests."""
        self._panel.tests.show_result(result_of(command, passed, output))
        self._page.show_side()

    def _on_theme(self) -> None:
        review = self._panel.diff.review
        if review is not None:
            self._tasks.start("agent-colors", self._color(review))

    async def _show(self, path: str) -> None:
        review = await self._session.review(path)
        self._panel.show_review(review)
        if review is not None:
            await self._color(review)

    async def _color(self, review: FileReview) -> None:
        dark = self._theme.colors.is_dark
        colors = await asyncio.to_thread(file_colors, review, dark=dark)
        self._panel.show_colors(review, colors)

    async def _keep(self, review: FileReview, numbers: tuple[int, ...]) -> None:
        self._session.keep(review, numbers)
        await self.refresh()

    async def _keep_file(self, path: str) -> None:
        await self._session.keep_file(path)
        await self.refresh()

    async def _keep_all(self) -> None:
        await self._session.keep_all()
        await self.refresh()

    async def _undo(self, work: Callable[[], Awaitable[UndoReport]]) -> None:
        try:
            report = await work()
        except GarretError as error:
            self._note(str(error), is_problem=True)
        else:
            self._tell(report, self.tr("{} as before."))
        await self.refresh()

    async def _redo(self) -> None:
        try:
            report = await self._session.redo()
        except GarretError as error:
            self._note(str(error), is_problem=True)
        else:
            self._tell(report, self.tr("{} changed again."))
        await self.refresh()

    def _tell(self, report: UndoReport, words: str) -> None:
        done = len(report.restored) + len(report.deleted) + len(report.merged)
        files = self.tr("1 file is") if done == 1 else self.tr("{} files are").format(done)
        said = words.format(files) if done else self.tr("There was nothing to put back.")
        left = [f"{one.path}: {one.reason}" for one in report.conflicts]
        if left:
            said = f"{said} Left alone: {'; '.join(left)}"
        if report.not_covered:
            said = f"{said} Not covered: {', '.join(report.not_covered)}"
        self._note(said, is_problem=bool(left or report.not_covered))
