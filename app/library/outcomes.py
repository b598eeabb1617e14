"""What loading taught: which plans this machine could not hold and which it could."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.control import KvType, LoadSpec
from app.library.disk import read_json, write_json

_KEPT = ("n_ctx", "n_parallel", "n_gpu_layers", "n_cpu_moe", "kv_type")
_KV_TYPES: tuple[KvType, ...] = ("f16", "q8_0", "q4_0")


class Outcomes:
    """A small JSON file of the last plan that worked after one had failed, by model id."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def failed(self, spec: LoadSpec) -> None:
        """Remembers that `spec` ran out of memory here."""
        self._put(spec, {"failed": True})

    def worked(self, spec: LoadSpec) -> None:
        """Remembers what worked, if something had failed before; else there is nothing to learn."""
        if spec.model_id in self._all():
            self._put(spec, {"failed": False, **{key: getattr(spec, key) for key in _KEPT}})

    def apply(self, spec: LoadSpec) -> LoadSpec:
        """`spec`, or what worked for this model after its plan had failed."""
        known = self._all().get(spec.model_id)
        if not isinstance(known, dict) or known.get("failed") or "n_ctx" not in known:
            return spec
        values = {key: known[key] for key in _KEPT if key in known}
        if values.pop("kv_type", spec.kv_type) not in _KV_TYPES:
            return spec
        if not all(type(value) is int for value in values.values()):
            return spec
        return replace(spec, **values, kv_type=known["kv_type"])

    def forget(self, model_id: str) -> None:
        """Back to the computed plan."""
        known = self._all()
        if known.pop(model_id, None) is not None:
            write_json(self._path, known)

    def _put(self, spec: LoadSpec, value: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, {**self._all(), spec.model_id: value})

    def _all(self) -> dict[str, Any]:
        known = read_json(self._path)
        return known if isinstance(known, dict) else {}
