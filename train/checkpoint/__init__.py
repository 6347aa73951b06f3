"""What a run saves, and what a later run resumes from."""
