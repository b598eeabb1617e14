"""Grammars (GBNF) for JSON schemas and for forced tool calls."""
