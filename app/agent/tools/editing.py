"""What edit and write_file share: the planned bytes, the request that shows them, the write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.agent.diff import unified
from app.agent.parse_check import newly_broken
from app.agent.permissions import digest_of_request
from app.agent.protected import write_asks
from app.agent.services import Services
from app.agent.text_file import decode
from app.agent.types import PermissionRequest, ToolContext, ToolError, ToolOutcome, visible
from app.agent.undo.blobs import digest_of


@dataclass(frozen=True, slots=True)
class Plan:
    """One file's new bytes and the bytes they replace (None: a new file)."""

    path: str
    before: bytes | None
    after: bytes
    note: str = ""

    @property
    def digest(self) -> str:
        """What an approval of this plan is bound to."""
        before = None if self.before is None else digest_of(self.before)
        return digest_of_request(path=self.path, before=before, after=digest_of(self.after))

    def texts(self) -> tuple[str, str]:
        """Both contents as text; "" for what is not text."""
        old = decode(self.before) if self.before is not None else None
        new = decode(self.after)
        return old.text if old else "", new.text if new else ""


def request_for(
    services: Services, plan: Plan, tool: str, context: ToolContext
) -> PermissionRequest:
    """The card for a planned write: always with the diff."""
    verb = "Create" if plan.before is None else "Edit"
    old, new = plan.texts()
    reason = write_asks(plan.path)
    if not reason and plan.before is not None and services.shared_outside(plan.path):
        reason = "It is shared (hard link) with a place outside the folder."
    return PermissionRequest(
        context.call_id,
        tool,
        "edit",
        f"{verb} {visible(plan.path)}",
        digest=plan.digest,
        paths=(plan.path,),
        diff=visible(unified(old, new, plan.path)),
        why=context.why,
        undo="yes",
        protected=f"{plan.path}: {reason}" if reason else "",
        warnings=(plan.note,) if plan.note else (),
    )


def carry_out(
    services: Services,
    plan: Plan,
    context: ToolContext,
    approved: PermissionRequest | None,
    say: Callable[[str], str],
) -> ToolOutcome:
    """Writes the plan if it is what was approved."""
    if approved is None or approved.digest != plan.digest:
        raise ToolError(f"{plan.path} changed since the edit was shown. Read it again.")
    expected = None if plan.before is None else digest_of(plan.before)
    change = services.undo.write(context.call_id, plan.path, plan.after, expected)
    services.ledger.seen[plan.path] = digest_of(plan.after)
    services.ledger.failures.pop(plan.path, None)
    old, new = plan.texts()
    broken = newly_broken(plan.path, old, new)
    text = say(f"+{change.added_lines} -{change.removed_lines} lines")
    if plan.note:
        text += f"\n{plan.note}"
    if broken:
        text += f"\nThe file no longer parses: {broken}. Correct it now."
    return ToolOutcome(
        text,
        display=visible(unified(old, new, plan.path)),
        display_kind="diff",
        changes=(change,),
    )
