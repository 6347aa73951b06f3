"""What a run says and leaves behind, as plain values and text; without torch."""
