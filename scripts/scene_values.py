"""Values for the scenes of first run, demo, help and privacy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from app.agent.events import TokenCount
from app.cli.doctor import Finding
from app.core.network_log import Connection
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.library.service import ModelRow
from app.session.demo_events import DemoReport
from app.session.first_run import Offer
from app.session.own_connections import ConnectionProof

GOOD_OFFER = Offer(
    ModelRow(
        "good",
        "Qwen3-Coder-Next",
        "The strongest open model for code that runs at home; quick for its size.",
        "UD-Q4_K_XL",
        46_000_000_000,
        "fits",
        36.0,
    ),
    minutes=62,
)
COMING = DownloadProgress(
    "job", "Qwen3-Coder-Next", "downloading", 12_400_000_000, 46_000_000_000, 11.8e6, 2_840.0
)
FOUND = (
    Found("LM Studio", Path("/m/a.gguf"), "Qwen2.5-Coder-14B-Instruct-Q4_K_M", 8_990_000_000),
    Found("Ollama", Path("/m/b"), "llama3.1-8b", 4_660_000_000),
)
REPORT = DemoReport(
    "find-the-bug",
    "qwen3-coder-next",
    "done",
    "Done.",
    14.2,
    0.2,
    TokenCount(612, 2_935, 412),
    11.0,
    ("Read thermometer.py", "Edit thermometer.py", "Run python3 -m unittest -q"),
    ("thermometer.py",),
    True,
    0,
    True,
    ConnectionProof(14, 3, ()),
)
_NOW = time.time()
CONNECTIONS = (
    Connection(_NOW - 7_400, "huggingface.co", "Asked about the Hub", 48_210),
    Connection(_NOW - 7_300, "huggingface.co", "Asked about unsloth/Qwen3-Coder-Next-GGUF", 91_300),
    Connection(
        _NOW - 7_200, "cas-bridge.xethub.hf.co", "Download of Qwen3-Coder-Next.gguf", 46 * 10**9, 31
    ),
    Connection(_NOW - 300, "huggingface.co", "Asked about the Hub", 0, 1, failed=True),
)
LOG = """2026-11-24 00:10:11,123 INFO app.session.engines: engine ready in 1.2 s
2026-11-24 00:10:14,420 ERROR app.ui.tasks: task models-get failed for /home/ann/Models
Traceback (most recent call last):
  File "/opt/garret/app/ui/tasks.py", line 56, in _guard
    await work
KeyError: 'my secret plan'
my secret plan in a line of its own
"""


async def findings() -> Sequence[Finding]:
    """What the doctor would say."""
    return (
        Finding("packages", "ok", "Garret 0.1.0, Python 3.11.7."),
        Finding("data folder", "ok", "/home/ann/.local/share/garret, 212.4 GB free."),
        Finding("engine", "ok", "llama.cpp starts; it computes on: CPU."),
        Finding(
            "sandbox",
            "note",
            "This system cannot fence commands in.",
            "The agent will ask before every command.",
        ),
        Finding("models", "problem", "No model is installed.", "Open the models page and get one."),
    )
