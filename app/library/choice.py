"""Which model to load when nobody said which, and how."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.core.control import LoadSpec
from app.library.catalogue import load_catalogue
from app.library.disk import boot_id
from app.library.facts import ModelFacts
from app.library.fit.plan import MIN_CTX, Wish, make_plan
from app.library.hardware import Hardware, detect_hardware
from app.library.model_settings import ModelSettings, ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.records import InstalledModel
from app.library.store import Store

# SmolLM2's model card; at higher temperatures a model this small soon writes nonsense.
_STARTER_SAMPLING = {"temperature": 0.2, "top_p": 0.9}


@dataclass(frozen=True, slots=True)
class LoadKnowledge:
    """What this machine and its user know about loading single models."""

    settings: ModelSettingsFile
    outcomes: Outcomes


def usual_model(store: Store, last_used: str = "") -> InstalledModel | None:
    """The model used last, else the newest real one, else the starter; None with none installed."""
    models = [model for model in store.installed() if model.is_present]
    for model in models:
        if model.model_id == last_used:
            return model
    real = [model for model in models if not model.is_starter]
    return next(iter(real or models), None)


def load_spec_for(
    name: str | None,
    store: Store,
    *,
    last_used: str = "",
    wish: Wish | None = None,
    hardware: Hardware | None = None,
    freed_bytes: int = 0,
    known: LoadKnowledge | None = None,
    ordered: Wish | None = None,
) -> LoadSpec | None:
    """How to load an installed model or a GGUF's path; without a name the usual model.

    The spec is the plan for what is free now, around what the user fixed: `wish` for all models,
    over it what `known` holds for this one, over that what was `ordered` for this time.
    `freed_bytes` is what a loaded model gives back first. None when no name was given and nothing
    is installed.

    Raises: ModelNotFound, BadModelFile, UnsupportedModel, VerificationFailed.
    """
    model = store.find(name) if name else usual_model(store, last_used)
    if model is None:
        return None
    if model.unsettled_boot not in ("", boot_id()):
        store.verify(model.model_id)  # the power went soon after it was installed
    machine = hardware or detect_hardware(store.root, measure=False)
    own = known.settings.get(model.model_id) if known else ModelSettings()
    own = own.bounded(model.facts)
    fixed = _over(own.over(wish or Wish()), ordered or Wish())
    plan = make_plan(model.facts, machine, fixed, now=True, freed_bytes=freed_bytes)
    spec = plan.spec(str(model.path), model.model_id)
    if known and not own.fixes_memory and (ordered is None or ordered == Wish()):
        spec = known.outcomes.apply(spec)
    return replace(spec, sampling={**recommended_sampling(model), **own.sampling})


def _over(wish: Wish, ordered: Wish) -> Wish:
    """`wish` with what was ordered in its place."""
    return Wish(
        ordered.n_ctx or wish.n_ctx,
        ordered.n_parallel or wish.n_parallel,
        ordered.kv_type or wish.kv_type,
        ordered.n_gpu_layers if ordered.n_gpu_layers is not None else wish.n_gpu_layers,
        ordered.n_cpu_moe if ordered.n_cpu_moe is not None else wish.n_cpu_moe,
    )


def recommended_sampling(model: InstalledModel) -> dict[str, float]:
    """The maker's sampling values for a catalogued model; empty for any other."""
    if model.is_starter:
        return dict(_STARTER_SAMPLING)
    catalogue = load_catalogue()
    found = catalogue.by_hash(model.files[0].sha256) or catalogue.by_name(model.path.name)
    return dict(found[0].sampling) if found else {}


def smaller_spec(spec: LoadSpec, facts: ModelFacts, *, has_gpu: bool = True) -> LoadSpec | None:
    """The next smaller plan after an out-of-memory at load; None when nothing is left to save.

    In order: fewer sequences, half the context, a compressed cache, more work beside the GPU. Where
    that is no discrete one (`has_gpu` False) nothing can go beside it.
    """
    if spec.n_parallel > 1:
        return replace(spec, n_parallel=1)
    if spec.n_ctx > 16_384:
        return replace(spec, n_ctx=spec.n_ctx // 2)
    if spec.kv_type == "f16":
        return replace(spec, kv_type="q8_0")
    if has_gpu and facts.n_experts and spec.n_gpu_layers and spec.n_cpu_moe < facts.n_layers:
        return replace(spec, n_cpu_moe=min(facts.n_layers, spec.n_cpu_moe + facts.n_layers // 4))
    layers = facts.n_layers + 1 if spec.n_gpu_layers < 0 else spec.n_gpu_layers
    if has_gpu and layers > 0 and spec.n_gpu_layers != 0:
        return replace(spec, n_gpu_layers=max(0, layers - max(1, facts.n_layers // 4)))
    if spec.n_ctx > MIN_CTX:
        return replace(spec, n_ctx=max(MIN_CTX, spec.n_ctx // 2))
    return None


def smaller_words(old: LoadSpec, new: LoadSpec) -> str:
    """What a smaller plan gives up, for people."""
    if new.n_ctx < old.n_ctx:
        return f"with room for {new.n_ctx:,} tokens instead of {old.n_ctx:,}"
    if new.kv_type != old.kv_type:
        return "with a more tightly packed conversation memory"
    if new.n_parallel < old.n_parallel:
        return "with one answer at a time"
    return "with more of it beside the graphics memory, which is slower"
