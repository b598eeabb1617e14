"""Hardware, catalogue, GGUF headers, fit, downloads and the store of installed models."""
