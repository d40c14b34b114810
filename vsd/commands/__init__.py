"""One module per command: `python -m vsd.commands.NAME`."""
