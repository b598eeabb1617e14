"""From a conversation to token ids, and from generated text back to an answer."""
