"""Keeps readings in a file, one line each: time, degrees."""

from pathlib import Path


def append(path: Path, time_s: float, celsius: float) -> None:
    with path.open("a") as file:
        file.write(f"{time_s:.0f},{celsius:.1f}\n")


def load(path: Path) -> list[tuple[float, float]]:
    rows = []
    for line in path.read_text().splitlines():
        time_s, celsius = line.split(",")
        rows.append((float(time_s), float(celsius)))
    return rows
