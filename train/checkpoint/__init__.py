"""Writes and reads checkpoints: the files that a run saves and from which a later run resumes."""
