"""The shipped recipes, as TOML files beside this one."""
