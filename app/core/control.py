"""The control wire format between the app and its engine process: plain values, JSON both ways.

Routes (only the app's own token opens them):
    POST /control/load    body LoadSpec; answers text/event-stream of LoadEvent; closing it cancels
    POST /control/unload  body {"model": id}
    GET  /control/status  answers EngineStatus
    POST /control/clear_states  body {}; removes saved prompt states; answers {"freed_bytes": n}
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

EngineState = Literal["idle", "loading", "ready", "failed"]
KvType = Literal["f16", "q8_0", "q4_0"]


class _Wire:
    """to_json/from_json for flat dataclasses: unknown keys are ignored, missing ones default."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: value for key, value in data.items() if key in names})


@dataclass(frozen=True, slots=True)
class LoadSpec(_Wire):
    """Everything that shapes a load. 0 or None means: the engine decides from the model.

    `n_ctx` is the total number of tokens shared by all `n_parallel` sequences (unified KV).
    `n_gpu_layers` -1 is all. `n_cpu_moe` keeps the experts of that many leading layers on the CPU.
    `checkpoint_budget_bytes` bounds host memory for recurrent-state checkpoints.
    """

    model_path: str
    model_id: str
    n_ctx: int = 0
    n_parallel: int = 0
    n_gpu_layers: int = -1
    n_cpu_moe: int = 0
    kv_type: KvType = "f16"
    n_threads: int = 0
    n_batch: int = 0
    n_ubatch: int = 0
    checkpoint_budget_bytes: int = 0
    tensor_split: tuple[float, ...] = ()
    sampling: dict[str, float] = field(default_factory=dict)
    embedding: bool = False
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class MemoryUse(_Wire):
    """What one loaded model holds on one device, in bytes, as llama.cpp reports it."""

    device: str
    weights_bytes: int = 0
    kv_bytes: int = 0
    state_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return (
            self.weights_bytes
            + self.kv_bytes
            + self.state_bytes
            + self.compute_bytes
            + self.output_bytes
        )


@dataclass(frozen=True, slots=True)
class DeviceInfo(_Wire):
    """One device of ggml's own list, memory in bytes; on Metal the total is its working set.

    `kind` is "gpu" (own memory), "igpu" (shares main memory), "cpu" or "accel".
    """

    name: str
    kind: str = "gpu"
    description: str = ""
    total_bytes: int = 0
    free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelInfo(_Wire):
    """A loaded model as its file and llama.cpp describe it.

    `size_bytes` is that of the weights; `memory_bytes` all it holds on all devices, context
    included, as llama.cpp reports it (0: not known).
    """

    model_id: str
    architecture: str = ""
    description: str = ""
    n_params: int = 0
    size_bytes: int = 0
    memory_bytes: int = 0
    n_ctx: int = 0
    n_ctx_train: int = 0
    n_parallel: int = 1
    n_vocab: int = 0
    is_hybrid: bool = False
    has_chat_template: bool = False
    tool_format: str = ""
    is_embedding: bool = False
    load_s: float = 0.0
    sampling: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadEvent:
    """One step of a load: a fraction while loading, then exactly one of model or error."""

    fraction: float = 0.0
    model: ModelInfo | None = None
    error: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "fraction": self.fraction,
            "model": self.model.to_json() if self.model else None,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LoadEvent:
        model = data.get("model")
        return cls(
            fraction=float(data.get("fraction") or 0.0),
            model=ModelInfo.from_json(model) if isinstance(model, dict) else None,
            error=data.get("error") if isinstance(data.get("error"), dict) else None,
        )


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine at one moment. `models` are loaded and answer; `loading` is on its way.

    `containment` says in one sentence what the process cannot do; "" from an older engine.
    """

    state: EngineState = "idle"
    models: tuple[ModelInfo, ...] = ()
    loading: str | None = None
    load_fraction: float = 0.0
    memory: dict[str, tuple[MemoryUse, ...]] = field(default_factory=dict)
    active_requests: int = 0
    queued_requests: int = 0
    error: dict[str, Any] | None = None
    backends: tuple[str, ...] = ()
    pid: int = 0
    devices: tuple[DeviceInfo, ...] = ()
    containment: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "models": [model.to_json() for model in self.models],
            "loading": self.loading,
            "load_fraction": self.load_fraction,
            "memory": {k: [use.to_json() for use in v] for k, v in self.memory.items()},
            "active_requests": self.active_requests,
            "queued_requests": self.queued_requests,
            "error": self.error,
            "backends": list(self.backends),
            "pid": self.pid,
            "devices": [device.to_json() for device in self.devices],
            "containment": self.containment,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EngineStatus:
        memory = data.get("memory") or {}
        return cls(
            state=data.get("state", "idle"),
            models=tuple(ModelInfo.from_json(model) for model in data.get("models") or ()),
            loading=data.get("loading"),
            load_fraction=float(data.get("load_fraction") or 0.0),
            memory={k: tuple(MemoryUse.from_json(u) for u in v) for k, v in memory.items()},
            active_requests=int(data.get("active_requests") or 0),
            queued_requests=int(data.get("queued_requests") or 0),
            error=data.get("error"),
            backends=tuple(data.get("backends") or ()),
            pid=int(data.get("pid") or 0),
            devices=tuple(DeviceInfo.from_json(one) for one in data.get("devices") or ()),
            containment=str(data.get("containment") or ""),
        )


@dataclass(frozen=True, slots=True)
class EngineBoot(_Wire):
    """What the parent writes as one JSON line to the engine's stdin; EOF there ends the engine.

    The token never appears in argv. `user_keys` open /v1 only while `share` is on. `model_paths`
    are the models that may be loaded on demand by name: id → LoadSpec as JSON. `any_user_key`
    accepts every non-empty user key: `garret serve` without `--api-key`, on loopback only.

    `socket` is the path of a Unix socket for the app itself; then host and port are opened only
    where `share` is on. `port_may_fail`: a port that cannot be opened is a `problem` of EngineReady
    rather than the end, since the app has its socket.
    """

    token: str
    host: str = "127.0.0.1"
    port: int = 0
    share: bool = False
    user_keys: tuple[str, ...] = ()
    any_user_key: bool = False
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    prefix_cache_dir: str = ""
    prefix_cache_bytes: int = 0
    log_path: str = ""
    max_queue: int = 64
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    socket: str = ""
    port_may_fail: bool = False


@dataclass(frozen=True, slots=True)
class EngineReady(_Wire):
    """The one JSON line the engine prints on stdout when its sockets listen.

    `port` 0: none is open, the app uses `socket`. `problem` says why the wanted port is not open.
    """

    host: str
    port: int
    pid: int
    version: str = ""
    socket: str = ""
    problem: str = ""
