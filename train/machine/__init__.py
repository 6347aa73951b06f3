"""Describes where a run happens: its device, its number formats, its ranks, and how ranks start and end."""
