"""What is drawn for each sample, and what each operator does to it."""
