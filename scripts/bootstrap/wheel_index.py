"""Asks llama-cpp-python's own wheel index whether it has a wheel for this machine. Never waits."""

from __future__ import annotations

import html
import http.client
import os
import platform
import re
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

INDEX = "https://abetlen.github.io/llama-cpp-python/whl"
PROBE_LIMIT_S = 3.0
MAX_PAGE_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class PublishedWheel:
    """A wheel that can be downloaded: its folder on the index, address and hash ("" if unsaid)."""

    backend: str
    url: str
    sha256: str


def index_url() -> str:
    """The index, or the mirror the user names; "off" means: always build."""
    return os.environ.get("GARRET_WHEEL_INDEX", INDEX)


def find_published(
    backends: tuple[str, ...], version: str, limit_s: float = PROBE_LIMIT_S
) -> PublishedWheel | None:
    """The best wheel for this machine, or None when there is none or no quick answer."""
    base = index_url()
    if base == "off":
        return None
    found: list[PublishedWheel] = []

    def look() -> None:
        for backend in backends:
            page = _page(f"{base.rstrip('/')}/{backend}/llama-cpp-python/", limit_s)
            if page is None:
                return
            wheel = choose(page[0], page[1], backend, version)
            if wheel is not None:
                found.append(wheel)
                return

    # A thread, because looking up a name may hang for longer than any socket limit.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else None


def choose(
    page_url: str, page: str, backend: str, version: str, suffixes: tuple[str, ...] | None = None
) -> PublishedWheel | None:
    """The first link on an index page whose file fits the version and this platform."""
    endings = platform_endings() if suffixes is None else suffixes
    for link in re.findall(r'<a\s[^>]*href="([^"]+)"', page):
        url = urllib.parse.urljoin(page_url, html.unescape(link))
        parts = urllib.parse.urlsplit(url)
        name = urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])
        fits = re.fullmatch(
            rf"llama_cpp_python-{re.escape(version)}(?:\+\w+)?-py3-none-([\w.]+)\.whl", name
        )
        if fits is None or parts.scheme not in ("https", "http"):
            continue
        if any(re.fullmatch(ending, tag) for tag in fits.group(1).split(".") for ending in endings):
            digest = re.fullmatch(r"sha256=([0-9a-f]{64})", parts.fragment)
            address = urllib.parse.urlunsplit(parts._replace(fragment=""))
            return PublishedWheel(backend, address, digest.group(1) if digest else "")
    return None


def platform_endings() -> tuple[str, ...]:
    """Patterns of the wheel platform tags that run here."""
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return (r"macosx_1[1-5]_\d+_" + ("arm64" if machine == "arm64" else "x86_64"),)
    if sys.platform == "win32":
        return ("win_amd64",) if machine in ("amd64", "x86_64") else ("win_arm64",)
    if platform.libc_ver()[0] != "glibc":
        return (r"musllinux_\d+_\d+_" + machine,)
    return (rf"(?:many)?linux\w*_{machine}",)


def _page(url: str, limit_s: float) -> tuple[str, str] | None:
    try:
        with urllib.request.urlopen(url, timeout=limit_s) as answer:
            body: bytes = answer.read(MAX_PAGE_BYTES)
            return str(answer.geturl()), body.decode("utf-8", "replace")
    except urllib.error.HTTPError:
        return url, ""  # this backend has no folder; the next may
    except (OSError, ValueError, http.client.HTTPException):
        return None
