"""Three-way merge of lines (diff3): takes one change out of a text that was changed again."""

from __future__ import annotations

from difflib import SequenceMatcher

_MAX_LINES = 20_000


def merge(base: bytes, mine: bytes, theirs: bytes) -> bytes | None:
    """`mine` with the change base → theirs applied; None where both touched the same lines.

    Works on bytes split at "\\n", so encodings and line ends survive. Adjacent changes count as a
    conflict: undo must never guess.
    """
    if mine == base:
        return theirs
    if theirs in (base, mine):
        return mine
    if b"\0" in base[:8192] or b"\0" in mine[:8192]:
        return None
    lines = [text.splitlines(keepends=True) for text in (base, mine, theirs)]
    if any(len(part) > _MAX_LINES for part in lines):
        return None
    return _merge_lines(*lines)


def _merge_lines(base: list[bytes], mine: list[bytes], theirs: list[bytes]) -> bytes | None:
    edits = [(*edit, mine, 0) for edit in _edits(base, mine)]
    edits += [(*edit, theirs, 1) for edit in _edits(base, theirs)]
    edits.sort(key=lambda edit: (edit[0], edit[1], edit[5]))
    out: list[bytes] = []
    at = 0
    last_end, last_side = -1, -1
    for start, end, from_line, to_line, source, side in edits:
        if start <= last_end and side != last_side:
            return None
        out += base[at:start]
        out += source[from_line:to_line]
        at, last_end, last_side = end, end, side
    out += base[at:]
    return b"".join(out)


def _edits(base: list[bytes], other: list[bytes]) -> list[tuple[int, int, int, int]]:
    matcher = SequenceMatcher(None, base, other, autojunk=False)
    return [(i, j, k, m) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]
