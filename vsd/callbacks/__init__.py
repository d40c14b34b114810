"""What happens around the loop: Lightning's callbacks, and Hydra's at the end of a multirun."""
