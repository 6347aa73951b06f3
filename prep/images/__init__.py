"""Images one at a time: admitted, resized, drawn."""
