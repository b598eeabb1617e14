"""The workspace agent: loop, tools, permissions, sandbox, undo. Knows no widget."""
