"""One recommended model for a machine, with a reason anybody understands, and two alternatives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.library.catalogue import Catalogue, CatalogueFile, CatalogueModel, Tier
from app.library.fit.plan import GIB, Plan, Wish, make_plan
from app.library.hardware import Hardware

_LINE_BYTES_S = 100e6 / 8
_USABLE_TOKENS_S = 10.0
_LEAST_BITS = 2.6  # below it nobody has measured how much a model forgets


@dataclass(frozen=True, slots=True)
class Choice:
    """A model and quantization with its plan on the machine in question.

    `tokens_s` is a range; `basis` says whether it was measured, scaled from a measurement, or
    estimated. `minutes` is the download at 100 Mbit/s.
    """

    model: CatalogueModel
    file: CatalogueFile
    plan: Plan
    tokens_s: tuple[float, float]
    basis: str

    @property
    def gigabytes(self) -> float:
        return self.file.size_bytes / 1e9

    @property
    def minutes(self) -> int:
        return math.ceil(self.file.size_bytes / _LINE_BYTES_S / 60)

    @property
    def speed_text(self) -> str:
        low, high = (round(one) for one in self.tokens_s)
        return f"about {low}" if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to install. `choice` is None on a machine too small for anything in the catalogue."""

    machine: str
    choice: Choice | None
    faster: Choice | None
    better: Choice | None
    reason: str


def recommend(catalogue: Catalogue, hardware: Hardware, machine_id: str = "") -> Recommendation:
    """The best model for coding that a machine runs well.

    A tier that people measured on such a machine comes first, where its plan holds; otherwise the
    model with the best quality after a discount for coarse quantization and for waiting.
    """
    choices = [one for one in all_choices(catalogue, hardware) if one.plan.verdict == "fits"]
    if not choices:
        reason = "This machine has too little memory for any model in the catalogue."
        return Recommendation(hardware.title, None, None, None, reason)
    tier = catalogue.tier(machine_id) if machine_id else _tier_like(catalogue, hardware)
    curated = _curated(choices, tier)
    choices = [one for one in choices if _bits(one) >= _LEAST_BITS] or choices
    choices = [one for one in choices if _leaves_room(one, hardware)] or choices
    best = curated or max(choices, key=_worth)
    wanted = tier.alternatives if tier and curated else ()
    better = _better(choices, best, wanted)
    faster = _faster(choices, best)
    if faster is not None and better is not None and faster.file == better.file:
        faster = None
    faster, better = (_in_step(one, best, catalogue, hardware) for one in (faster, better))
    if faster is not None and sum(faster.tokens_s) < 1.1 * sum(best.tokens_s):
        faster = None  # computed it was, but not by what people measured
    return Recommendation(hardware.title, best, faster, better, reason_for(best))


def _faster(choices: list[Choice], best: Choice) -> Choice | None:
    """Another model that is clearly quicker without being a toy beside `best`, in the finest
    quantization that is still quicker."""
    quick = [
        one
        for one in choices
        if one.model.title != best.model.title
        and _speed(one) >= 1.25 * _speed(best)
        and _value(one) >= 0.6 * _value(best)
    ]
    first = max(quick, key=_worth, default=None)
    if first is None:
        return None
    finer = [
        one for one in choices if one.model is first.model and _speed(one) >= 1.1 * _speed(best)
    ]
    return max(finer, key=_value)


def _better(
    choices: list[Choice], best: Choice, wanted: Sequence[tuple[str, str]]
) -> Choice | None:
    """A better model that is still usable; one that the tier names comes first."""
    fine = [
        one
        for one in choices
        if one.file != best.file
        and _value(one) > _value(best) + 0.3
        and (one.model is not best.model or _bits(one) >= 1.1 * _bits(best))
        and _speed(one) >= max(4.0, 0.2 * _speed(best))
    ]
    named = [one for one in fine if (one.model.id, one.file.quant) in wanted]
    return max(named or fine, key=lambda one: (_value(one), _speed(one)), default=None)


def _leaves_room(choice: Choice, hardware: Hardware) -> bool:
    """Where models share memory with everything else, the last drop is not recommended; what lies
    beside a graphics card is not mapped from its file and cannot give way at all."""
    pool = choice.plan.pools[-1]
    beside = len(choice.plan.pools) > 1 and choice.plan.on_gpu_share < 0.95
    return hardware.unified or pool.spare_bytes >= (0.1 if beside else 0.05) * pool.capacity_bytes


def _tier_like(catalogue: Catalogue, hardware: Hardware) -> Tier | None:
    """The tier of a machine so much like this one that what was measured there holds here."""
    machine_id = nearest_machine(catalogue, hardware)
    if not machine_id:
        return None
    other = catalogue.machine(machine_id)
    pairs = [(other.ram_total_bytes, hardware.ram_total_bytes)]
    if hardware.gpus:
        pairs.append((_gpu_bytes(other), _gpu_bytes(hardware)))
        pairs.append((int(_bandwidth(other)), int(_bandwidth(hardware))))
    else:
        pairs.append((int(other.ram_bandwidth_bytes_s), int(hardware.ram_bandwidth_bytes_s)))
    alike = all(0.8 * ours <= theirs <= 1.25 * ours for theirs, ours in pairs)
    return catalogue.tier(machine_id) if alike else None


def all_choices(catalogue: Catalogue, hardware: Hardware) -> Iterator[Choice]:
    """Every file of the catalogue with its plan on a machine."""
    for model in catalogue.models:
        for file in model.files:
            plan = make_plan(model.facts(file), hardware)
            yield Choice(model, file, plan, _about(plan.tokens_s), "computed")


def reason_for(choice: Choice) -> str:
    """Why, in a sentence for somebody who never heard of quantization."""
    plan = choice.plan
    room = sum(pool.capacity_bytes for pool in plan.pools) - plan.needed_bytes
    pages = plan.shape.n_ctx * 3 // 4 // 500
    where = ""
    if len(plan.pools) > 1 and plan.on_gpu_share < 0.99:
        where = ", sharing the work between graphics card and processor"
    spare = f"{room / GIB:.0f} GB to spare" if room >= GIB else "nearly all that models may use"
    return (
        f"{choice.model.summary} It uses {plan.needed_bytes / GIB:.0f} GB of memory here"
        f" ({spare}){where}, keeps about {pages} pages in mind, and "
        f"writes {choice.speed_text} words or word pieces a second."
    )


def nearest_machine(catalogue: Catalogue, hardware: Hardware) -> str:
    """The catalogue's machine that is most like this one without promising more; '' if none is."""
    best, best_size = "", -1.0
    for machine_id, machine in catalogue.machines:
        if machine.unified != hardware.unified or bool(machine.gpus) != bool(hardware.gpus):
            continue
        if len(machine.gpus) > max(1, len(hardware.gpus)):
            continue
        pairs = [(machine.ram_total_bytes, hardware.ram_total_bytes)]
        pairs.append((_gpu_bytes(machine), _gpu_bytes(hardware)))
        if any(theirs > 1.04 * ours for theirs, ours in pairs):
            continue
        if hardware.unified and _bandwidth(machine) > 1.1 * _bandwidth(hardware):
            continue
        size = sum(theirs for theirs, _ in pairs) + _bandwidth(machine) / 1e3
        if size > best_size:
            best, best_size = machine_id, size
    return best


def plan_table(catalogue: Catalogue) -> Iterator[tuple[str, Tier, Choice | None]]:
    """Every machine of the catalogue with its tier's choice and the arithmetic behind it."""
    for machine_id, hardware in catalogue.machines:
        tier = catalogue.tier(machine_id)
        if tier is None:
            continue
        model = catalogue.model(tier.model)
        file = model.file(tier.quant) if model else None
        if model is None or file is None:
            yield machine_id, tier, None
            continue
        plan = make_plan(model.facts(file), hardware, Wish(n_ctx=tier.context))
        yield machine_id, tier, Choice(model, file, plan, _published(tier, plan), tier.basis)


def _curated(choices: list[Choice], tier: Tier | None) -> Choice | None:
    if tier is None:
        return None
    for one in choices:
        if (one.model.id, one.file.quant) == (tier.model, tier.quant):
            return replace(one, tokens_s=_published(tier, one.plan), basis=tier.basis)
    return None


def _published(tier: Tier, plan: Plan) -> tuple[float, float]:
    low, high = tier.tokens_s
    if low is None and high is None:
        return _about(plan.tokens_s)
    return (low or high or 0.0, high or low or 0.0)


def _about(tokens_s: float) -> tuple[float, float]:
    """An estimate is a range: a third either way is what the published figures scatter."""
    return tokens_s * 0.8, tokens_s * 1.2


def _bits(choice: Choice) -> float:
    """Bits per weight."""
    return choice.file.size_bytes * 8 / (choice.model.params_b * 1e9)


def _value(choice: Choice) -> float:
    """Quality less what coarse quantization costs (bits per weight; below 3 nobody measured)."""
    bits = _bits(choice)
    if bits >= 4.3:
        loss = -min(1.5, (bits - 4.3) * 0.5)
    else:
        loss = (4.3 - bits) * 3.5 + max(0.0, 3.0 - bits) * 12
    return choice.model.quality - loss


def _worth(choice: Choice) -> float:
    speed = max(0.5, _speed(choice))
    bonus = 6 * math.log2(min(speed, 60) / 20)
    if speed < _USABLE_TOKENS_S:
        bonus -= 12 * math.log2(_USABLE_TOKENS_S / speed)
    return _value(choice) + bonus


def _speed(choice: Choice) -> float:
    """Computed, so that two models compare alike; published figures are for showing."""
    return choice.plan.tokens_s


def _in_step(
    choice: Choice | None, best: Choice, catalogue: Catalogue, hardware: Hardware
) -> Choice | None:
    """An alternative's speed, scaled as published figures stand to computed ones: those for the
    same model on machines of this kind, else that for `best`; a model that lies beside the card
    more than `best` does is promised no more than computed."""
    if choice is None or best.basis == "computed":
        return choice
    ratio = sum(best.tokens_s) / 2 / max(best.plan.tokens_s, 0.1)
    if choice.model.id != best.model.id:
        if choice.plan.on_gpu_share < best.plan.on_gpu_share - 0.05:
            ratio = min(1.0, ratio)
        ratio = min([ratio, *_published_ratios(choice.model.id, catalogue, hardware)])
        return replace(choice, tokens_s=_about(choice.plan.tokens_s * ratio))
    low, high = _about(choice.plan.tokens_s * ratio)
    if choice.file.size_bytes > best.file.size_bytes:
        low, high = min(low, best.tokens_s[0]), min(high, best.tokens_s[1])
    return replace(choice, tokens_s=(low, high))


def _published_ratios(model_id: str, catalogue: Catalogue, hardware: Hardware) -> Iterator[float]:
    """Published speeds of a model over computed ones, on machines with the same processors. With
    one memory for all, computed figures compare better than those scaled from other machines."""
    if hardware.unified:
        return
    cards = [gpu.name for gpu in hardware.gpus]
    for machine_id, tier, choice in plan_table(catalogue):
        machine = catalogue.machine(machine_id)
        alike = [gpu.name for gpu in machine.gpus] == cards
        if alike and choice is not None and tier.model == model_id and choice.plan.tokens_s:
            yield sum(choice.tokens_s) / 2 / choice.plan.tokens_s


def _gpu_bytes(hardware: Hardware) -> int:
    return sum(gpu.limit_bytes for gpu in hardware.gpus)


def _bandwidth(hardware: Hardware) -> float:
    return max((gpu.bandwidth_bytes_s for gpu in hardware.gpus), default=0.0)
