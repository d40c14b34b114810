"""What happens around the loop: Lightning's callbacks, and Hydra's before a run and at the end of a multirun."""
