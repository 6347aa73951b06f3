"""The commands, one per file, with their options and help. A command imports what it needs only when it runs."""
