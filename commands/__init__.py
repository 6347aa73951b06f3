"""The commands of `headrace`, one per file, with their options and help texts.

The modules that do the work of a command are imported only when the command runs.
"""
