"""Measures one update of the network: its rate beside other implementations, and the effect of each design choice."""
