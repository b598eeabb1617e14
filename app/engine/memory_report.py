"""Memory figures out of llama.cpp's load log; it has no other interface for them in C."""

from __future__ import annotations

import re

from app.core.control import MemoryUse

_LINE = re.compile(
    r"(?P<device>[A-Za-z][\w.]*)\s+(?P<what>model|KV|RS|compute|output)\s+buffer size\s*="
    r"\s*(?P<mib>[\d.]+)\s*MiB"
)
_FIELDS = {
    "model": "weights_bytes",
    "KV": "kv_bytes",
    "RS": "state_bytes",
    "compute": "compute_bytes",
    "output": "output_bytes",
}


def memory_report(lines: list[str], tensor_bytes: int = 0) -> tuple[MemoryUse, ...]:
    """One MemoryUse for each device named in the log, in bytes.

    Buffers of one device under several names (CPU, CPU_Mapped, CPU_REPACK) are one device.
    `tensor_bytes` stands in for the weights where the log names none.
    """
    devices: dict[str, dict[str, int]] = {}
    for line in lines:
        for match in _LINE.finditer(line):
            device = re.split(r"_(?:Mapped|REPACK|Host|Private|Split)", match["device"])[0]
            if "_Host" in match["device"]:
                device = "CPU"
            use = devices.setdefault(device, {})
            field = _FIELDS[match["what"]]
            use[field] = use.get(field, 0) + int(float(match["mib"]) * 1024 * 1024)
    if devices and not any(use.get("weights_bytes") for use in devices.values()):
        next(iter(devices.values()))["weights_bytes"] = tensor_bytes
    return tuple(MemoryUse(device, **use) for device, use in devices.items())
