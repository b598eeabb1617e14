"""How llama-cpp-python is built for machines other than the one that builds it.

Every instruction set is named: with GGML_NATIVE=OFF alone, ggml drops all of AVX silently when
SOURCE_DATE_EPOCH is set or a compiler for another machine is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EVERYWHERE = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_RPC=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAVA_BUILD=OFF",  # the library for pictures, which Garret does not open
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
)
_X86_64_V3 = (
    "-DGGML_SSE42=ON",
    "-DGGML_AVX=ON",
    "-DGGML_AVX2=ON",
    "-DGGML_FMA=ON",
    "-DGGML_F16C=ON",
    "-DGGML_BMI2=ON",
    "-DGGML_AVX512=OFF",
    "-DGGML_AVX_VNNI=OFF",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One wheel: its CMake flags, and what llama.cpp must and must not say about itself."""

    backend: str
    flags: tuple[str, ...]
    must_have: tuple[str, ...]
    must_not_have: tuple[str, ...] = ("AVX512", "AVX512_VNNI", "AMX_INT8")


RECIPES: dict[str, Recipe] = {
    "linux-x86_64-cpu": Recipe(
        "cpu", (*_EVERYWHERE, *_X86_64_V3, "-DGGML_OPENMP=ON"), ("AVX2", "FMA", "F16C", "BMI2")
    ),
    "linux-x86_64-vulkan": Recipe(
        "vulkan",
        (*_EVERYWHERE, *_X86_64_V3, "-DGGML_OPENMP=OFF", "-DGGML_VULKAN=ON"),
        ("AVX2", "FMA", "F16C", "BMI2"),
    ),
    "windows-amd64-cpu": Recipe(
        "cpu", (*_EVERYWHERE, *_X86_64_V3, "-DGGML_OPENMP=OFF"), ("AVX2", "FMA", "F16C", "BMI2")
    ),
    "windows-amd64-vulkan": Recipe(
        "vulkan",
        (*_EVERYWHERE, *_X86_64_V3, "-DGGML_OPENMP=OFF", "-DGGML_VULKAN=ON"),
        ("AVX2", "FMA", "F16C", "BMI2"),
    ),
    "macos-arm64-metal": Recipe(
        "metal",
        (
            *_EVERYWHERE,
            "-DGGML_METAL=ON",
            "-DGGML_METAL_EMBED_LIBRARY=ON",
            "-DGGML_OPENMP=OFF",
            "-DCMAKE_OSX_ARCHITECTURES=arm64",
            "-DCMAKE_OSX_DEPLOYMENT_TARGET=14.0",
        ),
        ("NEON", "DOTPROD"),
        (),
    ),
}


def recipe_for(system: str, machine: str) -> str:
    """The name of the recipe that the bundle of this platform is made with.

    Raises:
        KeyError: no bundle is made for this platform.
    """
    names = {
        ("linux", "x86_64"): "linux-x86_64-cpu",
        ("win32", "amd64"): "windows-amd64-cpu",
        ("darwin", "arm64"): "macos-arm64-metal",
    }
    return names[system, machine.lower()]


def wrong_features(recipe: Recipe, system_info: str) -> list[str]:
    """What llama_print_system_info() says against the recipe; empty when all is well."""
    enabled = set(re.findall(r"\b([A-Z][A-Z0-9_]+) = 1\b", system_info))
    problems = [f"{name} is missing" for name in recipe.must_have if name not in enabled]
    problems += [f"{name} must be off" for name in recipe.must_not_have if name in enabled]
    return problems
