"""The commands, one a file: their options and words. Each loads the room that does the work when it is run."""
