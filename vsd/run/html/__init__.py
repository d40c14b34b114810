"""The page of a run or a sweep: one HTML file that needs nothing else. `page.py` is where to begin."""
