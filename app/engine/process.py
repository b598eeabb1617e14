"""The engine process: boots from one line on stdin, serves on its sockets, ends with it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn

from app import __version__
from app.core.control import EngineBoot, EngineReady
from app.core.errors import EngineError, GarretError
from app.engine.api.app import build_app
from app.engine.api.connections import MAX_HEADER_BYTES, GuardedProtocol
from app.engine.containment import contain
from app.engine.native import library
from app.engine.service import Service

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_GRACE_S = 2.0
# With a shorter one on few cores the threads push each other off (5 % of decode on two).
SWITCH_INTERVAL_S = 0.0001 if (os.cpu_count() or 1) > 4 else 0.0005


def run() -> int:
    """Reads EngineBoot, prints EngineReady, serves until stdin closes."""
    _die_with_parent()
    line = sys.stdin.buffer.readline()
    if not line.strip():
        return 0
    boot = EngineBoot.from_json(json.loads(line))
    _log_to(boot.log_path)
    # The decode thread must not wait 5 ms for the interpreter after every token.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        listening = listen(boot)
        containment = contain(boot)
        if boot.log_path:
            library().set_crash_file(Path(boot.log_path).with_suffix(".crash"))
        asyncio.run(_serve(boot, listening, containment))
    except GarretError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Listening:
    """The open sockets: the app's own, the port, or both; `problem` as in EngineReady."""

    own: socket.socket | None
    port: socket.socket | None
    problem: str = ""

    @property
    def sockets(self) -> list[socket.socket]:
        return [one for one in (self.own, self.port) if one is not None]

    def ready(self) -> EngineReady:
        host, port = self.port.getsockname()[:2] if self.port else ("", 0)
        path = self.own.getsockname() if self.own else ""
        return EngineReady(host, port, os.getpid(), __version__, path, self.problem)


def listen(boot: EngineBoot) -> Listening:
    """The app's own socket where it asks for one, and the port where others may come in.

    Raises:
        EngineError: nothing can be listened on, or the port has to be open and is not.
    """
    own = bind_own(boot.socket) if boot.socket else None
    if own is None:
        return Listening(None, bind(boot.host, boot.port))
    if not boot.share:
        return Listening(own, None)
    try:
        return Listening(own, bind(boot.host, boot.port))
    except EngineError as error:
        if not boot.port_may_fail:
            own.close()
            raise
        return Listening(own, None, error.sentence)


def bind_own(path: str) -> socket.socket | None:
    """A listening Unix socket for this user alone; None where the file system has none."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        os.chmod(path, 0o600)  # its folder is private already
        listener.listen(128)
    except OSError as error:
        _log.warning("no Unix socket at %s: %s", path, error)
        listener.close()
        return None
    return listener


def bind(host: str, port: int) -> socket.socket:
    """A listening socket of our own, so that the port is known before anybody is served.

    Raises:
        EngineError: the port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EngineError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            "Choose another port, or stop the program that uses it.",
            port=port,
        ) from error
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, listening: Listening) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        sys.stdout.write(json.dumps(self._listening.ready().to_json()) + "\n")
        sys.stdout.flush()


async def _serve(boot: EngineBoot, listening: Listening, containment: str) -> None:
    service = Service(boot, containment=containment)
    service.start()
    config = uvicorn.Config(
        build_app(service, boot),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
        http=GuardedProtocol,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    server = _Server(config, listening)
    loop = asyncio.get_running_loop()

    def parent_gone() -> None:
        server.should_exit = True
        # Whatever hangs in native code must not outlive the app.
        timer = threading.Timer(_GRACE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def watch_stdin() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        try:
            loop.call_soon_threadsafe(parent_gone)
        except RuntimeError:
            os._exit(0)
        threading.Event().wait(_GRACE_S * 1.5)
        os._exit(0)

    threading.Thread(target=watch_stdin, name="parent-watch", daemon=True).start()
    try:
        await server.serve(sockets=listening.sockets)
    finally:
        await service.close()


def _die_with_parent() -> None:
    """Linux: a signal when the parent dies, in case stdin is held open by somebody else.

    The kernel sends it when the parent's *thread* ends, so the handler asks whether the process
    is really gone.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()

    def handler(_signum: int, _frame: object) -> None:
        if os.getppid() != parent:
            os._exit(0)

    signal.signal(signal.SIGUSR2, handler)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR2, 0, 0, 0)


def _log_to(path: str) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = RotatingFileHandler(path, maxBytes=2 << 20, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("app.engine.native").setLevel(logging.WARNING)
