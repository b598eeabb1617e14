"""More tools for the agent: MCP servers the user adds, by hand and for all folders.

Nothing here is ever read from a workspace: a repository must not be able to start programs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.agent.mcp_servers import McpServer
from app.ui.theme import Theme, tint

_EMPTY = McpServer("")


class ServersDialog(QDialog):
    """A list on the left, the chosen server on the right; Save hands over all of them."""

    save_wanted = Signal(tuple)  # of McpServer
    try_wanted = Signal(object)  # McpServer

    def __init__(self, theme: Theme, servers: Sequence[McpServer], parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._servers = list(servers)
        self._row = -1
        self.setWindowTitle(self.tr("More tools for the agent"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("MCP servers"))
        self.list.currentRowChanged.connect(self._on_row)
        self.add = QPushButton(self.tr("Add"), self)
        self.remove = QPushButton(self.tr("Remove"), self)
        self.add.clicked.connect(self._on_add)
        self.remove.clicked.connect(self._on_remove)
        self._make_fields()
        self.verdict = QLabel(self)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setWordWrap(True)
        self.verdict.setMinimumHeight(theme.small_font().pointSize() * 5)
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignTop)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Save | kinds.Cancel, self)
        self.buttons.accepted.connect(self._on_save)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        for server in self._servers:
            self.list.addItem(server.name)
        self.list.setCurrentRow(0 if self._servers else -1)
        self._enable()

    def show_verdict(self, words: str, *, is_problem: bool) -> None:
        """What came of trying a server out, or why the list was not saved."""
        self.verdict.setText(words)
        colors = self._theme.colors
        tint(self.verdict, colors.warning if is_problem else colors.muted)

    def servers(self) -> tuple[McpServer, ...]:
        """All of them, with what is written in the fields now."""
        self._take_fields()
        return tuple(self._servers)

    def _make_fields(self) -> None:
        self.form = QWidget(self)
        self.name = QLineEdit(self.form)
        self.name.textEdited.connect(self._on_name)
        self.kind = QComboBox(self.form)
        self.kind.addItem(self.tr("A program on this computer"), "command")
        self.kind.addItem(self.tr("A web address"), "url")
        self.kind.currentIndexChanged.connect(self._show_kind)
        self.command = QLineEdit(self.form)
        self.command.setPlaceholderText("npx -y @modelcontextprotocol/server-everything")
        self.url = QLineEdit(self.form)
        self.url.setPlaceholderText("http://127.0.0.1:8000/mcp")
        self.pairs = QPlainTextEdit(self.form)
        self.pairs.setTabChangesFocus(True)
        self.pairs.setFixedHeight(round(self._theme.em() * 4.4))
        self.enabled = QCheckBox(self.tr("Use it"), self.form)
        self.try_it = QPushButton(self.tr("Try it out"), self.form)
        self.try_it.setToolTip(self.tr("Starts it once and lists its tools"))
        self.try_it.clicked.connect(self._on_try)

    def _lay_out(self) -> None:
        self._command_label = QLabel(self.tr("Command"), self.form)
        self._url_label = QLabel(self.tr("Address"), self.form)
        self._pairs_label = QLabel(self.form)
        form = QFormLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.tr("Name"), self.name)
        form.addRow(self.tr("Kind"), self.kind)
        form.addRow(self._command_label, self.command)
        form.addRow(self._url_label, self.url)
        form.addRow(self._pairs_label, self.pairs)
        row = QHBoxLayout()
        row.addWidget(self.enabled)
        row.addStretch(1)
        row.addWidget(self.try_it)
        form.addRow("", row)
        for label, field in (
            (self._command_label, self.command),
            (self._url_label, self.url),
            (self._pairs_label, self.pairs),
        ):
            label.setBuddy(field)
        words = QLabel(
            self.tr(
                "MCP servers give the agent more tools: a database, an issue tracker, a browser. "
                "They run outside Garret's fence, so each call asks you. Folders cannot add any."
            ),
            self,
        )
        words.setWordWrap(True)
        tint(words, self._theme.colors.muted)
        few = QHBoxLayout()
        few.addWidget(self.add)
        few.addWidget(self.remove)
        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        left.addLayout(few)
        right = QVBoxLayout()
        right.addWidget(self.form)
        right.addWidget(self.verdict, 1)
        sides = QHBoxLayout()
        sides.setSpacing(16)
        sides.addLayout(left, 2)
        sides.addLayout(right, 5)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addWidget(words)
        column.addLayout(sides, 1)
        column.addWidget(self.buttons)
        self.resize(720, 420)

    def _on_row(self, row: int) -> None:
        self._take_fields()
        self._row = row
        server = self._servers[row] if 0 <= row < len(self._servers) else _EMPTY
        self.name.setText(server.name)
        self.kind.setCurrentIndex(self.kind.findData("url" if server.url else "command"))
        self.command.setText(shlex.join(server.command))
        self.url.setText(server.url)
        self.pairs.setPlainText(_lines(server.headers if server.url else server.env))
        self.enabled.setChecked(server.enabled)
        self.show_verdict("", is_problem=False)
        self._show_kind()
        self._enable()

    def _take_fields(self) -> None:
        if 0 <= self._row < len(self._servers):
            self._servers[self._row] = self._written(self._servers[self._row])

    def _written(self, before: McpServer) -> McpServer:
        pairs = _pairs(self.pairs.toPlainText())
        name = self.name.text().strip() or before.name
        made = replace(before, name=name, enabled=self.enabled.isChecked())
        if self.kind.currentData() == "url":
            url = self.url.text().strip()
            return replace(made, url=url, headers=pairs, command=(), env={})
        try:
            command = tuple(shlex.split(self.command.text()))
        except ValueError:  # a quotation mark is still open
            command = tuple(self.command.text().split())
        return replace(made, url="", headers={}, command=command, env=pairs)

    def _show_kind(self) -> None:
        is_url = self.kind.currentData() == "url"
        for widget in (self.command, self._command_label):
            widget.setVisible(not is_url)
        for widget in (self.url, self._url_label):
            widget.setVisible(is_url)
        self._pairs_label.setText(self.tr("Headers") if is_url else self.tr("Environment"))
        example = "Authorization=Bearer …" if is_url else "API_KEY=…"
        self.pairs.setPlaceholderText(self.tr("One a line: {}").format(example))

    def _on_name(self, text: str) -> None:
        item = self.list.currentItem()
        if item is not None:
            item.setText(text.strip() or self._servers[self._row].name)

    def _on_add(self) -> None:
        taken = {server.name for server in self.servers()}
        number = 1
        while f"server-{number}" in taken:
            number += 1
        self._servers.append(McpServer(f"server-{number}"))
        self.list.addItem(f"server-{number}")
        self.list.setCurrentRow(self.list.count() - 1)
        self.name.setFocus()
        self.name.selectAll()

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self._row = -1
            del self._servers[row]
            self.list.takeItem(row)
            self._on_row(self.list.currentRow())

    def _on_try(self) -> None:
        self._take_fields()
        self.show_verdict(self.tr("Trying…"), is_problem=False)
        self.try_it.setEnabled(False)
        self.try_wanted.emit(self._servers[self._row])

    def show_tried(self, tools: Sequence[str], problem: str) -> None:
        """How `try_wanted` came out."""
        self.try_it.setEnabled(True)
        words = self.tr("It works. Tools: {}").format(", ".join(tools)) if tools else problem
        self.show_verdict(words or self.tr("It has no tools."), is_problem=not tools)

    def _on_save(self) -> None:
        servers = self.servers()
        if problem := self._problem(servers):
            self.show_verdict(problem, is_problem=True)
            return
        self.save_wanted.emit(servers)

    def _problem(self, servers: Sequence[McpServer]) -> str:
        names = [server.name for server in servers]
        for server in servers:
            if not server.command and not server.url:
                return self.tr("{} has neither a command nor an address.").format(server.name)
            if server.url and not server.url.startswith(("http://", "https://")):
                return self.tr("The address of {} must begin with http:// or https://.").format(
                    server.name
                )
            if names.count(server.name) > 1:
                return self.tr("Two servers are called {}.").format(server.name)
        return ""

    def _enable(self) -> None:
        chosen = 0 <= self.list.currentRow() < len(self._servers)
        self.form.setEnabled(chosen)
        self.remove.setEnabled(chosen)


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in pairs.items())


def _pairs(text: str) -> dict[str, str]:
    """KEY=VALUE or KEY: VALUE, one a line."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        places = [at for at in (line.find("="), line.find(":")) if at > 0]
        if places:
            at = min(places)
            found[line[:at].strip()] = line[at + 1 :].strip()
    return found
