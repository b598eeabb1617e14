"""Lets real clients loose on `garret serve`: each answers a prompt and goes through a tool loop.

    python scripts/try_clients.py --clients-dir DIR [--install] [--only claude,aider] [--json]

Every client is run headless with an empty environment and a HOME of its own, through a proxy that
counts tokens and, for the tool loop, forces the first call (a small model would rarely make one by
itself). Clients are installed from npm and PyPI into --clients-dir; the model is
Qwen2.5-Coder-1.5B-Instruct from scripts/get_coder_model.py unless --model names another.
On two CPU cores a prompt of 12,000 tokens takes several minutes: --timeout is for each run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.recording_proxy import Proxy, Turn

ROOT = Path(__file__).resolve().parents[1]
KEY = "dummy"
PROMPT = "Say hello in one short sentence."
TOOL_PROMPT = "Read the file note.txt with your tool and tell me in one sentence what it says."
NOTE = "The secret word is pineapple.\n"
CONTEXT_TOKENS = 32_768
MAX_SHOWN_TURNS = 8


@dataclass(frozen=True)
class Client:
    """How one client is installed and run. `command` gets the URL, the model and the prompt."""

    name: str
    package: str
    command: Callable[[str, str, str, Path], list[str]]
    prepare: Callable[[str, str, Path], None] = lambda _url, _model, _home: None
    environment: Callable[[str, str], dict[str, str]] = lambda _url, _model: {}
    pip: bool = False
    extra: tuple[str, ...] = ()
    tools: bool = True
    node_bin: str = ""


def _npm(name: str, binary: str) -> str:
    return f"{{dir}}/{name}/node_modules/.bin/{binary}"


def _claude_env(url: str, model: str) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(CONTEXT_TOKENS),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "4096",
        "IS_SANDBOX": "1",
    }


def _opencode_files(url: str, model: str, home: Path) -> None:
    limit = {"context": CONTEXT_TOKENS, "output": 2048}
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": options,
        "models": {model: {"limit": limit}},
    }
    config = {"provider": {"local": provider}}
    (home / "work" / "opencode.json").write_text(json.dumps(config))


def _continue_files(url: str, model: str, home: Path) -> None:
    entry = {
        "name": "x",
        "provider": "openai",
        "model": model,
        "apiBase": f"{url}/v1",
        "apiKey": KEY,
        "roles": ["chat", "edit", "apply"],
        "capabilities": ["tool_use"],
    }
    config = {"name": "local", "version": "1.0.0", "schema": "v1", "models": [entry]}
    (home / "config.yaml").write_text(json.dumps(config))  # JSON is YAML


def _codex_command(url: str, model: str, prompt: str, _home: Path) -> list[str]:
    provider = f'{{name="local",base_url="{url}/v1",env_key="K",wire_api="responses"}}'
    options = ["-c", "model_provider=local", "-c", f"model_providers.local={provider}"]
    start = [_npm("codex", "codex"), "exec", "--json", "--skip-git-repo-check"]
    return [*start, "-s", "read-only", "-m", model, *options, prompt]


def _aider_command(url: str, model: str, prompt: str, _home: Path) -> list[str]:
    start = ["{dir}/aider/bin/aider", "--model", f"openai/{model}", "--message", prompt]
    endpoint = ["--openai-api-base", f"{url}/v1", "--openai-api-key", KEY]
    quiet = ["--yes-always", "--no-show-model-warnings", "--no-check-update", "--no-git"]
    more = ["--analytics-disable", "--no-gitignore", "--edit-format", "whole", "--map-tokens", "0"]
    return [*start, *endpoint, *quiet, *more, "note.txt"]


_LITELLM = """
import json, sys, litellm
url, model, prompt, tools = sys.argv[1:5]
common = dict(model="openai/" + model, api_base=url + "/v1", api_key="dummy", max_tokens=60)
messages = [{"role": "user", "content": prompt}]
if tools == "1":
    spec = {"type": "function", "function": {"name": "read_file", "description": "Reads a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}},
        "required": ["path"]}}}
    common["tools"] = [spec]
answer = litellm.completion(messages=messages, **common).choices[0].message
if answer.tool_calls:
    messages.append(answer.model_dump(exclude_none=True))
    for call in answer.tool_calls:
        json.loads(call.function.arguments)
        text = open("note.txt").read()
        messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
    answer = litellm.completion(messages=messages, **common).choices[0].message
print(answer.content)
stream = litellm.completion(messages=[{"role": "user", "content": "Say hi."}], stream=True,
    **{**common, "tools": None})
print("".join(part.choices[0].delta.content or "" for part in stream))
bad = None
try:
    litellm.completion(model="openai/no-such-model", messages=messages, api_base=url + "/v1",
        api_key="dummy")
except litellm.NotFoundError as error:
    bad = error
assert bad is not None, "an unknown model was served"
"""


def _litellm_command(url: str, model: str, prompt: str, home: Path) -> list[str]:
    script = home / "ask.py"
    script.write_text(_LITELLM)
    tools = "1" if prompt == TOOL_PROMPT else "0"
    return ["{dir}/litellm/bin/python", str(script), url, model, prompt, tools]


CLIENTS = (
    Client("litellm", "litellm==1.106.2", _litellm_command, pip=True, extra=("mcp",)),
    Client("aider", "aider-chat==0.86.2", _aider_command, pip=True, tools=False),
    Client(
        "cn",
        "@continuedev/cli@1.5.47",
        lambda _url, _model, prompt, home: [
            _npm("cn", "cn"),
            "--config",
            str(home / "config.yaml"),
            "--auto",
            "-p",
            prompt,
        ],
        prepare=_continue_files,
    ),
    Client("codex", "@openai/codex@0.169.0", _codex_command, environment=lambda _u, _m: {"K": KEY}),
    Client(
        "cline",
        "cline@3.0.65",
        lambda _url, _model, prompt, _home: [_npm("cline", "cline"), "--json", prompt],
    ),
    Client(
        "opencode",
        "opencode-ai@1.18.33",
        lambda _url, model, prompt, _home: [
            *(_npm("opencode", "opencode"), "run", "--auto", "--format", "json"),
            *("-m", f"local/{model}", prompt),
        ],
        prepare=_opencode_files,
    ),
    Client(
        "claude",
        "@anthropic-ai/claude-code@2.1.330",
        lambda _url, _model, prompt, _home: [
            *(_npm("claude", "claude"), "-p", prompt, "--output-format", "json"),
            "--dangerously-skip-permissions",
        ],
        environment=_claude_env,
    ),
    Client(
        "qwen",
        "@qwen-code/qwen-code@0.15.10",
        lambda _url, _model, prompt, _home: [
            *(_npm("qwen", "qwen"), "-p", prompt, "--yolo", "--auth-type", "openai"),
            *("--output-format", "json"),
        ],
        environment=lambda url, model: {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_MODEL": model,
        },
    ),
)


def install(client: Client, folder: Path) -> None:
    """Puts the client under folder/NAME unless it is there."""
    target = folder / client.name
    done = target / ".installed"
    if done.exists():
        return
    print(f"installing {client.package} …", file=sys.stderr, flush=True)
    if client.pip:
        subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
        pip = [str(target / "bin" / "pip"), "install", "-q", client.package, *client.extra]
        subprocess.run(pip, check=True)
    else:
        with tempfile.TemporaryDirectory() as empty:  # npm installs a folder of the same name
            npm = [shutil.which("npm") or "npm", "install", "--prefix", str(target)]
            subprocess.run([*npm, "--no-fund", "--no-audit", client.package], cwd=empty, check=True)
    done.touch()


@dataclass
class Result:
    """What came of one run."""

    client: str
    kind: str
    ok: bool
    seconds: float
    why: str = ""
    turns: list[Turn] = field(default_factory=list)


def run_client(
    client: Client,
    kind: str,
    folder: Path,
    home: Path,
    proxy: Proxy,
    url: str,
    model: str,
    timeout_s: float,
) -> Result:
    """One headless run in a fresh home; the same path each time, since it is in some prompts."""
    proxy.turns.clear()
    proxy.force = kind == "tool loop"
    prompt = TOOL_PROMPT if proxy.force else PROMPT
    started = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    work = home / "work"
    work.mkdir(parents=True)
    (work / "note.txt").write_text(NOTE)
    client.prepare(url, model, home)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **client.environment(url, model),
    }
    command = [
        part.replace("{dir}", str(folder)) for part in client.command(url, model, prompt, home)
    ]
    if client.name == "cline":
        login = [command[0], "auth", "-p", "openai-compatible", "-k", KEY]
        _call([*login, "-m", model, "-b", f"{url}/v1"], work, environment, 120)
    code, output = _call(command, work, environment, timeout_s)
    turns = [turn for turn in proxy.turns if "count" not in turn.path]
    ok, why = _judge(code, output, turns, client, forced=proxy.force)
    return Result(client.name, kind, ok, round(time.monotonic() - started, 1), why, turns)


def _judge(
    code: int | None, output: str, turns: list[Turn], client: Client, *, forced: bool
) -> tuple[bool, str]:
    tail = output.strip()[-300:]
    if code is None:
        return False, f"timed out: {tail}"
    if code != 0:
        return False, f"exit {code}: {tail}"
    if not turns:
        return False, f"asked nothing: {tail}"
    if refused := [turn for turn in turns if turn.status >= 400 and turn.status != 404]:
        return False, f"{refused[0].path} answered {refused[0].status}: {tail}"
    if forced and client.tools and not any(turn.has_result for turn in turns):
        return False, f"no tool result came back: {tail}"
    return True, tail


def _call(
    command: list[str], folder: Path, environment: dict[str, str], timeout_s: float
) -> tuple[int | None, str]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        code = None
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # some clients leave a helper behind
    return code, output


@contextmanager
def serving(model: str, context: int) -> Iterator[str]:
    """`garret serve` on a free port; its base URL without /v1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--model", model, "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--ctx", str(context)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if "http" not in line:
            raise SystemExit(f"garret serve did not start: {line!r}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()


@contextmanager
def proxied(proxy: Proxy) -> Iterator[str]:
    """The proxy on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(proxy.app, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def report(result: Result) -> None:
    """Lines for a person."""
    mark = "ok  " if result.ok else "FAIL"
    print(f"{mark} {result.client:<9} {result.kind:<9} {result.seconds:>7.1f} s", flush=True)
    for number, turn in enumerate(result.turns[:MAX_SHOWN_TURNS], 1):
        forced = f"  forced {turn.forced}" if turn.forced else ""
        print(
            f"       turn {number}: {turn.path} {turn.status}  evaluated {turn.evaluated}  "
            f"reused {turn.cached}  written {turn.generated}  "
            f"first data {turn.first_byte_s:.1f} s  whole {turn.seconds:.1f} s{forced}",
            flush=True,
        )
    if len(result.turns) > MAX_SHOWN_TURNS:
        print(f"       … {len(result.turns)} turns", flush=True)
    if not result.ok:
        print(f"       {result.why}", flush=True)


def main() -> int:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default_model = Path.home() / ".cache/garret/coder/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    cli.add_argument("--clients-dir", type=Path, required=True)
    cli.add_argument("--install", action="store_true", help="install what is missing first")
    cli.add_argument("--only", default="", help="names, separated by commas")
    cli.add_argument("--kinds", default="prompt,tool loop")
    cli.add_argument("--model", default=str(default_model))
    cli.add_argument("--base-url", help="use this running endpoint, without /v1")
    cli.add_argument("--ctx", type=int, default=CONTEXT_TOKENS)
    cli.add_argument("--timeout", type=float, default=1800.0)
    cli.add_argument("--json", action="store_true")
    options = cli.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    chosen = [client for client in CLIENTS if not wanted or client.name in wanted]
    if options.install:
        for client in chosen:
            install(client, options.clients_dir)
    if options.base_url:
        results = _try_all(chosen, options, options.base_url)
    else:
        with serving(options.model, options.ctx) as url:
            results = _try_all(chosen, options, url)
    if options.json:
        listed = [{**vars(r), "turns": [vars(turn) for turn in r.turns]} for r in results]
        print(json.dumps(listed))
    return 0 if all(result.ok for result in results) else 1


def _try_all(chosen: list[Client], options: argparse.Namespace, upstream: str) -> list[Result]:
    headers = {"Authorization": f"Bearer {KEY}"}
    listed = httpx.get(f"{upstream}/v1/models", headers=headers, trust_env=False, timeout=600)
    model = listed.raise_for_status().json()["data"][0]["id"]
    proxy = Proxy(upstream)
    results = []
    with proxied(proxy) as url, tempfile.TemporaryDirectory(prefix="try-clients-") as homes:
        for client in chosen:
            for kind in options.kinds.split(","):
                if kind == "tool loop" and not client.tools:
                    continue
                home = Path(homes) / client.name
                result = run_client(
                    client, kind, options.clients_dir, home, proxy, url, model, options.timeout
                )
                report(result)
                results.append(result)
    return results


if __name__ == "__main__":
    raise SystemExit(main())
