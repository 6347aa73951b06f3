"""Records a run: the lines that it prints and the files that it writes, as plain values and text, without torch."""
