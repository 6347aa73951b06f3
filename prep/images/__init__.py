"""Admits, resizes and draws images one at a time."""
