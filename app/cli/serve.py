"""`garret serve`: the local endpoint, headless."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import signal
import sys

from app.cli.local_engine import EngineOptions, LoadLine, choose_spec, local_engine, models_folder
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot
from app.core.errors import SettingError
from app.core.paths import find_paths
from app.core.settings import Settings


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret serve",
        description="Serves a local model to other programs: the OpenAI, Anthropic and Ollama "
        "wire formats. Prints one line with its URL when it is ready.",
        epilog="Without --api-key any key is accepted, from this machine only; a request with no "
        "key at all is refused, so that no web page can use the model.",
    )
    cli.add_argument(
        "--model", metavar="M", help="an installed model's id or a path to a GGUF file"
    )
    cli.add_argument("--port", type=int, metavar="P", help="default: the one in Settings (8765)")
    cli.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="another address needs --api-key"
    )
    cli.add_argument("--ctx", type=int, default=0, metavar="N", help="context in tokens")
    cli.add_argument(
        "--parallel", type=int, default=0, metavar="N", help="answers at the same time"
    )
    cli.add_argument(
        "--api-key", metavar="K", action="append", default=[], help="may be given several times"
    )
    cli.add_argument(
        "--allow-origin",
        metavar="O",
        action="append",
        default=[],
        help="a web origin that may call the endpoint, for example http://localhost:3000",
    )
    return cli


def main(argv: list[str]) -> int:
    """Serves until it is interrupted."""
    arguments = parser().parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_serve(arguments))
    return 0


async def _serve(arguments: argparse.Namespace) -> int:
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    open_host = not _is_loopback(arguments.host)
    if open_host and not arguments.api_key:
        raise SettingError(
            f"Serving on {arguments.host} lets other machines in.",
            "Choose a key with --api-key, or leave out --host.",
        )
    options = EngineOptions(arguments.model, arguments.ctx, arguments.parallel)
    spec = choose_spec(options, models_folder(paths, settings), settings, paths)
    port = arguments.port if arguments.port is not None else int(settings.number("endpoint.port"))
    boot = EngineBoot(
        token="",
        host=arguments.host,
        port=port,
        share=True,
        user_keys=tuple(arguments.api_key),
        any_user_key=not arguments.api_key,
        allowed_origins=tuple(arguments.allow_origin),
        prefix_cache_dir=str(paths.prefix_cache),
        models={spec.model_id: spec.to_json()},
    )
    if open_host:
        sys.stderr.write(
            f"Warning: every machine that reaches {arguments.host}:{port} and knows the key "
            "can use this model. The connection is not encrypted.\n"
        )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(getattr(signal, name), stop.set)
    line = LoadLine()
    async with local_engine(spec, paths, boot=boot, on_change=line) as supervisor:
        sys.stdout.write(f"Garret serves {spec.model_id} at {supervisor.view.base_url}/v1\n")
        sys.stdout.flush()
        return await _until_stopped(supervisor, stop)


async def _until_stopped(supervisor: EngineSupervisor, stop: asyncio.Event) -> int:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await stop.wait()
        if supervisor.view.phase == "failed" and supervisor.view.error is not None:
            raise supervisor.view.error
    return 0


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
