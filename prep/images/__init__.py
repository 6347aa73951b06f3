"""Checks, converts, resizes and draws single images."""
