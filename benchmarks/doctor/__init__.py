"""Whether `headrace doctor` is right: beside runs, and on jobs that are slowed down without telling it."""
