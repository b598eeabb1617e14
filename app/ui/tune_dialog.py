"""Instructions and sampling of one chat; what is left alone stays as the model recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPlainTextEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.ui.theme import Theme, tint


@dataclass(frozen=True, slots=True)
class Dial:
    """One sampling value: its name on the wire, words, bounds, step, and usual value."""

    key: str
    words: str
    tip: str
    low: float
    high: float
    step: float
    usual: float
    decimals: int = 2


DIALS = (
    Dial("temperature", "Temperature", "Higher is more varied, 0 always the likeliest word.",
         0.0, 2.0, 0.05, 0.8),
    Dial("top_p", "Top p", "Only the likeliest words that together reach this share.",
         0.0, 1.0, 0.01, 0.95),
    Dial("top_k", "Top k", "Only this many of the likeliest words; 0 is no limit.",
         0, 1_000, 1, 40, 0),
    Dial("min_p", "Min p", "Leaves out words less likely than this share of the likeliest.",
         0.0, 1.0, 0.01, 0.05),
    Dial("repeat_penalty", "Repeat penalty", "Above 1 repeats itself less.",
         0.5, 2.0, 0.01, 1.0),
    Dial("seed", "Seed", "The same seed and settings give the same answer.",
         0, 2_147_483_647, 1, 42, 0),
)  # fmt: skip


class TuneDialog(QDialog):
    """Emits `saved` with the instructions and only those values the user set."""

    saved = Signal(str, dict)

    def __init__(
        self,
        instructions: str,
        chosen: Mapping[str, float | int],
        recommended: Mapping[str, float],
        cost: str,
        theme: Theme,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("This chat"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._boxes: dict[str, tuple[QCheckBox, QDoubleSpinBox | QSpinBox]] = {}
        self.instructions = QPlainTextEdit(instructions, self)
        self.instructions.setPlaceholderText(
            self.tr("How the model should answer in this chat, for example: “Be brief. Use Go.”")
        )
        self.instructions.setTabChangesFocus(True)
        self.instructions.setMinimumHeight(110)
        title = QLabel(self.tr("&Instructions"), self)
        title.setBuddy(self.instructions)
        note = QLabel(cost, self)
        note.setTextFormat(Qt.TextFormat.PlainText)
        note.setWordWrap(True)
        note.setVisible(bool(cost))
        tint(note, theme.colors.warning)
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        for row, dial in enumerate(DIALS):
            self._add_dial(grid, row, dial, chosen, recommended, theme)
        grid.setColumnStretch(2, 1)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel, self
        )
        back = buttons.addButton(
            self.tr("Back to recommended"), QDialogButtonBox.ButtonRole.ResetRole
        )
        back.clicked.connect(self._on_reset)
        buttons.accepted.connect(self._on_save)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(title)
        column.addWidget(self.instructions, 1)
        column.addWidget(note)
        column.addSpacing(4)
        column.addLayout(grid)
        column.addSpacing(4)
        column.addWidget(buttons)
        self.resize(520, 520)

    def _add_dial(
        self,
        grid: QGridLayout,
        row: int,
        dial: Dial,
        chosen: Mapping[str, float | int],
        recommended: Mapping[str, float],
        theme: Theme,
    ) -> None:
        usual = recommended.get(dial.key, dial.usual)
        box: QDoubleSpinBox | QSpinBox
        if dial.decimals:
            box = QDoubleSpinBox(self)
            box.setDecimals(dial.decimals)
            box.setRange(dial.low, dial.high)
            box.setSingleStep(dial.step)
            box.setValue(float(chosen.get(dial.key, usual)))
        else:
            box = QSpinBox(self)
            box.setRange(int(dial.low), int(dial.high))
            box.setValue(int(chosen.get(dial.key, usual)))
        check = QCheckBox(dial.words, self)
        check.setToolTip(dial.tip)
        check.setChecked(dial.key in chosen)
        box.setEnabled(check.isChecked())
        box.setAccessibleName(dial.words)
        box.setMinimumWidth(110)
        check.toggled.connect(box.setEnabled)
        tip = QLabel(dial.tip, self)
        tip.setWordWrap(True)
        tip.setFont(theme.small_font())
        tint(tip, theme.colors.muted)
        grid.addWidget(check, row, 0)
        grid.addWidget(box, row, 1)
        grid.addWidget(tip, row, 2)
        self._boxes[dial.key] = (check, box)

    def values(self) -> dict[str, float | int]:
        """What the user set."""
        return {
            key: round(box.value(), 4) if isinstance(box, QDoubleSpinBox) else box.value()
            for key, (check, box) in self._boxes.items()
            if check.isChecked()
        }

    def _on_reset(self) -> None:
        for check, _box in self._boxes.values():
            check.setChecked(False)

    def _on_save(self) -> None:
        self.saved.emit(self.instructions.toPlainText().strip(), self.values())
        self.accept()
