"""How something is timed, in processes of its own and in turns, and how a result is written down."""
