"""Expected tokens per second while writing, from memory bandwidth and bytes read per token.

Decoding is bound by memory: time per token = bytes ÷ (bandwidth × efficiency) + a cost per layer.
The two constants per kind of processor are fitted to the published measurements in the catalogue
(A100, RTX 3090 to 5090, GB10, M4 to M5 Pro, Strix Halo, Core Ultra): within about a third of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.library.facts import ModelFacts
from app.library.fit.shape import Shape
from app.library.hardware import Hardware

DEFAULT_GPU_BYTES_S = 400e9
DEFAULT_RAM_BYTES_S = 50e9


@dataclass(frozen=True, slots=True)
class _Kind:
    efficiency: float
    layer_s: float


_DISCRETE = _Kind(0.60, 0.10e-3)
_DISCRETE_DENSE = _Kind(0.78, 0.03e-3)
_UNIFIED = _Kind(0.78, 0.20e-3)
_UNIFIED_DENSE = _Kind(0.78, 0.05e-3)
_CPU = _Kind(0.45, 0.20e-3)
_CPU_EXPERTS_EFFICIENCY = 0.60
# Quantizations by look-up table (IQ…) keep a processor busy before memory is: at best two thirds.
_CPU_TABLE_SHARE = 0.65
_SEVERAL_GPUS = 1.3


def tokens_per_second(facts: ModelFacts, shape: Shape, hardware: Hardware) -> float:
    """An estimate for short contexts; 0 for a model without weights."""
    gpu_bytes, cpu_bytes = _bytes_read(facts, shape, has_gpu=bool(hardware.gpus))
    sparse = facts.n_experts > 0 or facts.recurrent_layers > 0
    ram = hardware.ram_bandwidth_bytes_s or DEFAULT_RAM_BYTES_S
    if "IQ" in facts.quantization and "NL" not in facts.quantization:
        ram *= _CPU_TABLE_SHARE
    if not hardware.gpus:
        kind, gpu_s = _CPU, 0.0
        cpu_s = cpu_bytes / (ram * kind.efficiency)
    else:
        known = [gpu.bandwidth_bytes_s for gpu in hardware.gpus if gpu.bandwidth_bytes_s]
        bandwidth = sum(known) / len(known) if known else DEFAULT_GPU_BYTES_S
        if hardware.unified:
            kind = _UNIFIED if sparse else _UNIFIED_DENSE
        else:
            kind = _DISCRETE if sparse else _DISCRETE_DENSE
        gpu_s = gpu_bytes / (bandwidth * kind.efficiency)
        cpu_s = cpu_bytes / (ram * _CPU_EXPERTS_EFFICIENCY)
        if len(hardware.gpus) > 1:
            gpu_s *= _SEVERAL_GPUS
    seconds = gpu_s + cpu_s + facts.n_layers * kind.layer_s
    return 1 / seconds if seconds > 0 else 0.0


def _bytes_read(facts: ModelFacts, shape: Shape, *, has_gpu: bool) -> tuple[float, float]:
    """Bytes per token from GPU memory and from main memory."""
    used = facts.n_experts_used / facts.n_experts if facts.n_experts else 1.0
    n = facts.n_layers
    on_gpu = 0 if not has_gpu else n + 1 if shape.n_gpu_layers < 0 else shape.n_gpu_layers
    gpu = cpu = 0.0
    for index, layer in enumerate(facts.layers):
        experts = layer.expert_bytes * used
        dense = layer.weights_bytes - layer.expert_bytes
        if index < n - on_gpu:
            cpu += dense + experts
        elif index < shape.n_cpu_moe:
            gpu += dense
            cpu += experts
        else:
            gpu += dense + experts
    output = facts.output_bytes + (facts.input_bytes if facts.tied_output else 0)
    return (gpu + output, cpu) if on_gpu > n else (gpu, cpu + output)
