"""SQLite: chats, messages, search, prompts; backups, export and import."""
