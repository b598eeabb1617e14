"""The engine process: the only package that imports llama_cpp; never imports Qt."""
