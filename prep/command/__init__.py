"""Options and progress output, which the commands of prep share."""
