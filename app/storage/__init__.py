"""SQLite: chats, messages, search, prompts, agent runs; backups, export and import."""
