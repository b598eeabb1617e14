"""From a model and a machine to a plan: the very numbers the engine then loads with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from app.core.control import KvType, LoadSpec
from app.library.facts import ModelFacts
from app.library.fit.memory import Demand, demands, layer_costs
from app.library.fit.shape import Shape
from app.library.fit.speed import tokens_per_second
from app.library.hardware import Hardware

MIB = 1 << 20
GIB = 1 << 30
LADDER = (262_144, 131_072, 65_536, 32_768, 16_384, 8_192, 4_096)
MIN_CTX = 4_096
Verdict = Literal["fits", "tight", "too big"]


@dataclass(frozen=True, slots=True)
class Pool:
    """One memory as a picture: what the model puts into it, what stays free, what it holds.

    `capacity_bytes` is what models may use of it; `reserve_bytes` beyond that is left alone.
    """

    name: str
    capacity_bytes: int
    reserve_bytes: int
    demand: Demand
    checkpoints_bytes: int = 0

    @property
    def used_bytes(self) -> int:
        return self.demand.total_bytes + self.checkpoints_bytes

    @property
    def spare_bytes(self) -> int:
        return self.capacity_bytes - self.used_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How to load a model on a machine, and what to expect.

    `basis` of the speed is "computed" (from memory bandwidth) or "measured" (on this machine, or
    published for this hardware). A "tight" plan loads only with little context or little room.
    """

    verdict: Verdict
    shape: Shape
    pools: tuple[Pool, ...]
    checkpoint_budget_bytes: int
    tokens_s: float
    basis: Literal["computed", "measured"] = "computed"

    @property
    def needed_bytes(self) -> int:
        return sum(pool.used_bytes for pool in self.pools)

    @property
    def on_gpu_share(self) -> float:
        """The part of the weights that lies in graphics memory, 0 to 1."""
        total = sum(pool.demand.weights_bytes for pool in self.pools)
        gpu = self.pools[0].demand.weights_bytes if len(self.pools) > 1 else 0
        return gpu / total if total else 0.0

    def spec(self, model_path: str, model_id: str) -> LoadSpec:
        """The engine's orders."""
        return LoadSpec(
            model_path=model_path,
            model_id=model_id,
            n_ctx=self.shape.n_ctx,
            n_parallel=self.shape.n_parallel,
            n_gpu_layers=self.shape.n_gpu_layers,
            n_cpu_moe=self.shape.n_cpu_moe,
            kv_type=self.shape.kv_type,
            n_ubatch=self.shape.n_ubatch,
            checkpoint_budget_bytes=self.checkpoint_budget_bytes,
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user fixed; 0 or None leaves it to the plan."""

    n_ctx: int = 0
    n_parallel: int = 0
    kv_type: KvType | None = None
    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that models may use: `gpu_bytes` 0 without a GPU, `ram_bytes` 0 where it is shared."""

    gpu_bytes: int
    gpu_reserve_bytes: int
    ram_bytes: int
    ram_reserve_bytes: int


def room(hardware: Hardware, *, now: bool = False, freed_bytes: int = 0) -> Room:
    """What a machine can give: in principle, or `now` beside everything else that runs.

    `freed_bytes` is what a loaded model would give back first. On a Mac the rule is Llama-macOS's:
    the Metal limit less 1 GiB, and never the last 4 GiB of memory.
    """
    total = hardware.ram_total_bytes
    ram_reserve = max(4 * GIB, total // 4)  # the system, a browser, an editor
    ram = total - ram_reserve
    if now:
        ram = min(ram, hardware.ram_available_bytes + freed_bytes - GIB)
    if not hardware.gpus:
        return Room(0, 0, max(0, ram), ram_reserve)
    limit = sum(gpu.limit_bytes for gpu in hardware.gpus)
    free = sum(gpu.free_bytes for gpu in hardware.gpus)
    if hardware.unified:
        usable = min(limit - GIB, total - 4 * GIB)
        if now:
            usable = min(usable, free + freed_bytes - GIB // 2)
        return Room(max(0, usable), limit - usable, 0, 0)
    margin = GIB * len(hardware.gpus)
    usable = limit - margin
    if now:
        usable = min(usable, free + freed_bytes - margin // 2)
    return Room(max(0, usable), margin, max(0, ram), ram_reserve)


def make_plan(
    facts: ModelFacts,
    hardware: Hardware,
    wish: Wish | None = None,
    *,
    now: bool = False,
    freed_bytes: int = 0,
) -> Plan:
    """The best way to load a model here. Always returns a plan; `verdict` says what it is worth."""
    wish = wish or Wish()
    place = room(hardware, now=now, freed_bytes=freed_bytes)
    n_gpus = len(hardware.gpus)
    for shape in _shapes(facts, hardware, place, wish):
        gpu, cpu = demands(facts, shape, n_gpus=n_gpus, unified=hardware.unified)
        if _fits(gpu, cpu, place, hardware):
            plan = _finish(facts, hardware, place, shape, gpu, cpu)
            least = 16_384 if facts.n_params > 1e9 else 4_096  # less is no room for code
            small = shape.n_ctx < min(least, facts.context_train or least) and not wish.n_ctx
            return replace(plan, verdict="tight") if small else plan
    shape = Shape(wish.n_ctx or MIN_CTX, wish.n_parallel or 1, wish.kv_type or "f16")
    gpu, cpu = demands(facts, shape, n_gpus=n_gpus, unified=hardware.unified)
    plan = _finish(facts, hardware, place, shape, gpu, cpu)
    total = place.gpu_bytes + place.ram_bytes
    # Into the reserve, but not beyond what the machine has: it may work with nothing else open.
    physical = hardware.ram_total_bytes - GIB if not n_gpus or hardware.unified else total + GIB
    if hardware.unified:
        physical = min(physical, place.gpu_bytes + place.gpu_reserve_bytes)
    tight = gpu.plus(cpu).total_bytes <= physical
    return replace(plan, verdict="tight" if tight else "too big")


def _shapes(facts: ModelFacts, hardware: Hardware, place: Room, wish: Wish) -> Iterator[Shape]:
    """Candidates, best first: all on the GPU, then experts beside it, then layers beside it."""
    cap = facts.context_train or MIN_CTX
    if wish.n_ctx:
        contexts: tuple[int, ...] = (min(wish.n_ctx, cap),)
    else:
        most = min(cap, _usual_context(hardware, place))
        contexts = tuple(dict.fromkeys(min(one, most) for one in LADDER if one <= most)) or (cap,)
    parallel = (wish.n_parallel,) if wish.n_parallel else (4, 1)
    kv_types: tuple[KvType, ...] = (wish.kv_type,) if wish.kv_type else ("f16", "q8_0")
    split = bool(hardware.gpus) and not hardware.unified
    comfortable = [one for one in contexts if one >= 32_768] or list(contexts[:1])
    asked = wish.n_gpu_layers is not None or wish.n_cpu_moe is not None
    for kv_type in kv_types[:1] if split else kv_types:
        for n_ctx in comfortable:
            for n in parallel:
                yield _asked(Shape(n_ctx, n, kv_type), wish)
    if split and not asked:
        yield from _beside(facts, hardware, place, comfortable, parallel, kv_types)
    for n_ctx in contexts:
        for kv_type in kv_types:
            for n in parallel:
                yield _asked(Shape(n_ctx, n, kv_type), wish)
    if split and not asked:
        yield from _beside(facts, hardware, place, list(contexts), parallel[-1:], kv_types)


def _beside(
    facts: ModelFacts,
    hardware: Hardware,
    place: Room,
    contexts: list[int],
    parallel: tuple[int, ...],
    kv_types: tuple[KvType, ...],
) -> Iterator[Shape]:
    """Plans that keep a part in main memory: as little of it as the graphics memory asks for."""
    most = 65_536 if place.gpu_bytes < 9 * GIB else 131_072
    for n_ctx in contexts:
        if n_ctx > most and min(contexts) <= most:
            continue
        for kv_type in kv_types:
            for n in parallel:
                base = Shape(n_ctx, n, kv_type)
                n_moe = _least_experts_beside(facts, base, place.gpu_bytes, len(hardware.gpus))
                if n_moe is not None:
                    yield replace(base, n_cpu_moe=n_moe)
                n_layers = _most_gpu_layers(facts, base, place.gpu_bytes, len(hardware.gpus))
                yield replace(base, n_gpu_layers=n_layers)


def _least_experts_beside(
    facts: ModelFacts, base: Shape, gpu_bytes: int, n_gpus: int
) -> int | None:
    """The fewest leading layers whose experts must stay in main memory; None if all do not help."""
    if demands(facts, base, n_gpus=n_gpus)[0].total_bytes <= gpu_bytes:
        return 0
    if not facts.n_experts:
        return None
    over = demands(facts, replace(base, n_cpu_moe=1), n_gpus=n_gpus)[0].total_bytes - gpu_bytes
    for number, layer in enumerate(facts.layers[1:], start=1):
        if over <= 0:
            return number
        over -= layer.expert_bytes
    return facts.n_layers if over <= 0 else None


def _most_gpu_layers(facts: ModelFacts, base: Shape, gpu_bytes: int, n_gpus: int) -> int:
    """The most trailing layers that the graphics memory holds."""
    one = replace(base, n_gpu_layers=1)
    left = gpu_bytes - demands(facts, one, n_gpus=n_gpus)[0].compute_bytes
    costs = layer_costs(facts, base)
    count = 0
    for layer, (kv, state) in zip(reversed(facts.layers), reversed(costs), strict=True):
        left -= layer.weights_bytes + kv + state
        if left < 0:
            break
        count += 1
    return count


def _asked(shape: Shape, wish: Wish) -> Shape:
    if wish.n_gpu_layers is not None:
        shape = replace(shape, n_gpu_layers=wish.n_gpu_layers)
    if wish.n_cpu_moe is not None:
        shape = replace(shape, n_cpu_moe=wish.n_cpu_moe)
    return shape


def _usual_context(hardware: Hardware, place: Room) -> int:
    """More context than this is only worth its reading time on request."""
    if not hardware.gpus:
        return 16_384 if hardware.ram_total_bytes < 24 * GIB else 32_768
    gib = (place.gpu_bytes + place.gpu_reserve_bytes) / GIB
    if not hardware.unified and place.ram_bytes > 24 * GIB and gib >= 9:
        gib = max(gib, 31)
    for limit, n_ctx in ((9, 16_384), (13, 32_768), (30, 65_536), (58, 131_072)):
        if gib < limit:
            return 65_536 if limit == 9 and place.ram_bytes > 24 * GIB else n_ctx
    return 262_144


def _fits(gpu: Demand, cpu: Demand, place: Room, hardware: Hardware) -> bool:
    if hardware.unified:
        return gpu.plus(cpu).total_bytes <= place.gpu_bytes
    return gpu.total_bytes <= place.gpu_bytes and cpu.total_bytes <= place.ram_bytes


def _finish(
    facts: ModelFacts,
    hardware: Hardware,
    place: Room,
    shape: Shape,
    gpu: Demand,
    cpu: Demand,
) -> Plan:
    if hardware.unified:
        pools = [Pool("memory", place.gpu_bytes, place.gpu_reserve_bytes, gpu.plus(cpu))]
    else:
        pools = [Pool("memory", place.ram_bytes, place.ram_reserve_bytes, cpu)]
    budget = _checkpoint_budget(facts, max(0, pools[0].spare_bytes))
    pools[0] = replace(pools[0], checkpoints_bytes=min(budget, max(0, pools[0].spare_bytes)))
    if hardware.gpus and not hardware.unified:
        pools.insert(0, Pool("graphics memory", place.gpu_bytes, place.gpu_reserve_bytes, gpu))
    return Plan(
        verdict="fits",
        shape=shape,
        pools=tuple(pools),
        checkpoint_budget_bytes=budget,
        tokens_s=tokens_per_second(facts, shape, hardware),
    )


def _checkpoint_budget(facts: ModelFacts, spare_bytes: int) -> int:
    """Room for saved states of a recurrent model: half of what is spare, 2 to 16 of them."""
    one = facts.state_bytes_per_sequence
    return max(2 * one, min(16 * one, spare_bytes // 2)) if one else 0
