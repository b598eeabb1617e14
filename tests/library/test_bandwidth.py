"""The best figure for memory speed is kept: a recommendation does not change with the load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.library import probes
from app.library.bandwidth import ram_bandwidth_bytes_s
from app.library.catalogue import load_catalogue
from app.library.hardware import Hardware, detect_hardware
from app.library.recommend import recommend

GIB = 1 << 30
CHIP = "Some Processor"


class Meter:
    """A measurement that says what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reading: float) -> None:
        self.reading = reading
        monkeypatch.setattr(probes, "ram_bandwidth_bytes_s", lambda _chip: self.reading)


def test_the_best_figure_counts_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "not there yet" / "bandwidth.json"
    meter = Meter(monkeypatch, 20e9)
    assert ram_bandwidth_bytes_s(CHIP, kept) == 20e9
    meter.reading = 48e9
    assert ram_bandwidth_bytes_s(CHIP, kept) == 48e9
    meter.reading = 16e9
    assert ram_bandwidth_bytes_s(CHIP, kept) == 48e9
    assert ram_bandwidth_bytes_s("Another", kept) == 16e9
    assert ram_bandwidth_bytes_s(CHIP, kept) == 48e9
    assert [path.name for path in kept.parent.iterdir()] == ["bandwidth.json"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", json.dumps({CHIP: "fast"}), f'{{"{CHIP}": 1e300}}', f'{{"{CHIP}": NaN}}'],
)
def test_a_damaged_file_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    Meter(monkeypatch, 20e9)
    kept = tmp_path / "bandwidth.json"
    kept.write_text(text)
    assert ram_bandwidth_bytes_s(CHIP, kept) == 20e9
    assert json.loads(kept.read_text()) == {CHIP: 20e9}


def test_a_folder_that_cannot_be_made_costs_only_the_memory_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Meter(monkeypatch, 20e9)
    (tmp_path / "file").write_text("")
    assert ram_bandwidth_bytes_s(CHIP, tmp_path / "file" / "bandwidth.json") == 20e9


def test_a_busy_start_recommends_what_a_quiet_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "cpu_name", lambda: CHIP)
    monkeypatch.setattr(probes, "nvidia_gpus", list)
    kept = tmp_path / "bandwidth.json"

    def advice(machine: Hardware) -> list[str]:
        found = recommend(load_catalogue(), machine)
        choices = [one for one in (found.choice, found.faster, found.better) if one]
        return [f"{one.model.id} {one.file.quant} {one.tokens_s}" for one in choices]

    meter = Meter(monkeypatch, 45e9)
    quiet = advice(detect_hardware(tmp_path, kept=kept))
    meter.reading = 15e9
    assert advice(detect_hardware(tmp_path, kept=kept)) == quiet
    assert advice(detect_hardware(tmp_path)) != quiet
