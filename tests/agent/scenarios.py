"""The scenarios of `test_scenarios`: what the engine says, and the tree that must be left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.scripted_openai import Reply

CODE = "def add(a, b):\n    return a - b\n\n\ndef twice(x):\n    return 2 * x\n"
FIXED = CODE.replace("a - b", "a + b")
BASE = {"calc.py": CODE, "notes/todo.txt": "one\ntwo\n"}
DONE = Reply("All done.")

Tree = dict[str, str | bytes]


def call(name: str, arguments: Any, text: str = "", **more: Any) -> Reply:
    return Reply(text, [(name, arguments)], **more)


def edit(old: str, new: str, path: str = "calc.py", **more: Any) -> Reply:
    return call("edit", {"file_path": path, "old_string": old, "new_string": new, **more})


def read(path: str = "calc.py") -> Reply:
    return call("read_file", {"file_path": path})


def run(command: str) -> Reply:
    return call("run_shell_command", {"command": command})


def xml(name: str, **arguments: str) -> str:
    body = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in arguments.items())
    return f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>"


@dataclass(frozen=True)
class Scenario:
    """Replies of the engine, and how the run must end: status, tree, words in a result."""

    name: str
    replies: Sequence[Reply]
    status: str = "done"
    changed: Tree = field(default_factory=dict)
    tree: Tree = field(default_factory=lambda: dict(BASE))
    mode: str = "auto"
    said: str = ""
    more: Sequence[str] = ()
    repeat_last: bool = False


WRITE_FIXED = {"file_path": "calc.py", "content": FIXED}
CRLF = CODE.replace("\n", "\r\n")
EDIT = {"file_path": "calc.py", "old_string": "    return a - b", "new_string": "    return a + b"}
SCENARIOS = [
    # every tool
    Scenario("read", [read(), DONE], said="return a - b"),
    Scenario(
        "read a part",
        [call("read_file", {"file_path": "calc.py", "offset": 5, "limit": 1}), DONE],
        said="twice",
    ),
    Scenario("read by absolute path is contained", [read("/etc/hostname"), DONE], said="outside"),
    Scenario("read what is not there", [read("calk.py"), DONE], said="calc.py"),
    Scenario("list", [call("list_directory", {}), DONE], said="notes"),
    Scenario("glob", [call("glob", {"pattern": "**/*.txt"}), DONE], said="notes/todo.txt"),
    Scenario("grep", [call("grep_search", {"pattern": "return a"}), DONE], said="calc.py"),
    Scenario(
        "write a new file",
        [call("write_file", {"file_path": "new/x.py", "content": "x = 1"}), DONE],
        changed={"new/x.py": "x = 1\n"},
    ),
    Scenario(
        "write over a file that was read",
        [read(), call("write_file", WRITE_FIXED), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "write over a file that was not read",
        [call("write_file", WRITE_FIXED), DONE],
        said="Read it first",
    ),
    Scenario(
        "todo list", [call("todo_write", {"todos": [{"content": "a", "status": "pending"}]}), DONE]
    ),
    Scenario(
        "many steps",
        [read(), Reply("", [("edit", EDIT)]), read(), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "several calls in one answer",
        [Reply("", [("read_file", {"file_path": "calc.py"}), ("edit", EDIT)]), DONE],
        changed={"calc.py": FIXED},
    ),
    # aliases and types
    Scenario(
        "aliases of parameters",
        [
            read(),
            call(
                "edit",
                {"path": "calc.py", "oldText": "    return a - b", "newText": "    return a + b"},
            ),
            DONE,
        ],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "unknown extra parameters",
        [call("read_file", {"file_path": "calc.py", "why": 1}), DONE],
        said="return a - b",
    ),
    Scenario(
        "numbers as text",
        [call("read_file", {"file_path": "calc.py", "limit": "2"}), DONE],
        said="return a - b",
    ),
    Scenario(
        "JSON content is text",
        [call("write_file", {"file_path": "a.json", "content": '{"a": null}'}), DONE],
        changed={"a.json": '{"a": null}\n'},
    ),
    # the ladder
    Scenario(
        "edit: exact",
        [read(), edit("    return a - b", "    return a + b"), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "edit: other line ends",
        [
            read(),
            edit("def add(a, b):\n    return a - b", "def add(a, b):\n    return a + b"),
            DONE,
        ],
        tree={"calc.py": CRLF.encode()},
        changed={"calc.py": FIXED.replace("\n", "\r\n").encode()},
    ),
    Scenario(
        "edit: byte order mark",
        [read(), edit("def add(a, b):", "def add(a, b, c=0):"), DONE],
        tree={"calc.py": b"\xef\xbb\xbf" + CODE.encode()},
        changed={"calc.py": b"\xef\xbb\xbf" + CODE.replace("b):", "b, c=0):").encode()},
    ),
    Scenario(
        "edit: trailing space",
        [read(), edit("    return a - b   ", "    return a + b"), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "edit: typographic quotes",
        [read("q.py"), edit("x = “hi”", "x = 'ho'", "q.py"), DONE],
        tree={"q.py": 'x = "hi"\n'},
        changed={"q.py": "x = 'ho'\n"},
    ),
    Scenario(
        "edit: shifted indent",
        [read(), edit("return a - b", "return a + b"), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "edit: escaped newlines",
        [
            read(),
            edit("def add(a, b):\\n    return a - b", "def add(a, b):\\n    return a + b"),
            DONE,
        ],
        changed={"calc.py": FIXED},
    ),
    Scenario(
        "edit: all places",
        [read("r.txt"), edit("same", "other", "r.txt", replace_all=True), DONE],
        tree={"r.txt": "same\nx\nsame\n"},
        changed={"r.txt": "other\nx\nother\n"},
    ),
    Scenario(
        "edit: ambiguous",
        [read("r.txt"), edit("same", "other", "r.txt"), DONE],
        tree={"r.txt": "same\nx\nsame\n"},
    ),
    Scenario(
        "edit: similar is not enough",
        [read(), edit("    return a * b", "    return 0"), DONE],
        said="return a - b",
    ),
    Scenario("edit: no change", [read(), edit("    return a - b", "    return a - b"), DONE]),
    Scenario(
        "edit: code left out",
        [read(), edit(CODE.rstrip(), "def add(a, b):\n    # ... rest of code ..."), DONE],
    ),
    Scenario(
        "edit: breaks the syntax and says so",
        [read(), edit("def add(a, b):", "def add(a, b:"), DONE],
        changed={"calc.py": CODE.replace("def add(a, b):", "def add(a, b:")},
        said="line 1",
    ),
    # malformed calls
    Scenario(
        "raw XML in the text",
        [Reply("I read.\n" + xml("read_file", file_path="calc.py")), DONE],
        said="return a - b",
    ),
    Scenario(
        "XML without its opener",
        [
            Reply(xml("write_file", content="y", file_path="y.txt").removeprefix("<tool_call>\n")),
            DONE,
        ],
        changed={"y.txt": "y\n"},
    ),
    Scenario(
        "XML without closers",
        [Reply("<tool_call>\n<function=read_file>\n<parameter=file_path>\ncalc.py"), DONE],
        said="return a - b",
    ),
    Scenario(
        "a closing tag inside the content",
        [Reply(xml("write_file", file_path="t.txt", content="a\n</parameter>\nb")), DONE],
        changed={"t.txt": "a\n</parameter>\nb\n"},
    ),
    Scenario(
        "a repeated parameter",
        [call("read_file", '{"file_path":"","file_path":"calc.py"}'), DONE],
        said="return a - b",
    ),
    Scenario(
        "Hermes JSON in the text",
        [
            Reply(
                '<tool_call>\n{"name": "read_file", "arguments": '
                '{"file_path": "calc.py"}}\n</tool_call>'
            ),
            DONE,
        ],
        said="return a - b",
    ),
    Scenario(
        "JSON in a fence",
        [Reply('```json\n{"name": "read_file", "arguments": {"file_path": "calc.py"}}\n```'), DONE],
        said="return a - b",
    ),
    Scenario(
        "arguments encoded twice",
        [call("read_file", json.dumps('{"file_path": "calc.py"}')), DONE],
        said="return a - b",
    ),
    Scenario(
        "two calls under one index",
        [Reply("", [("read_file", {"file_path": "calc.py"})] * 2, same_index=True), DONE],
        said="return a - b",
    ),
    Scenario(
        "broken JSON, then right",
        [call("read_file", '{"file_path": '), read(), DONE],
        said="not valid JSON",
    ),
    Scenario(
        "an unknown tool, then right", [call("frobnicate", {}), read(), DONE], said="no tool called"
    ),
    Scenario(
        "a missing parameter, then right",
        [call("write_file", {"file_path": "a"}), read(), DONE],
        said="content",
    ),
    Scenario(
        "cut off by length",
        [call("write_file", {"file_path": "c.txt", "content": "half"}, finish="length"), DONE],
        said="cut off",
    ),
    Scenario("an empty answer", [Reply(""), DONE]),
    Scenario("broken for ever", [call("read_file", "{")], status="stopped", repeat_last=True),
    Scenario(
        "a runaway of calls", [Reply("", [("read_file", {"file_path": "calc.py"})] * 60), DONE]
    ),
    Scenario("include is no call", [Reply("#include <functional>\nis C++.")]),
    Scenario("thinking is not an answer", [Reply("", thinking="hm"), DONE]),
    # loops and sizes
    Scenario("the same command for ever", [run("echo hi")], status="stopped", repeat_last=True),
    Scenario("the same reading for ever", [read()], status="stopped", repeat_last=True),
    Scenario(
        "the same wrong edit for ever", [edit("nowhere", "x")], status="stopped", repeat_last=True
    ),
    Scenario(
        "too many steps",
        [run(f"echo {n}") for n in range(9)],
        status="stopped",
        more=["--max-steps", "5"],
    ),
    Scenario("repeated prose", [Reply("I will look into this matter now, really. " * 60), DONE]),
    Scenario("a huge output", [run("seq 200000"), DONE], said="left out"),
    Scenario("a huge line", [run("head -c 3000000 /dev/zero | tr '\\0' x"), DONE], said="left out"),
    # commands
    Scenario(
        "a command that changes a file",
        [run("echo three >> notes/todo.txt"), DONE],
        changed={"notes/todo.txt": "one\ntwo\nthree\n"},
    ),
    Scenario("a command that fails", [run("exit 3"), DONE], said="3"),
    Scenario("a command that reads stdin ends", [run("cat; echo over"), DONE], said="over"),
    # modes
    Scenario("look refuses edits", [read(), call("edit", EDIT), DONE], mode="look", said="look"),
    Scenario("look refuses commands", [run("touch x"), DONE], mode="look"),
    Scenario(
        "ask without a terminal denies",
        [read(), call("edit", EDIT), run("touch x"), DONE],
        mode="ask",
    ),
    # engine trouble
    Scenario("dropped in mid-answer", [read(), Reply("I will", drop_after=2), DONE]),
    Scenario("dropped in mid-call", [Reply("", [("edit", EDIT)], drop_after=4), read(), DONE]),
    Scenario(
        "away for a moment",
        [read(), Reply(away_s=0.7), call("edit", EDIT), DONE],
        changed={"calc.py": FIXED},
    ),
    Scenario("loading its model", [Reply(status=503, error="Loading model"), read(), DONE]),
    Scenario("busy", [Reply(status=429, error="slow down"), DONE]),
    Scenario("refuses for good", [Reply(status=400, error="no")], status="failed"),
    Scenario(
        "crashes on this prompt", [Reply("I", drop_after=1)], status="failed", repeat_last=True
    ),
    Scenario(
        "knows no tools",
        [
            Reply(status=400, error="x does not support tools"),
            Reply(xml("read_file", file_path="calc.py")),
            DONE,
        ],
        said="return a - b",
    ),
    Scenario(
        "context overflow",
        [
            run("seq 3000"),
            Reply(status=400, error="exceeds the context size"),
            Reply("Goal: look. Done: read calc.py. Next: finish. " * 4),
            DONE,
        ],
    ),
]
