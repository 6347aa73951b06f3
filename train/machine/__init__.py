"""Where a run happens: its device, its number formats, its ranks, their start and their end."""
