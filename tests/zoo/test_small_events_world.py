"""SmallEvents' scenes and frames: what is drawn, how often, where, and whether the labels say what the pixels show."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from vsd.zoo.small_events import drawing, world

SCENES = [world.scene(seed) for seed in range(500)]
EVENTS = [event for scene in SCENES for event in scene.events]
SHOTS = [shot for scene in SCENES for shot in scene.shots]


def bare(scene: world.Scene) -> world.Scene:
    return replace(scene, events=())


def drawn(scene: world.Scene, frame: int, side: int = drawing.SIDE) -> NDArray[np.bool_]:
    """Where the frame shows anything but the background."""
    shown_HW: NDArray[np.bool_] = (
        drawing.render(scene, [frame], side) != drawing.render(bare(scene), [frame], side)
    ).any(-1)[0]
    return shown_HW


def test_a_scene_is_a_function_of_its_seed_and_length() -> None:
    assert world.scene(5) == world.scene(5, shots=4)
    assert world.scene(5) != world.scene(6)
    assert world.scene(5).shots[:2] != world.scene(5, shots=2).shots


@pytest.mark.parametrize("name", [*world.LOOKS, *world.BACKGROUNDS])
def test_every_value_is_drawn_equally_often(name: str) -> None:
    values = {**world.LOOKS, **world.BACKGROUNDS}[name]
    counts = Counter(getattr(one, name) for one in (EVENTS if name in world.LOOKS else SHOTS))
    total, share = sum(counts.values()), 1 / len(values)
    assert set(counts) == set(values)
    error = np.sqrt(total * share * (1 - share))
    assert max(abs(count - total * share) for count in counts.values()) < 3.5 * error


def test_the_number_of_events_grows_with_the_length() -> None:
    assert {len(scene.events) for scene in SCENES} == {3, 4, 5, 6}
    assert {len(world.scene(seed, shots=2).events) for seed in range(50)} == {2, 3}
    assert {len(world.scene(seed, shots=6).events) for seed in range(100)} == {5, 6, 7, 8, 9}
    assert len(world.scene(0, shots=1).events) == 1
    assert len(world.scene(0, shots=40).events) <= 40  # no two alike
    assert world.scene(0, shots=40).frames == 640


def test_events_can_be_told_apart() -> None:
    for scene in SCENES[:200]:
        assert max(Counter(event.colour for event in scene.events).values()) <= 2
        assert len({(event.colour, event.shape) for event in scene.events}) == len(scene.events)
        assert list(scene.events) == sorted(scene.events, key=lambda event: event.start)
        for number in range(len(scene.shots)):
            pair = scene.during(number)
            assert len(pair) <= 2
            assert len({(event.row, event.column) for event in pair}) == len(pair)
            assert len(pair) < 2 or pair[1].start - pair[0].start >= 4
        for one, other in zip(scene.shots, scene.shots[1:], strict=False):
            assert (one.texture, one.tone) != (other.texture, other.tone)


def test_an_event_lasts_three_or_four_of_qwens_tokens_in_one_shot() -> None:
    assert {event.frames for event in EVENTS} == {6, 8}
    for event in EVENTS:
        assert event.start % 2 == 0
        assert event.start // 16 == (event.start + event.frames - 1) // 16 == event.shot


@pytest.mark.parametrize("per_token", [1, 2])
def test_labels_say_what_the_pixels_show(per_token: int) -> None:
    for scene in SCENES[:5]:
        tokens = np.arange(scene.frames // per_token)
        cells = drawing.cell_labels(scene, tokens, per_token)
        assert (cells.event_TGG >= 0).sum() == sum(event.frames // per_token for event in scene.events)
        for token in tokens:
            frame = int(token) * per_token
            shown = drawn(scene, frame)
            here = [(number, event) for number, event in enumerate(scene.events) if event.on(frame)]
            assert shown.any() == bool(here)
            assert sorted(cells.event_TGG[token][cells.event_TGG[token] >= 0]) == [number for number, _ in here]
            grid = shown.reshape(5, 28, 5, 28)
            labelled = cells.event_TGG[token] >= 0
            assert not here or grid.sum((1, 3))[labelled].sum() >= 0.75 * shown.sum()
            assert cells.shot_T[token] == frame // 16


@pytest.mark.parametrize("per_token", [1, 2])
def test_tokens_of_events_are_those_that_are_labelled(per_token: int) -> None:
    for scene in SCENES[:20]:
        cells = drawing.cell_labels(scene, np.arange(scene.frames // per_token), per_token)
        for number, event in enumerate(scene.events):
            labelled = np.flatnonzero(cells.event_TGG.ravel() == number)
            assert drawing.tokens_of([event.shown], per_token) == labelled.tolist()
            assert len(labelled) == event.frames // per_token
        shown = [world.Shown(*event.shown) for event in scene.events]
        assert drawing.tokens_of(shown, per_token) == np.flatnonzero(cells.event_TGG.ravel() >= 0).tolist()


def test_a_labelled_cell_holds_the_colour_of_its_event() -> None:
    for scene in SCENES[:40]:
        for number, event in enumerate(scene.events):
            frame = event.start + 2
            cells = drawing.cell_labels(scene, [frame], 1)
            ((row, column),) = np.argwhere(cells.event_TGG[0] == number)
            cell = drawing.render(scene, [frame])[0, row * 28 : row * 28 + 28, column * 28 : column * 28 + 28]
            close = (np.abs(cell.astype(int) - event.rgb).max(-1) <= 2).sum()
            assert close >= 10
            named = dict(zip(drawing.LABELS, cells.kinds_TGGK[0, row, column], strict=True))
            values = {name: drawing.LABELS[name][index - 1] for name, index in named.items()}
            shot = scene.shots[event.shot]
            looks = {name: getattr(event, name) for name in world.LOOKS}
            assert values == {**looks, "texture": shot.texture, "tone": shot.tone}
            empty = cells.kinds_TGGK[0][cells.event_TGG[0] < 0]
            assert not empty[:, : len(world.LOOKS)].any()
            assert (empty[:, len(world.LOOKS) :] > 0).all()


def test_shapes_move_as_they_are_labelled() -> None:
    for event in EVENTS[:200]:
        first, last = (drawing.centre_of(event, event.start + frame) for frame in (0, event.frames - 1))
        way = np.sign(np.subtract(last, first))
        assert tuple(way) == world.MOTIONS[event.motion]
        row, column = drawing.cell_of(event)
        for x, y in (first, last):  # never out of its cell
            assert (int(y // 28), int(x // 28)) == (row, column)


def test_what_moves_leaves_a_ghost_behind() -> None:
    event = replace(EVENTS[0], motion="right", row="middle", column="centre")
    scene = world.Scene(tuple(SCENES[0].shots), (event,))
    shown = np.argwhere(drawn(scene, event.start + 3))[:, 1]
    x = drawing.centre_of(event, event.start + 3)[0]
    assert x - shown.min() > shown.max() - x + 4


@pytest.mark.parametrize("tone", world.TONES)
def test_the_light_tells_place_and_shot(tone: str) -> None:
    shots = tuple(world.Shot("flat", tone, world.TONES[tone], 0) for _ in range(6))
    scene = world.Scene(shots, ())
    frames = drawing.render(scene, range(0, 96, 16)).astype(int)
    red, green, blue = (frames[..., channel] for channel in range(3))
    assert ((red[:, :, 126:] - red[:, :, :14]) > 30).all()
    assert ((blue[:, 126:] - blue[:, :14]) > 30).all()
    assert (np.diff(green.mean((1, 2))) == 10).all()


def test_tones_are_what_they_are_called() -> None:
    levels = np.array(list(world.TONES.values()))
    for scene in SCENES[:20]:
        frames = drawing.render(bare(scene), range(0, 64, 16)).mean((1, 2, 3))
        nearest = [list(world.TONES)[int(np.abs(levels - level).argmin())] for level in frames]
        assert nearest == [shot.tone for shot in scene.shots]


@pytest.mark.parametrize("side", [84, 112, 140, 224])
def test_frames_of_any_size(side: int) -> None:
    scene = SCENES[0]
    event = scene.events[0]
    frame = event.start + 2
    assert drawing.render(scene, [0, frame], side).shape == (2, side, side, 3)
    row, column = drawing.cell_of(event, side)
    shown = drawn(world.Scene(scene.shots, (event,)), frame, side)
    assert shown[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28].sum() >= 0.75 * shown.sum() > 0


@pytest.mark.parametrize("side", [0, 56, 100])
def test_a_side_without_cells_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match=rf"side: must be a multiple of 28, at least 84, got {side}"):
        drawing.render(SCENES[0], [0], side)


def test_noise_is_grey_and_from_its_seed() -> None:
    plain = drawing.render(SCENES[0], [0, 1]).astype(int)
    noisy, again = (drawing.render(SCENES[0], [0, 1], noise=3.0, rng=np.random.default_rng(1)) for _ in range(2))
    assert (noisy == again).all()
    grain = noisy - plain
    inner = (plain > 20).all(-1) & (plain < 235).all(-1)
    assert (grain[inner] == grain[inner][:, :1]).all()
    assert 2.8 < grain[inner].std() < 3.2
    assert (grain[0] != grain[1]).any()


def test_the_contact_sheet_has_a_row_a_shot() -> None:
    scene = SCENES[0]
    sheet = drawing.contact_sheet(scene)
    assert sheet.shape == (4 * 140, 8 * 140, 3)
    assert (sheet[140:280, 280:420] == drawing.render(scene, [20])[0]).all()
