"""`garret doctor`: what this machine has, what is wrong, and what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from app import __version__
from app.agent.sandbox import probe_sandbox
from app.cli.local_engine import models_folder
from app.client.backends import Backends, installation
from app.client.supervisor import EngineSupervisor
from app.core.build import version_line
from app.core.control import EngineBoot, EngineStatus
from app.core.errors import GarretError
from app.core.paths import Paths, find_paths
from app.core.settings import Settings
from app.library.hardware import Hardware, detect_hardware
from app.library.store import Store

_PACKAGES = (
    "PySide6-Essentials",
    "qasync",
    "llama-cpp-python",
    "huggingface-hub",
    "starlette",
    "uvicorn",
    "httpx",
    "jinja2",
    "numpy",
)
_LOW_DISK_BYTES = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and a remedy where something is wrong."""

    check: str
    level: Literal["ok", "note", "problem"]
    text: str
    remedy: str = ""


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret doctor",
        description="Looks at hardware, engine, sandbox, folders and versions. "
        "Exit status 1 when something needs a remedy.",
    )
    cli.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return cli


def main(argv: list[str]) -> int:
    """Prints the findings; 1 when one of them is a problem."""
    arguments = parser().parse_args(argv)
    report = asyncio.run(collect())
    findings: list[Finding] = report.pop("findings")
    if arguments.json:
        report["findings"] = [asdict(finding) for finding in findings]
        report["ok"] = not any(finding.level == "problem" for finding in findings)
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_as_text(findings))
    return 1 if any(finding.level == "problem" for finding in findings) else 0


async def collect() -> dict[str, Any]:
    """Everything doctor knows: facts by section, and `findings`."""
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    folder = models_folder(paths, settings)
    hardware = await asyncio.to_thread(detect_hardware, folder, kept=paths.bandwidth_file)
    status, engine = await _engine(paths)
    sandbox = await asyncio.to_thread(probe_sandbox)
    models = await asyncio.to_thread(Store(folder).installed)
    findings = [
        _versions(),
        *_folders(paths, folder),
        engine,
        *_backends(installation(paths.backends_file)),
        _hardware_finding(hardware),
        Finding(
            "sandbox",
            "ok" if sandbox.proven else "note",
            sandbox.sentence,
            "" if sandbox.proven else "The agent will ask before every command.",
        ),
        _models_finding([model.model_id for model in models]),
        _settings_finding(settings),
        _display(),
    ]
    return {
        "version": __version__,
        "build": version_line(),
        "versions": versions(),
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "frozen": bool(getattr(sys, "frozen", False)),
        },
        "paths": {key: str(value) for key, value in asdict(paths).items()}
        | {"models": str(folder)},
        "hardware": hardware.to_json(),
        "engine": {
            "backends": list(status.backends) if status else [],
            "installed": status is not None,
            "containment": status.containment if status else "",
        },
        "sandbox": asdict(sandbox),
        "models": [{"id": m.model_id, "size_bytes": m.size_bytes} for m in models],
        "findings": findings,
    }


def versions() -> dict[str, str]:
    """Installed versions of what matters; "missing" where a package is not there."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _backends(backends: Backends) -> list[Finding]:
    """One line for each engine backend beside the built-in one."""
    return [
        Finding(
            "backend",
            "ok" if verdict.works else "note",
            f"{verdict.name}: {verdict.sentence}",
            "" if verdict.works else f"To try it again, delete {backends.state_file}.",
        )
        for verdict in backends.verdicts()
    ]


def _versions() -> Finding:
    missing = [name for name, version in versions().items() if version == "missing"]
    if missing and not getattr(sys, "frozen", False):
        return Finding(
            "packages",
            "problem",
            f"Not installed: {', '.join(missing)}.",
            "Run python3 scripts/run.py to install what is missing.",
        )
    return Finding("packages", "ok", f"Garret {__version__}, Python {platform.python_version()}.")


def _folders(paths: Paths, models: Path) -> list[Finding]:
    findings = []
    for name, folder in (("settings", paths.config), ("data", paths.data), ("models", models)):
        existing = folder
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not os.access(existing, os.W_OK):
            findings.append(
                Finding(
                    f"{name} folder",
                    "problem",
                    f"{folder} cannot be written to.",
                    "Change its permissions, or set GARRET_HOME to another folder.",
                )
            )
            continue
        free_bytes = shutil.disk_usage(existing).free
        low = name == "models" and free_bytes < _LOW_DISK_BYTES
        findings.append(
            Finding(
                f"{name} folder",
                "note" if low else "ok",
                f"{folder}, {free_bytes / 1e9:.1f} GB free.",
                "There is little room for models; free some disk space." if low else "",
            )
        )
    return findings


async def _engine(paths: Paths) -> tuple[EngineStatus | None, Finding]:
    supervisor = EngineSupervisor(EngineBoot(token=""), paths.logs / "doctor-engine.log")
    try:
        await supervisor.start()
        status = await supervisor.status()
    except GarretError as error:
        return None, Finding("engine", "problem", error.sentence, error.remedy)
    finally:
        await supervisor.stop()
    backends = ", ".join(status.backends) or "no backend"
    sentence = f"llama.cpp starts; it computes on: {backends}. {status.containment}"
    return status, Finding("engine", "ok", sentence.strip())


def _hardware_finding(hardware: Hardware) -> Finding:
    return Finding("hardware", "ok", hardware.sentence)


def _models_finding(ids: list[str]) -> Finding:
    if ids:
        return Finding("models", "ok", f"Installed: {', '.join(ids)}.")
    return Finding(
        "models",
        "problem",
        "No model is installed.",
        "Run python3 scripts/run.py once, or garret models recommend.",
    )


def _settings_finding(settings: Settings) -> Finding:
    if settings.set_aside is not None:
        return Finding(
            "settings",
            "note",
            f"The settings could not be read and were put aside as {settings.set_aside}.",
            "Set them again, or mend that file and put it back.",
        )
    if settings.problems:
        return Finding("settings", "note", " ".join(settings.problems), "Defaults are used.")
    return Finding("settings", "ok", "Readable.")


def _display() -> Finding:
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return Finding(
            "display",
            "note",
            "No screen is set, so the window cannot open here.",
            "The headless commands work: garret chat, garret serve, garret agent.",
        )
    return Finding("display", "ok", "A screen is there.")


def _as_text(findings: list[Finding]) -> str:
    marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.level]}  {finding.check}: {finding.text}")
        if finding.remedy:
            lines.append(f"         {finding.remedy}")
    return "\n".join(lines) + "\n"
