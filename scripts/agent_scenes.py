"""The agent page in each of its states, for the picture gallery. The folder and tools are real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from PySide6.QtWidgets import QApplication, QWidget

from app.agent.mcp_servers import McpServer, write_servers
from app.agent.record import FileRunRecords
from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.events import (
    PromptProgress,
    TextDelta,
    ToolCallReady,
    TurnEnded,
    TurnEvent,
    Usage,
)
from app.core.messages import ToolCallPart
from app.core.paths import find_paths
from app.core.ports import RunHead
from app.core.settings import Settings
from app.session.agent_session import AgentSession
from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage
from app.ui.agent.verbs import AgentVerbs
from scripts.scenes import Scene, Stage, pause
from tests.fakes import FakeEngine

_PY = '''"""Prices of a shop."""

from decimal import Decimal


def net(gross: Decimal, rate: int) -> Decimal:
    return gross / (1 + rate / 100)


def total(prices):
    sum = 0
    for price in prices:
        sum += price
    return sum


def discount(price, percent):
    return price - price * percent


def label(name: str) -> str:
    return name.strip().title()
'''
_TEST = """from shop import discount, total


def test_total():
    assert total([1, 2]) == 3


def test_discount():
    assert discount(100, 20) == 80
"""
_TODOS = [
    {"content": "Find out why the discount is wrong", "status": "completed"},
    {"content": "Mend discount() and keep total() as it is", "status": "in_progress"},
    {"content": "Run the tests", "status": "pending"},
]


def _call(number: int, name: str, **arguments: object) -> TurnEvent:
    return ToolCallReady(number, ToolCallPart(f"c{number}", name, json.dumps(arguments)))


def _answer(*events: object, read: int = 1_840, reused: int = 1_622) -> list[object]:
    kinds = [isinstance(event, ToolCallReady) for event in events]
    ended = TurnEnded("tool_calls" if any(kinds) else "stop", Usage(read, 84, reused))
    return [*events, ended]


class Agent:
    """An agent page in a stage's window, with a project to work on."""

    def __init__(self, stage: Stage, *answers: list[object], mode: str = "auto") -> None:
        self.stage = stage
        self.folder = stage.home / "shop"
        (self.folder / "tests").mkdir(parents=True, exist_ok=True)
        (self.folder / "shop.py").write_text(_PY)
        (self.folder / "tests" / "test_shop.py").write_text(_TEST)
        (self.folder / "notes.md").write_text("# Notes\n\nPrices are in euro.\n")
        self.paths = find_paths({"GARRET_HOME": str(stage.home / "garret")})
        self.paths.make()
        settings = Settings.load(self.paths.settings_file)
        settings.set("agent.mode", mode)
        recent = ("/home/ada/projects/shop", "/home/ada/projects/a-compiler-in-rust")
        settings.set("agent.recent_folders", recent)
        model = ModelInfo("qwen3-coder", n_params=30_000_000_000, n_ctx=32_768, tool_format="qwen3")
        engine = FakeEngine(*answers, context=32_768)  # type: ignore[arg-type]
        view = EngineView(phase="ready", model=model)
        self.session = AgentSession(engine, self.paths, settings, lambda: view)
        self.page = AgentPage(stage.theme, stage.icons)
        self.control = AgentController(self.page, self.session, stage.tasks, stage.theme)
        window = stage.window
        window.add_page("agent", "Agent", "agent", self.page, "Ctrl+2")
        show: Callable[[], None] = lambda: window.show_page("agent")  # noqa: E731
        AgentVerbs(self.page, self.control, window.actions_by_name, show)
        show()
        stage.closers.append(self.session.close)

    async def open(self) -> None:
        self.control.open_folder(str(self.folder))
        while not self.page.header.folder.toolTip():
            await pause(0.05)

    async def ask(self, text: str, until: Callable[[], object]) -> None:
        self.page.composer.submitted.emit(text, ())
        ends = time.monotonic() + 20
        while not self.session.is_working and time.monotonic() < ends:
            await pause(0.02)
        while not until() and time.monotonic() < ends:
            await pause(0.05)
        await pause(0.5)

    def waits(self) -> bool:
        return bool(self.control._cards)

    def done(self) -> bool:
        return not self.session.is_working


_READ = _answer(
    TextDelta("I look at the code and its tests first."),
    _call(1, "todo_write", todos=_TODOS),
    _call(2, "read_file", file_path="shop.py"),
    _call(3, "read_file", file_path="tests/test_shop.py"),
)
_EDITS = _answer(
    TextDelta("`discount` takes the percentage as a share. I divide by 100, and tidy `total`."),
    _call(
        4,
        "edit",
        file_path="shop.py",
        old_string="    return price - price * percent\n",
        new_string="    return price - price * percent / 100\n",
    ),
    _call(
        5,
        "edit",
        file_path="shop.py",
        old_string=(
            "def total(prices):\n    sum = 0\n    for price in prices:\n        sum += price\n"
            "    return sum\n"
        ),
        new_string=(
            'def total(prices: list[Decimal]) -> Decimal:\n    """The sum of all prices."""\n'
            "    return sum(prices, Decimal(0))\n"
        ),
    ),
    _call(
        6, "write_file", file_path="CHANGES.md", content="# Changes\n\n- discount() in percent\n"
    ),
)
_CHECK = "printf 'two tests\\n2 passed in 0.01s\\n' # pytest -q"
_TESTED = _answer(_call(7, "run_shell_command", command=_CHECK))
_SAID = _answer(
    TextDelta(
        "The discount is now taken in percent, and both tests pass. I noted it in CHANGES.md."
    )
)
_ASK = "The discount is wrong: 20 % off 100 must be 80. Mend it."


async def agent_first(stage: Stage) -> None:
    """Before a folder is chosen, with folders used before."""
    Agent(stage)
    await pause(0.4)


async def agent_running(stage: Stage) -> None:
    """A command runs: its output live, the plan, something said meanwhile."""
    slow = "for n in 1 2 3 4 5 6; do echo collecting tests $n; done; sleep 30"
    agent = Agent(stage, _READ, _answer(_call(9, "run_shell_command", command=slow)))
    await agent.open()
    await agent.ask(_ASK, lambda: "collecting" in str(agent.control._story._output))
    agent.page.composer.submitted.emit("Please keep the name of the function.", ())
    await pause(0.8)


async def agent_reading(stage: Stage) -> None:
    """The engine reads a long prompt."""
    agent = Agent(stage, [PromptProgress(4_000, 1_200, 12_400, 9.0), 600.0])
    await agent.open()
    await agent.ask(_ASK, lambda: "Reading" in agent.page.meter.doing.text())


async def agent_edit_card(stage: Stage) -> None:
    """An edit waits for its permission."""
    agent = Agent(stage, _READ, _EDITS, mode="ask")
    await agent.open()
    await agent.ask(_ASK, agent.waits)


async def agent_command_card(stage: Stage) -> None:
    """A command that wants the network."""
    command = _call(1, "run_shell_command", command="pip install requests && python fetch.py")
    why = TextDelta("The script needs the requests package, which is not installed.")
    agent = Agent(stage, _answer(why, command))
    await agent.open()
    await agent.ask("Fetch the current prices.", agent.waits)


async def agent_review(stage: Stage) -> None:
    """The changes in one column, tests passed."""
    agent = Agent(stage, _READ, _EDITS, _TESTED, _SAID)
    await agent.open()
    await agent.ask(_ASK, agent.done)
    rows = [agent.page.changes.list.item(n).text() for n in range(agent.page.changes.list.count())]
    agent.page.changes.list.setCurrentRow(next(n for n, r in enumerate(rows) if "shop.py" in r))
    await pause(0.6)


async def agent_side_by_side(stage: Stage) -> None:
    """The changes beside what was there before, one of them kept."""
    await agent_review(stage)
    page = stage.window.findChild(AgentPage)
    assert page is not None
    page.changes.side.setChecked(True)
    await pause(0.5)


async def agent_continue(stage: Stage) -> None:
    """Many steps are over: go on?"""
    steps = [_answer(_call(n, "run_shell_command", command=f"echo {n}")) for n in range(1, 60)]
    agent = Agent(stage, *steps)
    agent.session._settings.set("agent.max_steps", 5)
    await agent.open()
    await agent.ask("Count.", agent.waits)


async def agent_long(stage: Stage) -> None:
    """Long names, long lines, failing tests."""
    name = "a_module_with_quite_a_long_name_that_somebody_found_helpful_once/" * 2 + "deep.py"
    line = "value = " + " + ".join(f"some_rather_long_name_{n}" for n in range(30))
    failing = f"echo '{'E ' * 400}'; echo '3 failed, 12 passed in 4.2s'; false # pytest -q"
    agent = Agent(
        stage,
        _answer(_call(1, "write_file", file_path=name, content=f"{line}\n" * 60)),
        _answer(_call(2, "run_shell_command", command=failing)),
        _answer(TextDelta("Three tests fail still. " + "I tried many things. " * 30)),
    )
    await agent.open()
    await agent.ask("Do " + "a very long thing " * 20, agent.done)


async def agent_cut_off(stage: Stage) -> None:
    """The app was killed in the middle of a task, which is offered again."""
    agent = Agent(stage)
    head = RunHead("f" * 32, str(agent.folder), "qwen3-coder", "auto", _ASK, time.time())
    await FileRunRecords(agent.paths.runs).begin(head)
    await agent.open()
    await pause(0.4)


async def agent_risky(stage: Stage) -> QWidget | None:
    """A folder that holds far too much."""
    agent = Agent(stage)
    agent.control.open_folder("/usr")
    await pause(0.8)
    return _dialog()


async def agent_servers(stage: Stage) -> QWidget | None:
    """The MCP servers the user added."""
    agent = Agent(stage)
    servers = (
        McpServer("issues", ("npx", "-y", "issues-mcp"), {"TOKEN": "…"}),
        McpServer("docs", url="http://127.0.0.1:8000/mcp"),
    )
    write_servers(agent.paths.config / "mcp.json", servers)
    agent.control.servers.open()
    await pause(0.6)
    return _dialog()


def _dialog() -> QWidget | None:
    found = [w for w in QApplication.topLevelWidgets() if w.isVisible() and w.isModal()]
    return found[0] if found else None


AGENT_SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        agent_first, agent_running, agent_reading, agent_edit_card, agent_command_card,
        agent_review, agent_side_by_side, agent_continue, agent_long, agent_cut_off, agent_risky,
        agent_servers,
    )
}  # fmt: skip
