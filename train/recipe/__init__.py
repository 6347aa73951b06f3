"""Recipes: every value that decides a run, its bounds, and the shipped recipes. Nothing here imports torch."""
