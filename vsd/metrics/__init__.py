"""From the records of samples to numbers."""
