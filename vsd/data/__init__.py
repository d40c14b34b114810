"""Where samples come from: one file per benchmark, and the DataModule that reads their videos."""
