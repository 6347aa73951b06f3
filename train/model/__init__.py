"""Builds networks by name, with their weights and their training noise, such as dropout."""
