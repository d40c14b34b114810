"""SmallEvents: long clips in which small things happen, and one of them is asked for.

`world` draws scenes, `drawing` shows them as frames, `questions`, `short` and `asking` ask about them, `habits` writes
the answers in the sentences of `phrases`, `reading` reads their facts back, and `write` makes a folder of clips.
"""

from pathlib import Path

CLIPS = (Path(__file__).parent / "clips").resolve()
