"""A run in Weights & Biases: live, and again from its files."""
