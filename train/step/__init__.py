"""One optimizer update, and how it is computed."""
