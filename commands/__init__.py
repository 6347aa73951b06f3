"""The commands, one per file, with their options and help.

A command imports the modules that do its work only when it runs.
"""
