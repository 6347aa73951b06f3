"""The commands, one per file, with their options and texts. Each loads the package that does the work when it runs."""
