from __future__ import annotations

import time

import pytest

from scripts.bootstrap import wheel_index
from tests.setup.wheel_server import WheelServer

LINUX = (r"(?:many)?linux\w*_x86_64",)
NAME = "llama_cpp_python-0.3.36-py3-none-{}.whl"


def page(*files: str) -> str:
    return "<html>" + "".join(f'<a href="../files/{name}">{name}</a><br/>' for name in files)


def test_the_wheel_for_this_platform_is_chosen_with_its_hash() -> None:
    digest = "a" * 64
    text = page(
        NAME.format("win_amd64"),
        NAME.format("manylinux2014_aarch64"),
        NAME.format("manylinux_2_17_x86_64.manylinux2014_x86_64") + f"#sha256={digest}",
    )
    found = wheel_index.choose("https://x/whl/cpu/llama-cpp-python/", text, "cpu", "0.3.36", LINUX)
    assert found is not None
    assert found.url.startswith("https://x/whl/cpu/files/llama_cpp_python-0.3.36-py3-none-many")
    assert "#" not in found.url
    assert found.sha256 == digest


@pytest.mark.parametrize(
    "name",
    [
        "llama_cpp_python-0.3.35-py3-none-linux_x86_64.whl",
        "llama_cpp_python-0.3.360-py3-none-linux_x86_64.whl",
        "llama_cpp_python-0.3.36-cp39-cp39-linux_x86_64.whl",
        "llama_cpp_python-0.3.36.tar.gz",
        "evil-0.3.36-py3-none-linux_x86_64.whl",
    ],
)
def test_other_files_are_passed_over(name: str) -> None:
    assert wheel_index.choose("https://x/", page(name), "cpu", "0.3.36", LINUX) is None


@pytest.mark.parametrize("scheme", ["file:///etc/", "ftp://x/", "javascript:"])
def test_links_elsewhere_than_http_are_never_followed(scheme: str) -> None:
    text = f'<a href="{scheme}{NAME.format("linux_x86_64")}">x</a>'
    assert wheel_index.choose("https://x/", text, "cpu", "0.3.36", LINUX) is None


def test_the_next_backend_is_asked_when_the_first_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wheel_index, "platform_endings", lambda: LINUX)
    pages = {"/cpu/llama-cpp-python/": page(NAME.format("linux_x86_64"))}
    with WheelServer(pages) as server:
        monkeypatch.setenv("GARRET_WHEEL_INDEX", server.url)
        found = wheel_index.find_published(("cu130", "cpu"), "0.3.36")
    assert found is not None
    assert found.backend == "cpu"
    assert server.asked == ["/cu130/llama-cpp-python/", "/cpu/llama-cpp-python/"]


def test_an_index_that_never_answers_costs_the_limit_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with WheelServer({}, silent=("/cpu/llama-cpp-python/",)) as server:
        monkeypatch.setenv("GARRET_WHEEL_INDEX", server.url)
        began = time.monotonic()
        assert wheel_index.find_published(("cpu",), "0.3.36", limit_s=0.3) is None
        # Far under the server's own 20 s: the probe gave up by itself.
        assert time.monotonic() - began < 10


def test_no_network_means_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRET_WHEEL_INDEX", "http://127.0.0.1:9")
    assert wheel_index.find_published(("cpu",), "0.3.36") is None


def test_the_index_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARRET_WHEEL_INDEX", "off")
    assert wheel_index.find_published(("cpu",), "0.3.36") is None
