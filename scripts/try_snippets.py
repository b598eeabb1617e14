"""Runs the very text of the settings page's snippets with the real clients.

    python scripts/try_snippets.py --clients-dir DIR [--install] [--only openai,aider] [--json]

Each client gets a HOME of its own, its snippet exactly as the settings page shows it (a file where
it says a file, shell lines where it says a terminal), and one prompt without a terminal. What it
answers comes from our own endpoint, with a key; --model names a GGUF (the starter model unless
told otherwise; a coding agent's first prompt is long, so a small machine needs minutes). With
--scripted our own API answers from a script at once, and the client must print what it said.
Clients come from npm and PyPI into --clients-dir (see scripts/try_clients.py, same layout).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from app.core.snippets import Endpoint, Snippet, snippets
from tests.engine.api.harness import USER_KEY
from tests.engine.api.live import serving
from tests.scripted_engine import ScriptedModel, ScriptedService

ROOT = Path(__file__).resolve().parents[1]
STARTER = Path.home() / ".cache" / "garret" / "starter" / "SmolLM2-135M-Instruct.Q4_1.gguf"
KEY = "garret-try-snippets-key"
ANSWER = "Hello from the attic."
PROMPT = "Say hello in one short sentence."


@dataclass(frozen=True)
class Try:
    """How a snippet is brought to a prompt: `run` gets the snippet, the clients' folder and HOME.

    `package` is what is installed; "" for what is in our own environment.
    """

    client: str
    run: Callable[[Snippet, Path, Path], list[str]]
    package: str = ""
    pip: bool = False

    @property
    def name(self) -> str:
        return self.client.lower().replace(" ", "-").strip("()").replace("python-(", "")


def _shell(snippet: Snippet, command: str, more: str) -> list[str]:
    """The snippet's own lines; its last line, the client's start, gets a prompt."""
    *before, last = snippet.text.splitlines()
    assert last.split()[0] == command, last
    return ["bash", "-euc", "\n".join([*before, f"exec {last} {more}"])]


def _claude(snippet: Snippet, clients: Path, _home: Path) -> list[str]:
    return _shell(
        snippet,
        "claude",
        f"-p {shlex.quote(PROMPT)} --output-format text --dangerously-skip-permissions",
    )


def _qwen(snippet: Snippet, _clients: Path, _home: Path) -> list[str]:
    return _shell(snippet, "qwen", f"-p {shlex.quote(PROMPT)} --yolo")


def _aider(snippet: Snippet, _clients: Path, _home: Path) -> list[str]:
    more = "--yes-always --no-git --no-check-update --analytics-disable --map-tokens 0"
    return _shell(snippet, "aider", f"--message {shlex.quote(PROMPT)} {more}")


def _opencode(snippet: Snippet, _clients: Path, home: Path) -> list[str]:
    (home / "work" / "opencode.json").write_text(snippet.text)
    return ["opencode", "run", "--auto", PROMPT]


def _codex(snippet: Snippet, _clients: Path, home: Path) -> list[str]:
    """The file as it stands, and the `export` line its last comment names."""
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(snippet.text)
    export = re.search(r"export \S+", snippet.text)
    assert export is not None
    start = f"exec codex exec --skip-git-repo-check -s read-only {shlex.quote(PROMPT)}"
    return ["bash", "-euc", f"{export[0]}\n{start}"]


def _continue(snippet: Snippet, _clients: Path, home: Path) -> list[str]:
    (home / ".continue").mkdir()
    config = home / ".continue" / "config.yaml"
    config.write_text(snippet.text)
    return ["cn", "--config", str(config), "--auto", "-p", PROMPT]


def _cline(snippet: Snippet, _clients: Path, _home: Path) -> list[str]:
    return ["bash", "-euc", f"{snippet.text}\nexec cline {shlex.quote(PROMPT)}"]


def _python(snippet: Snippet, _clients: Path, home: Path) -> list[str]:
    (home / "work" / "snippet.py").write_text(snippet.text)
    return [sys.executable, str(home / "work" / "snippet.py")]


TRIES = (
    Try("Python (openai)", _python),
    Try("Python (anthropic)", _python),
    Try("Aider", _aider, "aider-chat", pip=True),
    Try("OpenCode", _opencode, "opencode-ai@1.18.33"),
    Try("Continue", _continue, "@continuedev/cli@1.5.47"),
    Try("Codex", _codex, "@openai/codex@0.169.0"),
    Try("Claude Code", _claude, "@anthropic-ai/claude-code@2.1.330"),
    Try("Qwen Code", _qwen, "@qwen-code/qwen-code@0.15.10"),
    Try("Cline", _cline, "cline@3.0.65"),
)


def install(one: Try, clients: Path) -> None:
    """Puts a client into its own folder, once."""
    folder = clients / one.name
    if not one.package or folder.exists():
        return
    if one.pip:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([folder / "bin" / "pip", "-q", "install", one.package], check=True)
        return
    with tempfile.TemporaryDirectory() as empty:
        npm = ["npm", "install", "--prefix", str(folder), "--no-fund", "--no-audit", one.package]
        subprocess.run(npm, cwd=empty, check=True, capture_output=True)


def bin_folder(one: Try, clients: Path) -> Path:
    """Where the client's command is."""
    return clients / one.name / ("bin" if one.pip else "node_modules/.bin")


@contextmanager
def endpoint(model: Path, n_ctx: int) -> Iterator[Endpoint]:
    """`garret serve` with a key; what it prints is its address."""
    with tempfile.TemporaryDirectory(prefix="garret-snippets-") as home:
        command = [sys.executable, "-P", "-m", "app", "serve", "--model", str(model)]
        command += ["--port", "0", "--ctx", str(n_ctx), "--api-key", KEY]
        environ = {**os.environ, "GARRET_HOME": home}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://[\d.]+:\d+", line)
            if address is None:
                raise SystemExit(f"garret serve did not start: {line!r}")
            yield Endpoint(address[0], KEY, model_name(address[0]), n_ctx)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def scripted() -> Iterator[Endpoint]:
    """Our API over an engine that only says ANSWER; its key is asked for like any other."""
    service = ScriptedService(ScriptedModel(ANSWER, model_id="scripted-model", n_ctx=1_000_000))
    with serving(service) as url:
        yield Endpoint(url, USER_KEY, "scripted-model", 900_000)  # a byte is a token here


def model_name(url: str) -> str:
    """The id the endpoint gives its model."""
    answer = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {KEY}"})
    return str(answer.json()["data"][0]["id"])


def attempt(one: Try, where: Endpoint, clients: Path, limit_s: float) -> dict[str, Any]:
    """Runs one snippet; what came of it."""
    snippet = next(found for found in snippets(where) if found.client == one.client)
    with tempfile.TemporaryDirectory(prefix="garret-snippet-home-") as folder:
        home = Path(folder)
        (home / "work").mkdir()
        command = one.run(snippet, clients, home)
        environ = {
            "HOME": str(home),
            "PATH": f"{bin_folder(one, clients)}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "IS_SANDBOX": "1",
            "TERM": "dumb",
        }
        if one.package and not bin_folder(one, clients).is_dir():
            return {"client": one.client, "ok": False, "why": "not installed (--install)"}
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=home / "work",
                env=environ,
                capture_output=True,
                text=True,
                timeout=limit_s,
                stdin=subprocess.DEVNULL,
            )
            code, out = done.returncode, (done.stdout + done.stderr).strip()
        except subprocess.TimeoutExpired as late:
            code, out = 124, f"{(late.stdout or b'').decode('utf-8', 'replace')[-300:]}"
        answer = " ".join(out.split())[-600:]
        return {
            "client": one.client,
            "ok": code == 0 and bool(answer),
            "seconds": round(time.monotonic() - began, 1),
            "code": code,
            "answer": answer,
            "said": ANSWER in " ".join(out.split()),  # perhaps before what `answer` keeps
        }


def main() -> int:
    """Command line; 1 when a snippet did not work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients-dir", required=True)
    parser.add_argument("--install", action="store_true", help="from npm and PyPI")
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--model", default=str(STARTER))
    parser.add_argument("--ctx", type=int, default=8_192)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each client")
    parser.add_argument("--scripted", action="store_true", help="answers from a script")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    only = {name for name in options.only.split(",") if name}
    chosen = [one for one in TRIES if not only or one.name in only]
    clients = Path(options.clients_dir).absolute()
    clients.mkdir(parents=True, exist_ok=True)
    if options.install:
        for one in chosen:
            install(one, clients)
    failed = 0
    server = scripted() if options.scripted else endpoint(Path(options.model), options.ctx)
    with server as where:
        for one in chosen:
            result = attempt(one, where, clients, options.limit)
            if options.scripted and not result.get("said"):
                result["ok"] = False
            failed += not result["ok"]
            print(json.dumps(result) if options.json else result, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
