from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.commands import never_always, parse, token_rule
from app.agent.dangers import inspect
from app.agent.permissions import decide
from app.agent.rules import Rule, Rules, rules_for
from app.agent.types import Decision, Mode, PermissionRequest


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pytest -q", (("pytest", "-q"),)),
        ("a && b || c; d | e", (("a",), ("b",), ("c",), ("d",), ("e",))),
        ("git commit -m 'a b; c'", (("git", "commit", "-m", "a b; c"),)),
        ('echo "x y"', (("echo", "x y"),)),
        ("ls ''", (("ls", ""),)),
    ],
)
def test_simple_commands_are_read(text: str, parts: tuple[tuple[str, ...], ...]) -> None:
    parsed = parse(text)
    assert parsed.parts == parts
    assert parsed.simple


@pytest.mark.parametrize(
    "text",
    [
        "echo x > f", "cat < f", "echo $(rm x)", "echo `rm x`", "echo $HOME", "FOO=1 pytest",
        "a &", "a & b", "(a)", "{ a; }", "echo *", "echo 'open", 'echo "open', 'echo "$x"',
        "echo a\\ b", "ls ~", "", "   ", "&& a", "a &&", "a\x07b", "for i in 1; do x; done #",
        "! a", "a <<EOF\nx\nEOF",
    ],
)  # fmt: skip
def test_everything_else_is_not_simple(text: str) -> None:
    assert not parse(text).simple


@pytest.mark.parametrize(
    "text",
    [
        "bash x.sh", "sh -c ls", "env rm -rf x", "timeout 5 rm x", "sudo ls", "xargs rm",
        "find . -exec rm {} +", "git -c core.pager=x log", "python -c 'x'", "python3", "node -e x",
        "perl -e x", "nohup x", "nice x", "time x", "rm x", "mv a b", "ssh h", "awk x", "sed -i x",
        "npm run", "uv run python -c x", "uv run bash", "eval x", "source x", "/bin/sh x",
        "busybox sh", "parallel x",
    ],
)  # fmt: skip
def test_these_are_asked_each_time(text: str) -> None:
    parsed = parse(text)
    assert any(never_always(part) for part in parsed.parts)
    assert rules_for(parsed, "/w", {}, True) == ()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("pytest -q tests", ("pytest",)),
        ("npm test", ("npm", "test")),
        ("npm run lint -- --fix", ("npm", "run", "lint")),
        ("python -m pytest -x", ("python", "-m", "pytest")),
        ("git status -s", ("git", "status")),
        ("cargo test", ("cargo", "test")),
        ("./pytest", None),
        ("python script.py", None),
        ("git push", None),
        ("unknown-program x", None),
        ("python -m http.server", None),
    ],
)
def test_token_rules(text: str, rule: tuple[str, ...] | None) -> None:
    assert token_rule(parse(text).parts[0]) == rule


def _rules(tmp_path: Path, *rules: Rule) -> Rules:
    kept = Rules(tmp_path, Path("/w"))
    for rule in rules:
        kept.add(rule)
    return kept


def test_a_token_rule_compares_whole_tokens_in_the_sandbox_only(tmp_path: Path) -> None:
    rules = _rules(tmp_path, Rule("tokens", ("pytest",)))
    assert rules.allows(parse("pytest -x"), "/w", {}, True)
    assert rules.allows(parse("pytest && pytest -q"), "/w", {}, True)
    for text in (
        "pytestfoo",
        "pytest && rm x",
        "pytest > f",
        "env pytest",
        "pytest; ls",
        "x pytest",
    ):
        assert not rules.allows(parse(text), "/w", {}, True), text
    assert not rules.allows(parse("pytest -x"), "/w", {}, False)


def test_an_exact_rule_needs_the_same_argv_folder_and_script(tmp_path: Path) -> None:
    rules = _rules(tmp_path, Rule("exact", ("./t.sh", "a"), "/w", (("./t.sh", "h1"),)))
    assert rules.allows(parse("./t.sh a"), "/w", {"./t.sh": "h1"}, False)
    assert not rules.allows(parse("./t.sh a"), "/w", {"./t.sh": "h2"}, False)
    assert not rules.allows(parse("./t.sh b"), "/w", {"./t.sh": "h1"}, False)
    assert not rules.allows(parse("./t.sh a"), "/x", {"./t.sh": "h1"}, False)
    assert not rules.allows(parse("./t.sh a"), "/w", {}, False)


def test_rules_survive_on_disk_and_bad_files_do_not_hurt(tmp_path: Path) -> None:
    rules = _rules(tmp_path, Rule("tokens", ("npm", "test")))
    again = Rules(tmp_path, Path("/w"))
    assert again.items == rules.items
    again.remove(again.items[0])
    assert Rules(tmp_path, Path("/w")).items == []
    next(iter(tmp_path.glob("*.json"))).write_text('{"rules": [{"kind": "x"}, 3, {"words": []}]}')
    assert Rules(tmp_path, Path("/w")).items == []


_PARTS = ["ax", "b", " ", " ", ";", "&&", "'", '"', "\\", "\n", "$x", "`", ">", "&", "|", "(", "#",
          "*", "' ; '", '" && "', "'a b'", '"c"', "=", "{", "!", "~", "\t", "''"]  # fmt: skip
_PIECES = st.lists(st.sampled_from(_PARTS), max_size=10)
_SHOW = "command_not_found_handle() { printf '%s\\0' \"$@\"; printf '\\1\\0'; }; PATH=/nowhere\n"


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="the shell itself is the judge")
@given(_PIECES)
@settings(max_examples=150, deadline=None)
def test_what_is_called_simple_is_what_the_shell_runs(pieces: list[str]) -> None:
    text = "".join(pieces)
    parsed = parse(text)
    if not parsed.simple or "|" in text:
        return
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", _SHOW + text], capture_output=True, check=False
    )
    said = done.stdout.decode().split("\1\0")
    ran = [tuple(words.split("\0")[:-1]) for words in said if words]
    assert done.stderr == b""
    assert list(parsed.parts) == ran


def _asks(text: str, files: int = 0) -> tuple[str, ...]:
    def is_inside(path: str) -> bool:
        return not path.startswith(("/", "~", ".."))

    found = inspect(text, parse(text), is_inside, lambda _path: files)
    return (found.forbidden,) if found.forbidden else found.asks


@pytest.mark.parametrize(
    "text",
    [
        "curl http://x", "pip install x", "python -m pip install x", "npm install", "git push",
        "git clone x", "sudo ls", "env sudo ls", "sleep 9 &", "nohup x", "rm -rf /etc/x",
        "cat ~/.ssh/id_rsa", "cat ../x", "cat /etc/passwd", "cat .env", "echo x >.git/hooks/a",
        "git reset --hard", "git clean -fd", "git checkout .", "find . -delete", "rm *",
        "cargo add x", "npx x", "docker ps", "sed -i s/a/b/ AGENTS.md", "timeout 5 curl x",
        "FOO=1 pip install x", "cat '.env'", "vim .vscode/settings.json", "uv sync",
        "cp a ~/b", "echo x>/dev/tcp/1.2.3.4/5", "git -C .. status",
    ],
)  # fmt: skip
def test_commands_that_are_always_asked(text: str) -> None:
    assert _asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "pytest -q", "ls -la", "python main.py", "git status", "git diff HEAD~1", "git add -A",
        "git commit -m 'a & b'", "npm test", "make 2>/dev/null", "cargo build 2>&1 | tail -5",
        "/usr/bin/python3 x.py", "echo done && ls", "grep -rn foo src", "mkdir -p a/b",
        "rm old.txt", "cp a b",
    ],
)  # fmt: skip
def test_commands_that_are_not(text: str) -> None:
    assert _asks(text) == ()


def test_deleting_many_files_asks() -> None:
    assert _asks("rm -r build", files=11)
    assert _asks("rm -r build", files=10) == ()


@pytest.mark.parametrize(
    "text",
    ["rm -rf /", "rm -rf ~", "rm -rf --no-preserve-root /", ":(){ :|:& };:", "mkfs.ext4 /dev/sda",
     "dd if=x of=/dev/sda", "shutdown -h now"],
)  # fmt: skip
def test_some_things_are_never_done(text: str) -> None:
    found = inspect(text, parse(text), lambda _p: True, lambda _p: 0)
    assert found.forbidden


def _request(**more: object) -> PermissionRequest:
    base = PermissionRequest("c", "run_shell_command", "execute", "Run", "d", command="pytest -q")
    return type(base)(**{**{f: getattr(base, f) for f in base.__dataclass_fields__}, **more})  # type: ignore[arg-type]


def _decide(mode: Mode, rules: Rules, **more: object) -> Decision:
    request = _request(**more)
    return decide(request.kind, request, mode, rules)


def test_the_order_of_the_rules(tmp_path: Path) -> None:
    rules = _rules(tmp_path, Rule("tokens", ("pytest",)))
    everything = {"forbidden": "no", "protected": "ask", "sandboxed": True}
    assert _decide(Mode.AUTO, rules, **everything).rule == "built-in"
    rules.add(Rule("deny", ("pytest",)))
    assert _decide(Mode.AUTO, rules, protected="ask", sandboxed=True).rule == "user deny"
    rules.remove(Rule("deny", ("pytest",)))
    asked = _decide(Mode.AUTO, rules, protected="ask", sandboxed=True)
    assert (asked.verdict, asked.rule) == ("ask", "protected")
    assert _decide(Mode.ASK, rules, sandboxed=True).rule == "allow rule"
    assert _decide(Mode.ASK, rules, sandboxed=False).verdict == "ask"


def test_hands_free_runs_commands_only_in_a_proven_sandbox(tmp_path: Path) -> None:
    rules = _rules(tmp_path)
    assert _decide(Mode.AUTO, rules, sandboxed=True).verdict == "allow"
    assert _decide(Mode.AUTO, rules, sandboxed=False).verdict == "ask"
    assert _decide(Mode.ASK, rules, sandboxed=True).verdict == "ask"
    assert _decide(Mode.LOOK, rules, sandboxed=True).verdict == "deny"


def test_edits_are_free_hands_free_only(tmp_path: Path) -> None:
    rules = _rules(tmp_path)
    edit = {"kind": "edit", "command": ""}
    assert _decide(Mode.AUTO, rules, **edit).verdict == "allow"
    assert _decide(Mode.ASK, rules, **edit).verdict == "ask"
    assert _decide(Mode.LOOK, rules, **edit).verdict == "deny"
    assert _decide(Mode.AUTO, rules, protected="x", **edit).verdict == "ask"
