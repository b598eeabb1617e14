"""What the user fixed for single models, beside the settings that hold for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from app.core.control import KvType
from app.library.disk import held, read_json, write_json
from app.library.facts import ModelFacts
from app.library.fit.plan import Wish

_KV_TYPES: tuple[KvType, ...] = get_args(KvType)
MIN_CTX_TOKENS = 1_024
MAX_CTX_TOKENS = 1_048_576
MAX_PROMPT_CHARS = 20_000
SAMPLING_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1_000),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.5, 2.0),
    "presence_penalty": (-2.0, 2.0),
}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model's own settings; 0, None and '' leave a thing to the plan or to the model's maker.

    `n_gpu_layers` are the layers on the graphics card, -1 for all; `n_cpu_moe` the leading layers
    whose experts stay in main memory.
    """

    n_ctx: int = 0
    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None
    kv_type: KvType | None = None
    sampling: dict[str, float] = field(default_factory=dict)
    system_prompt: str = ""

    @property
    def is_recommended(self) -> bool:
        """Nothing is fixed."""
        return self == ModelSettings()

    @property
    def fixes_memory(self) -> bool:
        """Something is fixed that decides how much memory a load takes."""
        memory = (self.n_gpu_layers, self.n_cpu_moe, self.kv_type)
        return bool(self.n_ctx) or any(one is not None for one in memory)

    def over(self, wish: Wish) -> Wish:
        """`wish` with what is fixed here in its place."""
        return replace(
            wish,
            n_ctx=self.n_ctx or wish.n_ctx,
            kv_type=self.kv_type or wish.kv_type,
            n_gpu_layers=self.n_gpu_layers if self.n_gpu_layers is not None else wish.n_gpu_layers,
            n_cpu_moe=self.n_cpu_moe if self.n_cpu_moe is not None else wish.n_cpu_moe,
        )

    def bounded(self, facts: ModelFacts) -> ModelSettings:
        """The same within what the model can do."""
        most = min(facts.context_train or MAX_CTX_TOKENS, MAX_CTX_TOKENS)
        n_ctx = min(max(self.n_ctx, min(MIN_CTX_TOKENS, most)), most) if self.n_ctx else 0
        layers, experts = self.n_gpu_layers, self.n_cpu_moe
        if layers is not None:
            layers = min(max(layers, -1), facts.n_layers + 1)
        if experts is not None:
            experts = min(max(experts, 0), facts.n_layers) if facts.n_experts else None
        return replace(self, n_ctx=n_ctx, n_gpu_layers=layers, n_cpu_moe=experts)


class ModelSettingsFile:
    """One JSON object by model id. What is not sound in it counts as not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, model_id: str) -> ModelSettings:
        return _from_json(self._all().get(model_id))

    def put(self, model_id: str, settings: ModelSettings) -> None:
        """Stores them; settings that fix nothing leave no trace. Raises LibraryError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with held(self._path.with_suffix(".lock")):
            known = self._all()
            known.pop(model_id, None)
            if not settings.is_recommended:
                known[model_id] = asdict(_from_json(asdict(settings)))
            write_json(self._path, known)

    def _all(self) -> dict[str, Any]:
        known = read_json(self._path)
        return known if isinstance(known, dict) else {}


def _from_json(data: Any) -> ModelSettings:
    if not isinstance(data, Mapping):
        return ModelSettings()
    kv_type = data.get("kv_type")
    sampling = data.get("sampling")
    prompt = data.get("system_prompt")
    return ModelSettings(
        n_ctx=_whole(data.get("n_ctx"), MIN_CTX_TOKENS, MAX_CTX_TOKENS) or 0,
        n_gpu_layers=_whole(data.get("n_gpu_layers"), -1, 10_000),
        n_cpu_moe=_whole(data.get("n_cpu_moe"), 0, 10_000),
        kv_type=kv_type if kv_type in _KV_TYPES else None,
        sampling=_sampling(sampling) if isinstance(sampling, Mapping) else {},
        system_prompt=prompt[:MAX_PROMPT_CHARS] if isinstance(prompt, str) else "",
    )


def _whole(value: Any, low: int, high: int) -> int | None:
    return value if type(value) is int and low <= value <= high else None


def _sampling(values: Mapping[Any, Any]) -> dict[str, float]:
    kept = {}
    for key, (low, high) in SAMPLING_BOUNDS.items():
        value = values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            kept[key] = float(value) if isinstance(value, float) else value
    return kept
