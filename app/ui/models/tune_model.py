"""One model's own settings: memory, precision, sampling, instructions; with its memory drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.core.control import KvType
from app.library.model_settings import MAX_PROMPT_CHARS, MIN_CTX_TOKENS, ModelSettings
from app.ui.models.memory_bar import MemoryBar
from app.ui.models.values import MemoryPicture, context_text
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint
from app.ui.tune_dialog import DIALS

_PREVIEW_DELAY_MS = 150
_PRECISIONS: tuple[tuple[str, str], ...] = (
    ("", "As recommended"),
    ("f16", "Full (16 bit)"),
    ("q8_0", "Half the size (8 bit)"),
    ("q4_0", "Quarter of the size (4 bit)"),
)


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What can be set, and what is recommended. Layers or experts 0: there is nothing to set."""

    max_ctx: int
    recommended_ctx: int
    layers: int = 0
    recommended_layers: int = 0
    expert_layers: int = 0
    recommended_experts: int = 0


Preview = Callable[[ModelSettings], tuple[MemoryPicture, str]]
"""For settings: their memory as a picture, and one sentence about them."""


class ModelSettingsDialog(QDialog):
    """Emits `saved` with what the user fixed; everything else stays as recommended."""

    saved = Signal(object)  # ModelSettings

    def __init__(
        self,
        title: str,
        settings: ModelSettings,
        limits: ModelLimits,
        sampling: Mapping[str, float],
        preview: Preview,
        theme: Theme,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings for {}").format(title))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._theme = theme
        self._preview = preview
        self._row = 0
        self._body = QWidget(self)
        self._grid = QGridLayout(self._body)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(7)
        self._grid.setColumnStretch(2, 1)
        self._boxes: dict[str, tuple[QCheckBox, QSpinBox | QDoubleSpinBox]] = {}
        self._add_memory(settings, limits)
        self._add_sampling(settings, sampling)
        self.prompt = QPlainTextEdit(settings.system_prompt, self._body)
        self._add_prompt()
        self.picture = MemoryBar(theme, self)
        self._words = QLabel(self)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._words.setWordWrap(True)
        self._lay_out()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PREVIEW_DELAY_MS)
        self._pause.timeout.connect(self._show_preview)
        for check, box in self._boxes.values():
            check.toggled.connect(self._pause.start)
            box.valueChanged.connect(self._pause.start)
        self.precision.currentIndexChanged.connect(self._pause.start)
        self._show_preview()

    def values(self) -> ModelSettings:
        """What the user fixed."""
        sampling = {
            dial.key: value for dial in DIALS if (value := self._value(dial.key)) is not None
        }
        layers, experts = self._value("layers"), self._value("experts")
        return ModelSettings(
            n_ctx=int(self._value("ctx") or 0),
            n_gpu_layers=None if layers is None else int(layers),
            n_cpu_moe=None if experts is None else int(experts),
            kv_type=cast(KvType, self.precision.currentData() or None),
            sampling=sampling,
            system_prompt=self.prompt.toPlainText().strip()[:MAX_PROMPT_CHARS],
        )

    def reset(self) -> None:
        """Back to recommended, in the dialog only until it is saved."""
        for check, _box in self._boxes.values():
            check.setChecked(False)
        self.precision.setCurrentIndex(0)
        self.prompt.clear()

    # -- building ---------------------------------------------------------------------------

    def _add_memory(self, settings: ModelSettings, limits: ModelLimits) -> None:
        self._add_title(self.tr("Memory"))
        ctx = _whole(self._body, min(MIN_CTX_TOKENS, limits.max_ctx), limits.max_ctx, 1024)
        ctx.setGroupSeparatorShown(True)
        ctx.setValue(settings.n_ctx or limits.recommended_ctx)
        self._add("ctx", self.tr("Conversation memory"), ctx, bool(settings.n_ctx), "")
        ctx.valueChanged.connect(lambda value: self._tip("ctx", _ctx_tip(value)))
        self._tip("ctx", _ctx_tip(ctx.value()))
        if limits.layers:
            box = _whole(self._body, 0, limits.layers, 1)
            fixed = settings.n_gpu_layers
            all_of_them = fixed is not None and fixed < 0
            shown = limits.recommended_layers if fixed is None else fixed
            box.setValue(limits.layers if all_of_them else shown)
            tip = self.tr("How many of the model's {} layers work on the graphics card.")
            self._add(
                "layers",
                self.tr("Layers on the graphics card"),
                box,
                fixed is not None,
                tip.format(limits.layers),
            )
        if limits.expert_layers:
            box = _whole(self._body, 0, limits.expert_layers, 1)
            fixed = settings.n_cpu_moe
            box.setValue(limits.recommended_experts if fixed is None else fixed)
            self._add(
                "experts",
                self.tr("Layers with experts in main memory"),
                box,
                fixed is not None,
                self.tr("More of them leave room on the graphics card; answers come slower."),
            )
        self.precision = QComboBox(self._body)
        for value, title in _PRECISIONS:
            self.precision.addItem(title, value)
        self.precision.setCurrentIndex(max(0, self.precision.findData(settings.kv_type or "")))
        self.precision.setFixedWidth(round(self._theme.em() * 8))
        label = QLabel(self.tr("&Precision of that memory"), self._body)
        label.setBuddy(self.precision)
        self.precision.setAccessibleName(self.tr("Precision of the conversation memory"))
        self._grid.addWidget(label, self._row, 0)
        self._grid.addWidget(self.precision, self._row, 1)
        tip = self.tr("Smaller makes room for longer conversations; may cost a little quality.")
        self._grid.addWidget(self._small(tip), self._row, 2)
        self._row += 1

    def _add_sampling(self, settings: ModelSettings, sampling: Mapping[str, float]) -> None:
        self._add_title(self.tr("How it writes"))
        for dial in DIALS:
            if dial.key == "seed":
                continue
            value = settings.sampling.get(dial.key, sampling.get(dial.key, dial.usual))
            box: QSpinBox | QDoubleSpinBox
            if dial.decimals:
                box = QDoubleSpinBox(self._body)
                box.setDecimals(dial.decimals)
                box.setRange(dial.low, dial.high)
                box.setSingleStep(dial.step)
                box.setValue(float(value))
            else:
                box = _whole(self._body, int(dial.low), int(dial.high), 1)
                box.setValue(int(value))
            self._add(dial.key, dial.words, box, dial.key in settings.sampling, dial.tip)

    def _add_prompt(self) -> None:
        self._add_title(self.tr("Standing instructions"))
        self.prompt.setPlaceholderText(
            self.tr("New chats with this model begin with these words. Empty: those of all chats.")
        )
        self.prompt.setAccessibleName(self.tr("Standing instructions for this model"))
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(self.fontMetrics().lineSpacing() * 4 + 14)
        self._grid.addWidget(self.prompt, self._row, 0, 1, 3)
        self._row += 1

    def _lay_out(self) -> None:
        area = QScrollArea(self)
        make_slim(area)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._grid.setContentsMargins(0, 0, 10, 0)
        area.setWidget(self._body)
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Save | kinds.Cancel, self)
        role = QDialogButtonBox.ButtonRole.ResetRole
        back = buttons.addButton(self.tr("Back to recommended"), role)
        back.clicked.connect(self.reset)
        buttons.accepted.connect(self._on_save)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.picture)
        column.addWidget(self._words)
        column.addWidget(area, 1)
        column.addWidget(buttons)
        self.resize(780, 700)

    def _add_title(self, words: str) -> None:
        label = QLabel(words, self._body)
        font = self._theme.text_font()
        font.setBold(True)
        label.setFont(font)
        if self._row:
            self._grid.setRowMinimumHeight(self._row, round(self._theme.em() * 1.9))
        self._grid.addWidget(label, self._row, 0, 1, 3, Qt.AlignmentFlag.AlignBottom)
        self._row += 1

    def _add(
        self, key: str, words: str, box: QSpinBox | QDoubleSpinBox, fixed: bool, tip: str
    ) -> None:
        check = QCheckBox(words, self._body)
        check.setChecked(fixed)
        check.setToolTip(self.tr("Off: as recommended"))
        box.setEnabled(fixed)
        box.setAccessibleName(words)
        box.setFixedWidth(round(self._theme.em() * 8))
        check.toggled.connect(box.setEnabled)
        self._grid.addWidget(check, self._row, 0)
        self._grid.addWidget(box, self._row, 1)
        self._grid.addWidget(self._small(tip, f"tip-{key}"), self._row, 2)
        self._boxes[key] = (check, box)
        self._row += 1

    def _small(self, words: str, name: str = "") -> QLabel:
        label = QLabel(words, self._body)
        label.setObjectName(name)
        label.setWordWrap(True)
        label.setFont(self._theme.small_font())
        tint(label, self._theme.colors.muted)
        return label

    def _tip(self, key: str, words: str) -> None:
        label = self._body.findChild(QLabel, f"tip-{key}")
        if isinstance(label, QLabel):
            label.setText(words)

    # -- slots ------------------------------------------------------------------------------

    def _value(self, key: str) -> float | None:
        if key not in self._boxes:
            return None
        check, box = self._boxes[key]
        if not check.isChecked():
            return None
        return round(box.value(), 4) if isinstance(box, QDoubleSpinBox) else box.value()

    def _show_preview(self) -> None:
        picture, words = self._preview(self.values())
        self.picture.show_picture(picture)
        self._words.setText(words)

    def _on_save(self) -> None:
        self.saved.emit(self.values())
        self.accept()


def _whole(parent: QWidget, low: int, high: int, step: int) -> QSpinBox:
    box = QSpinBox(parent)
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setCorrectionMode(QAbstractSpinBox.CorrectionMode.CorrectToNearestValue)
    return box


def _ctx_tip(n_ctx: int) -> str:
    words = context_text(n_ctx)
    return f"Tokens; it then {words}."
