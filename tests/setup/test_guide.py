from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.__main__ import COMMANDS, HIDDEN

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "resources" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
DOCUMENTS = [
    *PAGES,
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / ".github").glob("*.md")),
]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_commands_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`garret ([a-z]+)\b|scripts/run\.py -- ([a-z]+)\b", text):
        assert (name[0] or name[1]) in COMMANDS
    assert not any(f"garret {name}" in text for name in HIDDEN)


def test_every_page_is_in_the_index_and_has_one_title() -> None:
    index = (GUIDE / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        titles = re.findall(r"^# (.+)$", _without_code(page), re.MULTILINE)
        assert len(titles) == 1, page.name
        assert page.name == "index.md" or f"]({page.name})" in index


def test_drawings_fit_a_narrow_page() -> None:
    for page in PAGES:
        for block in re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            assert max(len(line) for line in block.splitlines()) <= 92, page.name


def _without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
