"""Numbers and texts for people: the run folder, the terminal."""
