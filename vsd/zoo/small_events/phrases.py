"""The sentences of the answers, in all ways in which they can be put.

An entry has one to three ways, and so has each choice in brackets, `[is|looks like]`: the first is the likeliest of the
habit "target", the last that of "other" (see `habits`). The last ones differ as another writer's would: an adverb
more, a synonym, the clauses in another order. Braces are facts, or other entries: `{moves}`.

How many shapes there are is said when all of them have been told: nobody counts before looking.

No filler is a word that a fact is read from: nothing "shows up", and brightness stays the same, not the light.
"""

from __future__ import annotations

Ways = tuple[str, ...]
_TOTAL = "[That makes {count} {noun}|Altogether {count} {noun} {appear}]"

MOVES: dict[str, Ways] = {
    "still": ("[stays|remains|simply stays] still",),
    "up": ("[moves|goes|slowly moves] up",),
    "down": ("[moves|goes|slowly moves] down",),
    "left": ("[moves|goes|slowly moves] left",),
    "right": ("[moves|goes|slowly moves] right",),
}
EVENT: dict[str, Ways] = {
    "looks": ("The {about} is [a|clearly a] {size} {colour} {shape} [with|that has] a {core} core.",),
    "place": (
        "It [appears|can be seen] in the {shot} shot, at the {row} {column} of the [picture|frame], where it {moves}.",
        "It [appears|can be seen] at the {row} {column} of the [picture|frame] in the {shot} shot, where it {moves}.",
        "In the {shot} shot it [appears|can be seen] at the {row} {column} of the [picture|frame], where it {moves}.",
    ),
    "background": (
        "[While it is there|During this time], the background is {texture} and {tone}.",
        "[While it is there|During this time], the background is {tone} and {texture}.",
    ),
    "alone": ("No other shape [appears|can be seen] in [this|the same] shot.",),
    "company": ("In [this|the same] shot there is also a {company}.",),
    "end": (
        "[After a moment it|Soon it] is gone, and it is not seen again [in the video|until the video ends].",
        "[After a moment it|Soon it] is gone, and it does not come back [in the video|until the video ends].",
    ),
    "pair": ("Of the two, the {earlier} appears [first|earlier].",),
}
ORDER: dict[str, Ways] = {
    "count": (f"{_TOTAL}, one after the other.",),
    "few": (
        "The {about} [is|is simply] a {size} {colour} {shape} at the {row} {column} of the [picture|frame], in the "
        "{shot} shot.",
        "The {about} [is|is simply] a {size} {colour} {shape} in the {shot} shot, at the {row} {column} of the "
        "[picture|frame].",
    ),
    "many": (
        "The {about} is a {colour} {shape} in the {shot} shot.",
        "The {about} comes in the {shot} shot, a {colour} {shape}.",
        "In the {shot} shot the {about} is a {colour} {shape}.",
    ),
    "end": ("[No other shape|Nothing else] appears in the [whole video|video].",),
    "filler": ("Each of them is there for a [moment|short while] only, and [then it is gone|does not come back].",),
}
SHOT: dict[str, Ways] = {
    "background": (
        "In the {shot} shot, [from second {begin} to second {end}|which lasts from second {begin} to second {end}], "
        "the background is {texture} and {tone}.",
        "In the {shot} shot, [from second {begin} to second {end}|which lasts from second {begin} to second {end}], "
        "the background is {tone} and {texture}.",
    ),
    "count": (f"{_TOTAL} in this shot.",),
    "event": (
        "{opening} a {size} {colour} {shape} with a {core} core [appears|can be seen] at the {row} {column} of the "
        "[picture|frame] and {moves}.",
        "{opening} at the {row} {column} of the [picture|frame] a {size} {colour} {shape} with a {core} core "
        "[appears|can be seen] and {moves}.",
    ),
    "first": ("[First|At first]",),
    "later": ("[Then|Later]",),
    "still": ("The camera [does not move|is fixed], and the brightness [stays the same|does not change].",),
    "end": ("Nothing else [happens|can be seen] until the shot [ends|is over].",),
    "empty": ("The [whole picture|picture] stays empty from the beginning of the shot to its end.",),
}
EVERYTHING: dict[str, Ways] = {
    "count": (f"{_TOTAL} in the video.",),
    "background": (
        "The {shot} shot is {texture} and {tone}.",
        "The {shot} shot is {tone} and {texture}.",
    ),
    "event": (
        "A {size} {colour} {shape} at the {row} {column} {moves}.",
        "At the {row} {column} a {size} {colour} {shape} {moves}.",
    ),
    "empty": ("Nothing [happens|appears] in it.",),
    "end": ("The camera [does not move|is fixed], and the brightness [stays the same|does not change].",),
    "filler": ("[No other shape|Nothing else] appears from the beginning to the end of the [video|whole video].",),
}
SHORT: dict[str, Ways] = {
    "colour": ("{colour}", "it is {colour}"),
    "shape": ("a {shape}", "it is a {shape}"),
    "size": ("{size}", "it is {size}"),
    "core": ("{core}", "it is {core}"),
    "row column": ("at the {row} {column}", "the {row} {column}"),
    "motion": ("it {moves}", "{moves}"),
    "shot": ("in the {shot} shot", "the {shot} shot"),
    "count": ("{count}", "{count} {noun}"),
    "texture tone": ("{texture} and {tone}", "{tone} and {texture}"),
    "colour shape": ("the {colour} {shape}", "a {colour} {shape}"),
}
LAYOUTS: dict[str, Ways] = {
    "one": ("looks place background company end", "looks background place company end"),
    "two": ("events pair", "pair events"),
    "event of two": ("looks place background", "looks background place"),
}
