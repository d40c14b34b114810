"""One module per command: `vsd NAME`."""
