"""Every command of the window, declared once: name, words, keys, menu."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from app.ui.icons import Icons


@dataclass(frozen=True, slots=True)
class Command:
    """A QAction to be. `keys` are portable text; Ctrl is Command on a Mac."""

    name: str
    menu: str
    words: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    checkable: bool = False
    separator: bool = False
    role: QAction.MenuRole = QAction.MenuRole.NoRole


COMMANDS: tuple[Command, ...] = (
    Command("new_chat", "File", "New Chat", ("Ctrl+N",), "new-chat"),
    Command("switch_chat", "File", "Go to Chat…", ("Ctrl+K",), "search"),
    Command("attach", "File", "Attach Files…", ("Ctrl+O",), "attach"),
    Command("export", "File", "Export Chat…", ("Ctrl+E",), "save", separator=True),
    Command("export_all", "File", "Export All Chats…", ("Ctrl+Shift+E",)),
    Command("import", "File", "Import Chats…", ("Ctrl+Shift+I",)),
    Command("import_folder", "File", "Import a Folder of Chats…", ("Ctrl+Alt+I",)),
    Command("trash", "File", "Move Chat to Trash", ("Ctrl+Backspace",), "trash"),
    Command(
        "quit", "File", "Quit Garret", ("Ctrl+Q",), separator=True, role=QAction.MenuRole.QuitRole
    ),
    Command("copy", "Edit", "Copy", ("Ctrl+C",), "copy"),
    Command("paste", "Edit", "Paste", ("Ctrl+V",)),
    Command("select_all", "Edit", "Select All", ("Ctrl+A",)),
    Command("copy_chat", "Edit", "Copy Chat as Markdown", ("Ctrl+Shift+C",), separator=True),
    Command("find", "Edit", "Find in Chat", ("Ctrl+F",), "search"),
    Command("find_next", "Edit", "Find Next", ("Ctrl+G", "F3")),
    Command("find_previous", "Edit", "Find Previous", ("Ctrl+Shift+G", "Shift+F3")),
    Command("search", "Edit", "Search All Chats", ("Ctrl+Shift+F",), "search"),
    Command("stop", "Chat", "Stop", ("Esc",), "stop"),
    Command("regenerate", "Chat", "Answer Again", ("Ctrl+R",), "refresh"),
    Command("edit_last", "Chat", "Edit Last Question", ("Ctrl+Up",), "edit"),
    Command("copy_answer", "Chat", "Copy Last Answer", ("Ctrl+Alt+C",), "copy"),
    Command("copy_code", "Chat", "Copy Last Code Block", ("Ctrl+Alt+K",), "copy"),
    Command("tune", "Chat", "Instructions and Sampling…", ("Ctrl+I",), "tune", separator=True),
    Command("prompts", "Chat", "Prompt Library…", ("Ctrl+Shift+L",), "prompts"),
    Command("model", "Chat", "Choose Model…", ("Ctrl+M",), "model"),
    Command("focus", "Chat", "Write a Message", ("Ctrl+L",), separator=True),
    Command("rename", "Chat", "Rename Chat…", ("F2",)),
    Command("agent_folder", "Agent", "Choose Folder…", ("Ctrl+Shift+O",), "folder"),
    Command("agent_new", "Agent", "New Task", ("Ctrl+Shift+N",)),
    Command("agent_mode", "Agent", "What the Agent May Do…", ("Ctrl+Shift+M",)),
    Command("agent_allow", "Agent", "Allow Once", ("Ctrl+Shift+Y",), separator=True),
    Command("agent_deny", "Agent", "Don't Allow", ("Ctrl+Shift+D",)),
    Command("agent_next", "Agent", "Next Change", ("F8",), separator=True),
    Command("agent_previous", "Agent", "Previous Change", ("Shift+F8",)),
    Command("agent_keep", "Agent", "Keep Change", ("Ctrl+Shift+K",)),
    Command("agent_undo", "Agent", "Undo Change", ("Ctrl+Shift+J",)),
    Command("agent_keep_all", "Agent", "Keep All Changes", ("Ctrl+Shift+A",), separator=True),
    Command("agent_undo_all", "Agent", "Undo All Changes", ("Ctrl+Alt+Z",)),
    Command("agent_redo", "Agent", "Redo Undone Changes", ("Ctrl+Alt+Y",)),
    Command("agent_split", "Agent", "Side by Side", ("Ctrl+Shift+S",), separator=True),
    Command("agent_servers", "Agent", "More Tools…", ("Ctrl+Shift+T",)),
    Command("demo_reset", "View", "Reset the Demo", ("F5",), "refresh"),
    Command("demo_what", "View", "What Just Happened", ("F6",), "info"),
    Command("sidebar", "View", "Sidebar", ("Ctrl+B",), "sidebar", checkable=True, separator=True),
    Command("archived", "View", "Archived Chats", ("Ctrl+F2",), "archive", checkable=True),
    Command("trashed", "View", "Trash", ("Ctrl+F3",), "trash", checkable=True),
    Command("zoom_in", "View", "Larger Text", ("Ctrl++", "Ctrl+="), separator=True),
    Command("zoom_out", "View", "Smaller Text", ("Ctrl+-",)),
    Command("zoom_reset", "View", "Normal Text Size", ("Ctrl+0",)),
    Command(
        "theme_system",
        "View",
        "Colours like the System",
        ("Ctrl+F6",),
        checkable=True,
        separator=True,
    ),
    Command("theme_light", "View", "Light", ("Ctrl+F7",), checkable=True),
    Command("theme_dark", "View", "Dark", ("Ctrl+F9",), checkable=True),
    Command(
        "present",
        "View",
        "Presentation Mode",
        ("Ctrl+Shift+P",),
        "present",
        checkable=True,
        separator=True,
    ),
    Command("reset_view", "View", "Reset View", ("Ctrl+Shift+0",)),
    Command("guide", "Help", "Guide", ("F1",), "info"),
    Command("search_help", "Help", "Search the Guide…", ("Ctrl+Shift+H",), "search"),
    Command("log", "Help", "Log for a Bug Report…", ("F9",), separator=True),
    Command("doctor", "Help", "Check This Computer…", ("F7",)),
    Command("keys", "Help", "Keyboard Map", ("Ctrl+/",)),
    Command("licences", "Help", "Licences…", ("Ctrl+F1",)),
    Command(
        "about", "Help", "About Garret", ("Shift+F1",), "info", role=QAction.MenuRole.AboutRole
    ),
)
MENUS = ("File", "Edit", "Chat", "Agent", "View", "Help")


def build_actions(window: QMainWindow, icons: Icons) -> dict[str, QAction]:
    """The actions by name, already in the window's menu bar."""
    bar = window.menuBar()
    menus: dict[str, QMenu] = {}
    for name in MENUS:
        menu = bar.addMenu(window.tr(name))
        menu.setObjectName(f"menu-{name}")
        menus[name] = menu
    actions: dict[str, QAction] = {}
    for command in COMMANDS:
        menu = menus[command.menu]
        if command.separator:
            menu.addSeparator()
        action = menu.addAction(window.tr(command.words))
        action.setObjectName(command.name)
        action.setShortcuts([QKeySequence(keys) for keys in command.keys])
        action.setCheckable(command.checkable)
        action.setMenuRole(command.role)
        action.setIconVisibleInMenu(False)
        if command.icon:
            icons.bind(action, command.icon)
        window.addAction(action)  # so that its keys work while the menu bar is hidden
        actions[command.name] = action
    return actions
