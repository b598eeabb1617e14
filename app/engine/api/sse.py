"""Event streams that start at once, stay alive, and stop working when the client goes away."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PING_S = 10.0
COMMENT = b": ping\n\n"
_BREAKS = re.compile("[\x85\u2028\u2029]")
_T = TypeVar("_T")


class ClientGone(Exception):
    """The client closed the connection; nobody waits for an answer."""


def data_event(value: Any) -> bytes:
    """`data:` with one line of JSON."""
    return b"data: " + json_line(value) + b"\n\n"


def named_event(name: str, value: Any) -> bytes:
    """`event:` and `data:`."""
    return b"event: " + name.encode() + b"\ndata: " + json_line(value) + b"\n\n"


def json_line(value: Any) -> bytes:
    """JSON that no reader takes for several lines: some split at every Unicode line break."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not text.isascii():
        text = _BREAKS.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    return text.encode("utf-8", "replace")


class EventStream(Response):
    """Sends what an async generator yields.

    Headers go out at once, since the first token of a long prompt can take minutes; `ping` is
    sent whenever nothing else was for a while. A client that goes away closes the generator,
    also in the middle of a silence. `at_end` is called however it ends, also when the generator
    was never begun: an answer that nobody reads must not go on being written.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        ping: Callable[[], bytes] = lambda: COMMENT,
        ping_s: float | None = None,
        media_type: str = "text/event-stream",
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            media_type=media_type,
        )
        del self.headers["content-length"]
        self._events = events
        self._ping = ping
        self._ping_s = PING_S if ping_s is None else ping_s
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        gone = asyncio.create_task(_until_gone(receive), name="sse-client-watch")
        following: asyncio.Task[bytes] | None = None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            # an empty part makes the server write the headers now
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            while True:
                if following is None:
                    following = asyncio.create_task(_next(self._events), name="sse-next")
                await asyncio.wait(
                    {following, gone}, timeout=self._ping_s, return_when=asyncio.FIRST_COMPLETED
                )
                if gone.done():
                    return
                if not following.done():
                    body = self._ping()
                else:
                    task, following = following, None
                    try:
                        body = task.result()
                    except StopAsyncIteration:
                        break
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            return  # the socket broke while something was written
        finally:
            await _end(gone)
            if following is not None:
                await _end(following)
            self._at_end()
            await self._events.aclose()


async def _next(events: AsyncGenerator[bytes, None]) -> bytes:
    # a task must not end with StopIteration's kin unwrapped in a coroutine
    return await anext(events)


async def until_gone(
    request: Request, work: Coroutine[Any, Any, _T], at_end: Callable[[], None] = lambda: None
) -> _T:
    """The result of some work, which is cancelled when the client goes away. `at_end` is called
    however it ends, also when the work was never begun.

    Raises:
        ClientGone: it did.
    """
    task = asyncio.create_task(work, name="answer")
    gone = asyncio.create_task(_until_gone(request.receive), name="client-watch")
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        at_end()
        await _end(gone)
        await _end(task)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits; what it still had to say is of no interest any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # marks it as seen


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
