"""What the commands of prep share: options and progress."""
