"""Server-sent events from bytes (WHATWG HTML, "Interpreting an event stream").

httpx's own line reader also splits at U+2028 and U+0085, which may stand raw inside JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event; `name` is empty when the stream set none."""

    data: str
    name: str = ""


class SseDecoder:
    """Feed it bytes as they come; it gives back whole events, however the bytes were cut."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._data: list[str] = []
        self._data_bytes = 0
        self._name = ""

    def feed(self, chunk: bytes) -> Iterator[SseEvent]:
        """Events completed by this chunk.

        Raises:
            ValueError: one event is larger than MAX_EVENT_BYTES.
        """
        self._pending += chunk
        if len(self._pending) > MAX_EVENT_BYTES:
            raise ValueError("an event in the stream is too large")
        while (line := self._take_line()) is not None:
            event = self._on_line(line)
            if event is not None:
                yield event

    def _take_line(self) -> bytes | None:
        buffer = self._pending
        newline, carriage = buffer.find(b"\n"), buffer.find(b"\r")
        if carriage != -1 and (newline == -1 or carriage < newline):
            if carriage + 1 == len(buffer):
                return None  # a "\n" may still follow
            end, skip = carriage, 2 if buffer[carriage + 1] == 0x0A else 1
        elif newline != -1:
            end, skip = newline, 1
        else:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + skip]
        return line

    def _on_line(self, line: bytes) -> SseEvent | None:
        if not line:
            event = SseEvent("\n".join(self._data), self._name) if self._data else None
            self._data, self._data_bytes, self._name = [], 0, ""
            return event
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            self._data_bytes += len(value)
            if self._data_bytes > MAX_EVENT_BYTES:
                raise ValueError("an event in the stream is too large")
            self._data.append(text)
        elif field == b"event":
            self._name = text
        return None
