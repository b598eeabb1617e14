from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.bootstrap import accelerator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fake tools are shell scripts")


def tool(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(accelerator.sys, "platform", "linux")
    monkeypatch.setattr(accelerator, "has_vulkan_gpu", lambda: False)
    return tmp_path


def test_a_cuda_compiler_without_a_gpu_means_the_processor(tools: Path) -> None:
    tool(tools, "nvcc", "exit 0")
    assert accelerator.detect().backend == "cpu"


def test_a_driver_that_finds_no_device_means_the_processor(tools: Path) -> None:
    tool(tools, "nvcc", "exit 0")
    tool(tools, "nvidia-smi", "echo 'No devices were found'; exit 6")
    assert accelerator.detect().backend == "cpu"


def test_a_gpu_with_its_compiler_is_built_for(tools: Path) -> None:
    tool(tools, "nvcc", "exit 0")
    tool(tools, "nvidia-smi", "echo '| Driver Version: 580 | CUDA Version: 12.4 |'")
    kind = accelerator.detect()
    assert kind.backend == "cuda"
    assert "-DGGML_CUDA=ON" in kind.cmake
    assert kind.published[0] == "cu124"
    assert "cu130" not in kind.published


def test_a_gpu_without_compiler_takes_published_wheels_and_can_fall_back(tools: Path) -> None:
    tool(tools, "nvidia-smi", "echo '| CUDA Version: 13.0 |'")
    kind = accelerator.detect()
    assert kind.published[0] == "cu130"
    assert kind.published[-1] == "cpu"
    assert "-DGGML_CUDA=ON" not in kind.cmake


def test_apple_silicon_means_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator.sys, "platform", "darwin")
    monkeypatch.setattr(accelerator.platform, "machine", lambda: "arm64")
    kind = accelerator.detect()
    assert kind.published == ("metal",)
    assert "-DGGML_METAL_EMBED_LIBRARY=ON" in kind.cmake


def test_no_build_opens_a_network_door() -> None:
    assert {"-DGGML_RPC=OFF", "-DLLAMA_CURL=OFF"} <= set(accelerator.detect().cmake)


def test_a_processor_has_one_key() -> None:
    assert accelerator.processor_key() == accelerator.processor_key()
    assert len(accelerator.processor_key()) == 8
