"""The curated catalogue: which models are worth having, their facts, and machines to compare with.

Before a header has been read, a model's memory is worked out from published dimensions; what nobody
published is filled with the usual layout of its kind and marked as an estimate.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.core.errors import LibraryError
from app.library.facts import LayerFacts, ModelFacts
from app.library.hardware import Gpu, Hardware

FORMAT = 1
# Per layer, where the dimensions are not published: 8 key-value heads of 128 (the usual grouping),
# and Qwen3-Coder-Next's recurrent state for models of its family.
_USUAL_KV_WIDTH = 1024
_USUAL_STATE_BYTES = 2_195_456
_USUAL_LAYERS = 32


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """One quantization of a model. `sha256` is one per path, '' where not published."""

    quant: str
    repo: str
    revision: str
    paths: tuple[str, ...]
    size_bytes: int
    size_exact: bool
    sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A published score and who says so."""

    name: str
    value: float
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model worth having. `quality` orders models for coding; sampling is the maker's advice."""

    id: str
    title: str
    summary: str
    quality: float
    license: str
    context: int
    params_b: float
    active_b: float
    sampling: Mapping[str, float]
    tool_format: str
    scores: tuple[Score, ...]
    files: tuple[CatalogueFile, ...]
    shape: Mapping[str, Any]

    @property
    def is_exact(self) -> bool:
        """Its memory follows from published dimensions alone."""
        needed = {"layers", "kv_bytes_per_token", "width"}
        hybrid = self.shape.get("attention_layers") != self.shape.get("layers")
        return needed <= set(self.shape) and (
            not hybrid or "state_bytes_per_sequence" in self.shape
        )

    def file(self, quant: str) -> CatalogueFile | None:
        return next((one for one in self.files if one.quant == quant), None)

    def facts(self, file: CatalogueFile) -> ModelFacts:
        """What a header would say, as far as it is known without one."""
        shape = self.shape
        n_layers = int(shape.get("layers", _USUAL_LAYERS))
        attention = int(shape.get("attention_layers", n_layers))
        interval = max(1, n_layers // max(1, attention))
        kv_bytes = shape.get("kv_bytes_per_token")
        width = int(kv_bytes) // 4 // attention if kv_bytes else _USUAL_KV_WIDTH
        state = shape.get("state_bytes_per_sequence")
        recurrent = n_layers - attention
        experts, used, expert_share = self._experts()
        vocabulary = int(shape.get("vocabulary", 0)) or 150_000
        n_embd = int(shape.get("width", 0)) or (2048 if experts else 4096)
        bits_share = file.size_bytes / (self.params_b * 1e9)
        table = int(min(vocabulary * n_embd * bits_share, file.size_bytes * 0.2))
        body = file.size_bytes - 2 * table
        layer = body // n_layers
        return ModelFacts(
            architecture=str(shape.get("gguf_architecture", "")),
            name=self.title,
            quantization=file.quant,
            context_train=self.context,
            n_embd=n_embd,
            n_heads=0,
            n_vocab=vocabulary,
            n_params=int(self.params_b * 1e9),
            n_experts=experts,
            n_experts_used=used,
            window_tokens=0,
            state_bytes_per_layer=(
                int(state) // recurrent if state and recurrent else _USUAL_STATE_BYTES
            ),
            input_bytes=table,
            output_bytes=table + body - layer * n_layers,
            tied_output=False,
            layers=tuple(
                _layer(layer, expert_share * file.size_bytes / n_layers, width, number, interval)
                for number in range(n_layers)
            ),
            unused_bytes=0,
            license=self.license,
            template_sha256="",
            split_count=len(file.paths),
            legacy_layout=False,
        )

    def _experts(self) -> tuple[int, int, float]:
        """(experts, used per token, their share of the weights)."""
        if self.active_b >= self.params_b * 0.6:
            return 0, 0, 0.0
        n = int(self.shape.get("experts", 64))
        used = int(self.shape.get("experts_used", 4))
        if exact := self.shape.get("expert_params"):
            return n, used, exact / (self.params_b * 1e9)
        # total = dense + experts, active = dense + experts × used/n
        experts_b = (self.params_b - self.active_b) / (1 - used / n)
        return n, used, min(0.97, experts_b / self.params_b)


@dataclass(frozen=True, slots=True)
class Tier:
    """What people who measured chose for a machine; speeds as published, with their basis."""

    machine: str
    model: str
    quant: str
    context: int
    tokens_s: tuple[float | None, float | None]
    basis: str
    source: str
    note: str
    alternatives: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything in resources/catalogue.json."""

    as_of: str
    models: tuple[CatalogueModel, ...]
    machines: tuple[tuple[str, Hardware], ...]
    tiers: tuple[Tier, ...]

    def model(self, model_id: str) -> CatalogueModel | None:
        return next((one for one in self.models if one.id == model_id), None)

    def machine(self, machine_id: str) -> Hardware:
        """A machine by its id. Raises LibraryError naming the ones there are."""
        for one, hardware in self.machines:
            if one == machine_id:
                return hardware
        names = ", ".join(one for one, _ in self.machines)
        raise LibraryError(f"There is no machine called {machine_id!r}.", f"There are: {names}.")

    def tier(self, machine_id: str) -> Tier | None:
        return next((one for one in self.tiers if one.machine == machine_id), None)

    def by_hash(self, sha256: str) -> tuple[CatalogueModel, CatalogueFile] | None:
        """The catalogue's entry for a file, by its contents."""
        for model in self.models:
            for file in model.files:
                if sha256 and sha256 in file.sha256:
                    return model, file
        return None

    def by_name(self, file_name: str) -> tuple[CatalogueModel, CatalogueFile] | None:
        """The catalogue's entry for a file, by its name: a good guess, not a proof."""
        wanted = file_name.rsplit("/", 1)[-1].casefold()
        for model in self.models:
            for file in model.files:
                if any(path.rsplit("/", 1)[-1].casefold() == wanted for path in file.paths):
                    return model, file
        return None


@cache
def load_catalogue(path: Path | None = None) -> Catalogue:
    """The shipped catalogue. A damaged one is a bug and raises as such."""
    root = Path(getattr(sys, "_MEIPASS", Path(__file__).parents[2]))
    text = (path or root / "resources" / "catalogue.json").read_text(encoding="utf-8")
    data = json.loads(text)
    if data["format"] != FORMAT:
        raise ValueError(f"catalogue format {data['format']}")
    return Catalogue(
        as_of=data["as_of"],
        models=tuple(_model(one) for one in data["models"]),
        machines=tuple((one["id"], _machine(one)) for one in data["machines"]),
        tiers=tuple(_tier(one) for one in data["tiers"]),
    )


def _layer(size: int, expert_bytes: float, kv_width: int, number: int, interval: int) -> LayerFacts:
    attends = (number + 1) % interval == 0
    return LayerFacts(
        weights_bytes=size,
        expert_bytes=min(size, int(expert_bytes)),
        k_width=kv_width if attends else 0,
        v_width=kv_width if attends else 0,
        windowed=False,
        recurrent=not attends,
    )


def _model(data: dict[str, Any]) -> CatalogueModel:
    return CatalogueModel(
        id=data["id"],
        title=data["title"],
        summary=data["summary"],
        quality=float(data["quality"]),
        license=data["license"] or "",
        context=int(data["context"] or 32_768),
        params_b=float(data["params_total_b"] or 14),
        active_b=float(data["params_active_b"] or 14),
        sampling=data["sampling"],
        tool_format=data["tool_format"],
        scores=tuple(
            Score(one["name"], float(one["value"]), one.get("kind", ""), one.get("source") or "")
            for one in data["scores"]
            if isinstance(one.get("value"), int | float)
        ),
        files=tuple(_file(one, data) for one in data["files"]),
        shape=data["shape"],
    )


def _file(data: dict[str, Any], model: dict[str, Any]) -> CatalogueFile:
    own_repo = "repo" in data
    if "parts" in data:
        hashes = tuple(part["sha256"] for part in data["parts"])
    else:
        hashes = (data.get("sha256") or "",) * len(data["paths"])
    return CatalogueFile(
        quant=data["quant"],
        repo=data.get("repo") or model["repo"],
        revision=data.get("revision") or ("" if own_repo else model["revision"] or ""),
        paths=tuple(data["paths"]),
        size_bytes=int(data["size_bytes"]),
        size_exact=bool(data["size_exact"]),
        sha256=hashes,
    )


def _machine(data: dict[str, Any]) -> Hardware:
    ram = int(data["ram_gib"]) << 30
    return Hardware(
        title=data["title"],
        ram_total_bytes=ram,
        ram_available_bytes=ram,
        ram_bandwidth_bytes_s=data["ram_bandwidth_gb_s"] * 1e9,
        gpus=tuple(
            Gpu(
                one["name"],
                one["kind"],
                one["limit_mib"] << 20,
                one["limit_mib"] << 20,
                one["bandwidth_gb_s"] * 1e9,
                "catalogue",
            )
            for one in data["gpus"]
        ),
    )


def _tier(data: dict[str, Any]) -> Tier:
    low, high = data["tokens_s"]
    return Tier(
        machine=data["machine"],
        model=data["model"],
        quant=data["quant"],
        context=int(data["context"]),
        tokens_s=(low, high),
        basis=data["basis"],
        source=data["source"] or "",
        note=data["note"] or "",
        alternatives=tuple((one["model"], one["quant"]) for one in data["alternatives"]),
    )
