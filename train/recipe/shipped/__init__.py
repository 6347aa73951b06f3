"""The shipped recipes, as TOML files in this folder."""
