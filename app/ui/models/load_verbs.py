"""What can be done with a model in memory: use it, make room, load less of it, set it up."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject

from app.core.errors import GarretError, OutOfMemory
from app.library.choice import recommended_sampling
from app.library.fit.memory import demands
from app.library.fit.plan import make_plan
from app.library.hardware import Hardware
from app.library.model_settings import MAX_CTX_TOKENS, ModelSettings
from app.library.records import InstalledModel
from app.session.wishes import wish_of
from app.ui.models.desk import Desk
from app.ui.models.mapping import LoadProblem, plan_picture
from app.ui.models.tune_model import ModelLimits, ModelSettingsDialog
from app.ui.models.values import MemoryPicture, context_text
from app.ui.theme import Theme


class LoadVerbs(QObject):
    """Loading goes through the engine's seat; what became of it is in the seat's view."""

    def __init__(self, desk: Desk, theme: Theme, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self._theme = theme
        self._wanted = ""

    def act(self, verb: str, key: str) -> bool:
        """Carries out a verb of this kind; False for any other."""
        tasks, seat = self._desk.tasks, self._desk.seat
        if verb == "use":
            row = self._desk.offered.get(key)
            self.load(row.installed_id if row is not None and row.installed_id else key)
        elif verb == "smaller":
            tasks.start("models-use", seat.load_smaller())
        elif verb == "unload":
            tasks.start("models-use", seat.unload())
        elif verb == "tune":
            tasks.start("models-tune", self.tune(key))
        else:
            return False
        return True

    def load(self, model_id: str) -> None:
        """In place of the one that is loaded: its memory counts as free."""
        self._wanted = model_id
        self._desk.tasks.start("models-use", self._desk.seat.load_model(model_id))

    def note_loading(self, model_id: str | None) -> None:
        """A model is being loaded, whoever asked for it."""
        self._wanted = model_id or self._wanted

    def problem_of(self, model_id: str) -> LoadProblem | None:
        """Why this model is not loaded, if memory was short."""
        error = self._desk.seat.view.error
        if model_id != self._wanted or not isinstance(error, OutOfMemory):
            return None
        return LoadProblem(error.sentence, self._desk.seat.smaller_words())

    async def tune(self, model_id: str) -> None:
        """Opens the model's own settings."""
        desk = self._desk
        try:
            model = await asyncio.to_thread(desk.library.store.find, model_id)
        except GarretError as error:
            desk.say(str(error))
            return
        settings = await asyncio.to_thread(desk.known.settings.get, model_id)
        dialog = self.dialog(model, settings.bounded(model.facts))
        dialog.saved.connect(
            lambda chosen: desk.tasks.start("models-tune", self.save(model, settings, chosen))
        )
        dialog.open()

    def dialog(self, model: InstalledModel, settings: ModelSettings) -> ModelSettingsDialog:
        """The settings of one model with what is recommended for it here."""
        hardware = self._desk.library.hardware
        return ModelSettingsDialog(
            model.title,
            settings,
            self._limits(model, hardware),
            recommended_sampling(model),
            lambda chosen: self._preview(model, chosen, hardware),
            self._theme,
            self._desk.page,
        )

    async def save(
        self, model: InstalledModel, before: ModelSettings, chosen: ModelSettings
    ) -> None:
        """Stores them; a model in use is loaded again where that makes a difference."""
        desk = self._desk
        if chosen == before:
            return
        try:
            await asyncio.to_thread(desk.known.settings.put, model.model_id, chosen)
            if chosen.is_recommended:  # and what an earlier shortage taught is not recommended
                await asyncio.to_thread(desk.known.outcomes.forget, model.model_id)
        except GarretError as error:
            desk.say(str(error))
            return
        loaded = desk.seat.view.model
        if loaded is None or loaded.model_id != model.model_id:
            desk.say(self.tr("Kept for the next time {} is loaded.").format(model.title))
        else:
            desk.say(
                self.tr("Kept. They hold once {} is loaded again.").format(model.title),
                self.tr("Load again"),
                lambda: self.load(model.model_id),
            )
        await desk.refresh()

    def _limits(self, model: InstalledModel, hardware: Hardware) -> ModelLimits:
        facts = model.facts
        plan = make_plan(facts, hardware, wish_of(self._desk.settings))
        layers = facts.n_layers + 1 if hardware.gpus else 0
        chosen = plan.shape.n_gpu_layers
        separate = bool(hardware.gpus) and not hardware.unified
        return ModelLimits(
            max_ctx=min(facts.context_train or MAX_CTX_TOKENS, MAX_CTX_TOKENS),
            recommended_ctx=plan.shape.n_ctx,
            layers=layers,
            recommended_layers=layers if chosen < 0 else chosen,
            expert_layers=facts.n_layers if facts.n_experts and separate else 0,
            recommended_experts=plan.shape.n_cpu_moe,
        )

    def _preview(
        self, model: InstalledModel, chosen: ModelSettings, hardware: Hardware
    ) -> tuple[MemoryPicture, str]:
        wish = chosen.bounded(model.facts).over(wish_of(self._desk.settings))
        plan = make_plan(model.facts, hardware, wish)
        shape = plan.shape
        words = f"It {context_text(shape.n_ctx)} ({shape.n_ctx:,} tokens)"
        if plan.tokens_s >= 1:
            words += f" and writes about {round(plan.tokens_s)} words a second"
        if plan.verdict == "too big":
            needed = sum(one.total_bytes for one in demands(model.facts, shape, n_gpus=0))
            words += f". That needs {needed / 2**30:.1f} GB, more than this machine can give"
        elif plan.verdict == "tight":
            words += ". It is tight: little stays for other programs"
        return plan_picture(plan), f"{words}."
