"""The guide's page on settings, written from the one list: what the page says cannot differ."""

from __future__ import annotations

from app.core.setting_list import SECTIONS, SETTINGS
from app.core.setting_rules import Setting

_APPLIES = {
    "once": "at once",
    "next load": "when a model is loaded",
    "engine restart": "when the engine starts",
    "next start": "when Garret starts",
}


def settings_page() -> str:
    """Markdown for resources/guide/settings.md."""
    parts = [
        "# Settings",
        "Every setting, its value at first, and when a change takes effect. Garret keeps what you "
        "change in one file, `settings.json`; `garret doctor` says where.",
    ]
    for section in SECTIONS:
        parts.append(f"## {section.title}")
        parts.append(section.help)
        parts += [
            f"**{one.title}** ({default_words(one)}; {_APPLIES[one.applies]}): {one.help}"
            for one in SETTINGS
            if one.section == section.key and not one.hidden
        ]
    return "\n\n".join(parts) + "\n"


def default_words(setting: Setting) -> str:
    """The default as the page shows it, with the bounds where there are any."""
    value = setting.default
    if setting.special is not None and value == setting.special:
        words = setting.special_title
    elif setting.kind == "switch":
        words = "on" if value else "off"
    elif setting.kind == "choice":
        words = dict(setting.choices)[str(value)]
    elif value in ("", ()):
        words = "empty"
    else:
        unit = f" {setting.unit}" if setting.unit else ""
        words = f"{value:,}{unit}" if isinstance(value, int) else f"{value}{unit}"
    if setting.minimum is None or setting.maximum is None:
        return words
    return f"{words}, or {setting.minimum:,g} to {setting.maximum:,.0f} {setting.unit}".rstrip()
