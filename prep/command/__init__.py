"""What the commands of prep have in common: their options, and how far they are."""
