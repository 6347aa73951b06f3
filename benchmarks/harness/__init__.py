"""Times contenders in processes of their own and in turns, and writes results."""
