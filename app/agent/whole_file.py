"""Working without tools, for small models: files in the prompt, whole files in the answer.

The model sees the files the request concerns and writes whole files back; Garret writes them
through the same hands as any tool call, runs the tests, and hands their output to the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, field

from app.agent import text_calls
from app.agent.asking import CHARS_PER_TOKEN, ModelAnswer
from app.agent.events import Correction, TestsRun
from app.agent.project_files import (
    ProjectFile,
    Selection,
    named_in,
    select_files,
    test_command,
)
from app.agent.run import Ended, Run, Stopped
from app.agent.types import Mode, ToolOutcome
from app.agent.whole_file_answer import FileAnswer, blocks, read_answer
from app.agent.whole_file_merge import keep_what_is_missing
from app.core.errors import GarretError
from app.core.messages import Message, ToolCallPart

UNKNOWN_CONTEXT_TOKENS = 8_192
_FILES_SHARE = 0.35
_OUTPUT_CHARS = 3_000
_MOST_CORRECTIONS = 2
_LANGUAGES = {
    "py": "python", "js": "javascript", "ts": "typescript", "rs": "rust", "rb": "ruby",
    "sh": "bash", "go": "go", "java": "java", "c": "c", "cpp": "cpp", "html": "html", "css": "css",
}  # fmt: skip
_FRESH_TEMPERATURE = 0.8
_ENDED_BY_CODE = ("time", "memory", "output", "processes")  # a command the written code ruined
_PLACEHOLDER = re.compile(
    r"\W*(?:the )?(?:complete |whole )?(?:new )?(?:content|code)\W*|\W*", re.I
)
_RETRY_TEMPERATURE = 0.5  # the same prompt answered greedily would give the same wrong file


class CallsTools(Exception):
    """The model called a tool after all; `answer` holds the call."""

    def __init__(self, answer: ModelAnswer) -> None:
        super().__init__("the model calls tools")
        self.answer = answer


@dataclass(slots=True)
class _Files:
    """What the model was shown and what it may write."""

    shown: dict[str, str]
    editable: list[str]
    locked: list[str]
    may_create: list[str]
    written: set[str] = field(default_factory=set)
    failed: set[tuple[tuple[str, str], ...]] = field(default_factory=set)

    def has_failed(self, found: FileAnswer) -> bool:
        """Whether the tests have seen these very files already."""
        return _key(found) in self.failed

    def is_answered_by(self, text: str) -> bool:
        """Whether the one file there is has been written: what follows is only talk, and on a
        slow machine that is most of the time."""
        if len(self.editable) != 1 or self.may_create or not text.endswith("\n"):
            return False
        found = blocks(text)
        if not found or not found[-1].closed:
            return False
        return self.editable[0] in dict(
            read_answer(text, editable=self.editable, locked=self.locked, may_create=[]).files
        )


class WholeFileLoop:
    """One request in tier C."""

    def __init__(self, run: Run, request_text: str) -> None:
        self._run = run
        self._task = request_text
        self._corrections = 0
        self._calls = 0
        self._command = run.options.test_command
        self._opening: tuple[Message, ...] = ()
        self._failure = ""

    async def work(self, environment: str) -> Ended:
        """Runs to the end; `environment` opens the first turn.

        Raises:
            Stopped: the user pressed Stop.
            CallsTools: the model answered with a tool call, so it can do more than this.
            GarretError: the engine is gone or refuses.
        """
        run = self._run
        files = await self._show(environment)
        temperature = 0.0
        round_number = 1
        while True:
            await run.deliver_said()
            sampling = None if "temperature" in run.options.sampling else temperature
            answer = await run.ask(temperature=sampling, enough=files.is_answered_by)
            self._look_for_calls(answer)
            await run.add(answer.message(()))
            found = read_answer(
                answer.text,
                editable=files.editable,
                locked=files.locked,
                may_create=files.may_create,
                shown=files.shown,
            )
            if files.has_failed(found):
                # Told that it is the same, a small model writes it a third time: a fresh try
                # from the first turn, with another throw of the dice, gets further.
                round_number += 1
                if round_number > run.options.max_test_rounds:
                    return self._gave_up(files, round_number - 1)
                await self._start_over()
                temperature = _FRESH_TEMPERATURE
                continue
            if problem := self._problem(answer, found, files):
                if self._corrections >= _MOST_CORRECTIONS:
                    return Ended("stopped", f"The model's answer could not be used: {problem}.")
                await self._correct(problem, files)
                temperature = _RETRY_TEMPERATURE
                continue
            if not found.files:
                return Ended("done", answer.text.strip())
            refusal = await self._write(found, files)
            if refusal:
                return Ended("stopped", refusal)
            ended = await self._check(files, round_number)
            if ended is not None:
                return ended
            files.failed.add(_key(found))
            round_number += 1
            temperature = _RETRY_TEMPERATURE
            if round_number > 2:
                await self._start_over()
                temperature = _FRESH_TEMPERATURE

    async def _show(self, environment: str) -> _Files:
        """Appends the first turn with the files that matter."""
        run = self._run
        context = run.context_tokens or UNKNOWN_CONTEXT_TOKENS
        budget = int(_FILES_SHARE * context * CHARS_PER_TOKEN)
        jail = run.hands.workspace
        selection = await asyncio.to_thread(select_files, jail, self._task, budget)
        if not self._command:
            shown = [file.path for file in selection.files]
            paths = [*shown, *selection.other_paths]
            self._command = await asyncio.to_thread(test_command, jail, paths)
        names = named_in(self._task)
        locked = _locked(selection, names)
        editable = [f.path for f in selection.files if f.path not in locked]
        if mentioned := [path for path in editable if _is_named(path, names)]:
            editable = mentioned
        known = {file.path for file in selection.files} | set(selection.other_paths)
        may_create = [name for name in names if name not in known and not _is_named(name, known)]
        await run.add(Message.of("user", _first_turn(environment, self._task, selection, editable)))
        self._opening = run.talk.messages
        for file in selection.files:
            with contextlib.suppress(GarretError, OSError):
                await asyncio.to_thread(run.hands.saw, file.path)
        return _Files(
            {file.path: file.content for file in selection.files}, editable, locked, may_create
        )

    async def _start_over(self) -> None:
        """Back to the first turn, all of which the engine remembers, with the last failure."""
        opening = self._opening
        last = opening[-1].text
        hint = f"\n\n{self._failure}" if self._failure else ""
        await self._run.restart([*opening[:-1], Message.of("user", f"{last}{hint}")])

    def _gave_up(self, files: _Files, rounds: int) -> Ended:
        changed = ", ".join(sorted(files.written)) or "nothing"
        return Ended(
            "failed",
            f"Changed {changed}, but the tests still fail after {rounds} tries. "
            "The changes are kept and can be undone.",
        )

    def _look_for_calls(self, answer: ModelAnswer) -> None:
        specs = self._run.hands.specs()
        if answer.calls or text_calls.find_calls(answer.text, specs).calls:
            raise CallsTools(answer)

    def _problem(self, answer: ModelAnswer, found: FileAnswer, files: _Files) -> str:
        if answer.repeating:
            return "it repeats itself"
        if answer.finish == "length" or found.cut:
            return "it was cut off at the length limit"
        if not answer.text.strip():
            return "it is empty"
        if found.refused and not found.files:
            return f"{', '.join(found.refused)} must not be changed"
        if any(_PLACEHOLDER.fullmatch(content.strip()) for _, content in found.files):
            return "it holds a placeholder instead of the code"
        if found.files and all(
            content.strip() == files.shown.get(path, "").strip() for path, content in found.files
        ):
            return "the file is the same as before, so the code that the task asks for is missing"
        return found.problem

    async def _correct(self, problem: str, files: _Files) -> None:
        self._corrections += 1
        self._run.count("corrections")
        # A form to fill in would be copied as it is.
        what = f"the whole code of {files.editable[0]}" if len(files.editable) == 1 else "the files"
        text = (
            f"Your answer could not be used: {problem}. Write {what} now, from the first line to "
            "the last, in one fenced block below the path, and nothing else."
        )
        self._run.emit(Correction(text))
        await self._run.add(Message.of("user", text))

    async def _write(self, found: FileAnswer, files: _Files) -> str:
        """Writes the files through the hands; the plain reason when that was not allowed."""
        for path, content in found.files:
            old = files.shown.get(path)
            if old is not None and path.endswith(".py"):
                content, kept = keep_what_is_missing(old, content)
                if kept:
                    self._run.count("names_kept")
            if content == old:
                continue
            outcome = await self._execute("write_file", {"file_path": path, "content": content})
            if outcome.denied:
                return f"The change to {path} was not allowed: {outcome.text}"
            if outcome.is_error and not outcome.changes:
                return f"{path} could not be written: {outcome.text}"
            files.shown[path] = content
            files.written.add(path)
        return ""

    async def _check(self, files: _Files, round_number: int) -> Ended | None:
        """Runs the tests; None when the model shall try again."""
        run = self._run
        changed = ", ".join(sorted(files.written)) or "nothing"
        if not self._command or run.hands.mode is Mode.LOOK:
            return Ended("done", f"Changed {changed}. There were no tests to run.")
        limit_s = run.options.test_timeout_s
        call: dict[str, str | int] = {"command": self._command, "timeout": int(limit_s)}
        outcome = await self._execute("run_shell_command", call)
        ran = outcome.exit_code is not None or outcome.ended_by in _ENDED_BY_CODE
        if outcome.denied or not ran:
            return Ended("done", f"Changed {changed}. The tests were not run: {outcome.text}")
        passed = outcome.exit_code == 0
        output = _tail(outcome.text)
        run.emit(TestsRun(self._command, passed, output, round_number))
        await run.note(
            {"kind": "tests", "command": self._command, "passed": passed, "round": round_number}
        )
        if passed:
            run.facts["rounds"] = round_number
            return Ended("done", f"Changed {changed}. The tests pass.")
        if round_number >= run.options.max_test_rounds:
            return self._gave_up(files, round_number)
        if outcome.ended_by == "time":
            output += "\nThe code never comes to an end: look for a loop that is not left."
        self._failure = f"An earlier try failed `{self._command}` like this:\n\n{output}"
        text = (
            f"I ran `{self._command}` and it failed:\n\n{output}\n\n"
            "Find the mistake in your code, mend it, and answer with the complete new file."
        )
        await run.add(Message.of("user", text))
        return None

    async def _execute(self, name: str, arguments: dict[str, str | int]) -> ToolOutcome:
        self._calls += 1
        call = ToolCallPart(
            f"garret_{self._run.run_id[:8]}_{len(self._run.talk.messages)}_{self._calls}",
            name,
            json.dumps(arguments, ensure_ascii=False),
        )
        outcome = await self._run.execute(call, why=self._task[:200])
        if self._run.mailbox.stop.is_set():
            raise Stopped
        return outcome


def _key(found: FileAnswer) -> tuple[tuple[str, str], ...]:
    return tuple((path, content.strip()) for path, content in found.files)


def _locked(selection: Selection, names: list[str]) -> list[str]:
    """Tests are not written, unless the task names tests and nothing else."""
    tests = [file.path for file in selection.files if file.is_test]
    named = [file for file in selection.files if _is_named(file.path, names)]
    if named and all(file.is_test for file in named):
        return [path for path in tests if not _is_named(path, names)]
    return tests


def _first_turn(environment: str, task: str, selection: Selection, editable: list[str]) -> str:
    parts = [environment, ""] if environment else []
    if selection.files:
        parts.append("The files:\n")
        parts += [_show_file(file) for file in selection.files]
    if selection.other_paths:
        parts.append("Other files, not shown: " + ", ".join(selection.other_paths[:60]) + "\n")
    parts.append(f"Task: {task}")
    if len(editable) == 1:
        # A small model copies a form more surely than it follows a description of one, and it
        # copies the file too unless it is told what is new.
        parts.append(
            f"\nWrite the code now. Answer with the complete new content of {editable[0]}, "
            f"with the task done:\n\n{editable[0]}\n```{_language(editable[0])}\n(new content)\n```"
        )
    return "\n".join(parts)


def _language(path: str) -> str:
    """The word models are used to after a fence."""
    return _LANGUAGES.get(path.rpartition(".")[2], "")


def _show_file(file: ProjectFile) -> str:
    fence = "```"
    while fence in file.content:
        fence += "`"
    content = file.content.rstrip()
    return f"{file.path}\n{fence}{_language(file.path)}\n{content}\n{fence}\n"


def _is_named(path: str, names: object) -> bool:
    known = [str(name) for name in names] if isinstance(names, list | set) else []
    return any(path == name or path.endswith("/" + name) for name in known)


def _tail(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _OUTPUT_CHARS else "…" + text[-_OUTPUT_CHARS:]
