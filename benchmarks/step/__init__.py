"""One update of the network: how fast beside others, and what each choice for it brings."""
