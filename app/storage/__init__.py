"""SQLite: chats, messages, settings that belong to a chat; migrations."""
