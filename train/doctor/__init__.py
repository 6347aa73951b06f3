"""Where a job loses time, measured a part at a time, and what to change."""
