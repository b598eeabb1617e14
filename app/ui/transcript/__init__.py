"""The conversation on screen: Markdown cut into blocks, blocks into cells, few cells alive."""
