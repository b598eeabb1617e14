"""Whether a newer Garret is out: asked only when the user asks, believed only when signed.

The answer is an envelope {"payload": base64, "signature": base64}: an Ed25519 signature over
PREFIX + payload, by the key built into this program. The payload says which version is newest;
this program never downloads or replaces itself, it names the page where the user can. A payload
with a lower serial than one seen before is refused, so that nobody can play back an old one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import truststore
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app import __version__
from app.core.errors import DownloadFailed, LibraryError, VerificationFailed
from app.core.network_log import NetworkLog
from app.library.disk import read_json, write_json

PREFIX = b"garret update manifest 1\n"  # a signature for anything else never fits
MAX_ANSWER_BYTES = 64 * 1024
MAX_NOTES_CHARS = 2000
DEADLINE_S = 20.0
_MAX_REDIRECTS = 5
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class UpdateSource:
    """Where this build asks, and the raw 32 bytes of the key that must have signed the answer."""

    url: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """What the newest release is. `notes` is foreign text: show it as plain text."""

    version: str
    page: str
    notes: str
    is_newer: bool
    is_urgent: bool  # this version has a known hole


def source_of_build(resources: Path) -> UpdateSource | None:
    """The source written into resources/build.json by a release; None in any other build."""
    build = read_json(resources / "build.json")
    if not isinstance(build, dict):
        return None
    try:
        key = base64.b64decode(str(build["update_key"]), validate=True)
        url = str(build["update_url"])
    except (KeyError, binascii.Error):
        return None
    return UpdateSource(url, key) if len(key) == 32 and _may_ask(url) else None


class UpdateCheck:
    """Asks once per call of `run`. Blocks; keep it off the GUI thread.

    Args:
        source: from `source_of_build`; None in a build that was not released.
        state_file: remembers the highest serial seen.
        log: where the connection is noted.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        source: UpdateSource | None,
        state_file: Path,
        log: NetworkLog | None = None,
        *,
        version: str = __version__,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._state_file = state_file
        self._log = log or NetworkLog()
        self._version = version
        self._now = now

    @property
    def can_ask(self) -> bool:
        """False in a build that knows no address."""
        return self._source is not None

    @property
    def host(self) -> str:
        """The computer that `run` would connect to, for the question beforehand."""
        return urlsplit(self._source.url).hostname or "" if self._source is not None else ""

    def run(self) -> Update:
        """Raises: LibraryError (this build has no address), DownloadFailed, VerificationFailed."""
        if self._source is None:
            raise LibraryError(
                "This copy of Garret was not made by a release and knows no address to ask.",
                "Look at the page you have it from.",
            )
        payload = self._verified(self._fetch(self._source.url), self._source.public_key)
        return self._judged(payload)

    def _fetch(self, url: str) -> bytes:
        deadline = time.monotonic() + DEADLINE_S
        host, received, failed = self.host, 0, True
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            with httpx.Client(verify=context, timeout=DEADLINE_S, trust_env=True) as client:
                for _hop in range(_MAX_REDIRECTS + 1):
                    if not _may_ask(url):
                        raise VerificationFailed(
                            "The update server leads to an address without encryption.",
                            "Try again later.",
                        )
                    host = urlsplit(url).hostname or ""
                    with client.stream("GET", url) as answer:
                        if answer.is_redirect:
                            url = str(answer.next_request.url) if answer.next_request else ""
                            continue
                        answer.raise_for_status()
                        body = _read_capped(answer, deadline)
                    received, failed = len(body), False
                    return body
            raise DownloadFailed("The update server redirects in circles.", "Try again later.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise DownloadFailed(
                "The update server could not be reached.",
                "Check the network and try again.",
                detail=type(error).__name__,
            ) from error
        finally:
            self._log.note(host, "update check", received, failed=failed)

    def _verified(self, body: bytes, public_key: bytes) -> dict[str, Any]:
        try:
            envelope = json.loads(body)
            payload = base64.b64decode(envelope["payload"], validate=True)
            signature = base64.b64decode(envelope["signature"], validate=True)
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, PREFIX + payload)
            found = json.loads(payload)
        except (InvalidSignature, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _not_ours() from error
        if not isinstance(found, dict) or found.get("app") != "garret" or found.get("format") != 1:
            raise _not_ours()
        return found

    def _judged(self, payload: dict[str, Any]) -> Update:
        try:
            serial = int(payload["serial"])
            expires = datetime.fromisoformat(str(payload["expires"])).astimezone(UTC)
            version, least = str(payload["version"]), str(payload.get("min_version", "0.0"))
            page = str(payload["page"])
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise _not_ours() from error
        whole = _VERSION.fullmatch(version) and _VERSION.fullmatch(least)
        if not whole or not _may_ask(page) or serial < 1:
            raise _not_ours()
        if expires.timestamp() < self._now():
            raise VerificationFailed(
                "The answer about updates is out of date.",
                "Check this computer's clock, or try again later.",
            )
        if serial < self._highest_serial():
            raise VerificationFailed(
                "The answer about updates is older than one seen before.",
                "Somebody may be holding back a newer one; try again on another network.",
            )
        self._state_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self._state_file, {"serial": serial})
        return Update(
            version,
            page,
            str(payload.get("notes", ""))[:MAX_NOTES_CHARS],
            is_newer=_numbers(version) > _numbers(self._version),
            is_urgent=_numbers(self._version) < _numbers(least),
        )

    def _highest_serial(self) -> int:
        state = read_json(self._state_file)
        serial = state.get("serial") if isinstance(state, dict) else None
        return serial if isinstance(serial, int) else 0


def _read_capped(answer: httpx.Response, deadline: float) -> bytes:
    body = bytearray()
    for piece in answer.iter_raw(4096):
        body += piece
        if len(body) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
            raise VerificationFailed(
                "The update server's answer is too long or too slow.", "Try again later."
            )
    return bytes(body)


def _may_ask(url: str) -> bool:
    """Encrypted, or on this computer (which is what the tests use)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.username or parts.password or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version)[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _not_ours() -> VerificationFailed:
    return VerificationFailed(
        "The answer about updates is not signed by Garret's makers.",
        "Nothing was changed. Try again later, or look at the release page.",
    )
