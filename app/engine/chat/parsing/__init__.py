"""Streaming parsers of what models write: prose, reasoning and tool calls."""
