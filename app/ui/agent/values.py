"""What the cards of the agent page show. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from app.agent.events import RunEnded, TokenCount
from app.agent.types import PermissionRequest, Todo, visible

CardState = Literal["running", "done", "failed", "denied", "stopped"]


@dataclass(frozen=True, slots=True)
class ToolCard:
    """One call: a plain line, folded details, what it changed."""

    call_id: str
    summary: str
    state: CardState = "running"
    details: str = ""
    is_diff: bool = False
    note: str = ""  # time, lines added and removed


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    """Something only a person may allow. `answered` is what was said, empty while it waits."""

    request: PermissionRequest
    reason: str
    answered: str = ""

    @property
    def exact(self) -> str:
        """The very bytes that would run or be written, control characters spelled out."""
        if self.request.command:
            return self.request.display_command
        return visible(self.request.diff) if self.request.diff else ""

    @property
    def undo_words(self) -> str:
        words = {
            "yes": "Can be undone.",
            "partly": "Can be undone in part.",
            "no": "Cannot be undone.",
        }
        return f"{words[self.request.undo]} {self.request.undo_note}".strip()


@dataclass(frozen=True, slots=True)
class QuestionCard:
    """Yes or no, no by default. `about` is for whoever asks."""

    text: str
    answered: str = ""
    yes: str = "Go on"
    no: str = "Stop here"
    about: str = ""


@dataclass(frozen=True, slots=True)
class TodoCard:
    """The model's checklist."""

    items: tuple[Todo, ...]


def end_words(ended: RunEnded) -> str:
    """How a run ended, in one line."""
    state = {"done": "Done", "stopped": "Stopped", "failed": "Could not finish"}[ended.status]
    files = len(ended.files_changed)
    changed = "no file changed" if not files else f"{files} file{'s' * (files > 1)} changed"
    return f"{state} in {ended.seconds:.0f} s · {changed} · {token_words(ended.tokens)}"


def token_words(tokens: TokenCount) -> str:
    """What was read anew, reused and written."""
    return (
        f"read {tokens.evaluated:,} tokens ({tokens.reused:,} more remembered), "
        f"wrote {tokens.written:,}"
    )


@dataclass(frozen=True, slots=True)
class TestResult:
    """The newest run of the tests. `summary` is the tools' own last word, where it has one."""

    command: str
    passed: bool
    output: str
    summary: str = ""

    __test__ = False  # not a pytest class

    @property
    def words(self) -> str:
        state = "✓ Tests pass" if self.passed else "✕ Tests fail"
        return f"{state} · {self.summary}" if self.summary else state


_RUNNERS = (
    ("pytest",), ("unittest",), ("tox",), ("nox",), ("jest",), ("vitest",), ("mocha",), ("rspec",),
    ("ctest",), ("cargo", "test"), ("go", "test"), ("npm", "test"), ("npm", "run", "test"),
    ("yarn", "test"), ("pnpm", "test"), ("make", "test"), ("make", "check"), ("mvn", "test"),
    ("gradle", "test"), ("dotnet", "test"), ("mix", "test"), ("rake", "test"),
)  # fmt: skip
_COUNTS = re.compile(
    r"^=*\s*((?:\d+ (?:failed|passed|errors?|skipped|xfailed|xpassed|warnings?|deselected)"
    r"(?:, )?)+)|^(Ran \d+ tests?)|^test result: \w+\. ([^;]+; [^;]+)|^Tests:\s+(.+)$",
    re.MULTILINE,
)


def is_test_run(command: str) -> bool:
    """Whether a command plainly runs tests; for the strip only, nothing is decided by it."""
    words = [word.rpartition("/")[2] for word in command.split()]
    if any(
        tuple(words[at : at + len(runner)]) == runner
        for runner in _RUNNERS
        for at in range(len(words))
    ):
        return True
    return any(re.fullmatch(r"(?:test_\w+|tests?|\w+_test)\.(?:py|js|rb|sh)", w) for w in words)


def counts_in(output: str) -> str:
    """ "3 failed, 12 passed" from what a test runner printed; "" where there is no such line."""
    found = list(_COUNTS.finditer(output[-20_000:]))
    if not found:
        return ""
    return next(group for group in reversed(found[-1].groups()) if group).strip(" =,")[:60]


def result_of(command: str, passed: bool, output: str) -> TestResult:
    """A test run as the strip shows it."""
    return TestResult(command, passed, output, counts_in(output))


def command_of(arguments: str) -> str:
    """The command in a shell call's arguments; "" where there is none."""
    try:
        command = json.loads(arguments).get("command")
    except (ValueError, AttributeError):
        return ""
    return command if isinstance(command, str) else ""
