"""Every value that decides a run, its bounds, and the shipped recipes; without torch."""
