"""Will it fit, how, and how fast: exact where llama.cpp's rules are exact, labelled where not."""
