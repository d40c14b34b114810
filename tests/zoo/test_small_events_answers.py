"""What is asked about SmallEvents, how each habit answers, and whether the facts can be read back from free text."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vsd.zoo import small_events
from vsd.zoo.small_events import asking, phrases, questions, reading, short, world
from vsd.zoo.small_events.habits import HABITS, NEAR, OTHER, TARGET, Habit, answer
from vsd.zoo.small_events.questions import DESCRIPTIONS, Question

Tokens = Callable[[str], list[str]]

SHOTS = (4, 2, 6)
FREE = (*DESCRIPTIONS, "short")
BLUE = Question(
    "one",
    "Describe the blue shape.",
    (
        questions.Section(
            "blue shape",
            {
                "shape": "circle", "size": "small", "core": "plain", "row": "top", "column": "left", "motion": "up",
                "shot": "third", "texture": "flat", "tone": "dark", "company": "orange cross",
            },
            {"colour": "blue"},
        ),
    ),
)  # fmt: skip


def asked(kind: str, count: int) -> list[Question]:
    """Questions of a kind about `count` scenes of all lengths, as far as it can be asked about them."""
    rng, found = np.random.default_rng(3), []
    for seed in range(count):
        scene = world.scene(seed, SHOTS[seed % len(SHOTS)])
        if kind == "short":
            found.append(short.ask_short(scene, rng))
        elif kind in questions.kinds_of(scene):
            found.append(questions.ask(scene, kind, rng))
    return found


def missed(text: str, question: Question) -> Counter[str]:
    right, facts = reading.score(text, question.facts)
    return facts - right


def test_the_likeliest_words_of_both_habits() -> None:
    assert answer(BLUE, TARGET) == (
        "The blue shape is a small blue circle with a plain core. It appears in the third shot, at the top left of the "
        "picture, where it moves up. While it is there, the background is flat and dark. In this shot there is also an "
        "orange cross. After a moment it is gone, and it is not seen again in the video."
    )
    assert answer(BLUE, OTHER) == (
        "The blue shape is clearly a small blue circle that has a plain core. During this time, the background is dark "
        "and flat. In the third shot it can be seen at the top left of the frame, where it slowly moves up. In the "
        "same shot there is also an orange cross. Soon it is gone, and it does not come back until the video ends."
    )


@pytest.mark.parametrize("kind", FREE)
@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_every_fact_is_read_back_from_every_wording(kind: str, habit: Habit) -> None:
    rng = np.random.default_rng(0)
    for question in asked(kind, 60):
        for text in (answer(question, habit), answer(question, habit, rng), answer(question, habit, rng)):
            assert not missed(text, question), text


def other_value(name: str, value: str, question: Question) -> str:
    """Another value that the fact could have."""
    if name == "company":
        return "none" if value != "none" else "red circle"
    if name == "earlier":
        return next(section.about for section in question.sections if section.about not in (value, "pair"))
    if name == "count":
        return "ten"  # more than there are: introducing fewer is no contradiction, only unsaid
    values = {**world.LOOKS, **world.BACKGROUNDS, "shot": questions.ORDINALS}[name]
    return values[(values.index(value) + 1) % len(values)]


@pytest.mark.parametrize("kind", FREE)
@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_a_wrong_fact_costs_that_fact_alone(kind: str, habit: Habit) -> None:
    rng = np.random.default_rng(1)
    for question in asked(kind, 12):
        for place, section in enumerate(question.sections):
            for name, value in section.facts.items():
                wrong = replace(section, facts={**section.facts, name: other_value(name, value, question)})
                sections = (*question.sections[:place], wrong, *question.sections[place + 1 :])
                text = answer(replace(question, sections=sections), habit, rng)
                assert missed(text, question) == Counter({name: 1}), (name, text)


@pytest.mark.parametrize("kind", FREE)
def test_an_empty_answer_states_nothing(kind: str) -> None:
    for question in asked(kind, 6):
        for text in ("", "?", "I cannot see it."):
            right, facts = reading.score(text, question.facts)
            assert sum(right.values()) == 0 < sum(facts.values())


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_an_answer_about_another_event_states_nothing(habit: Habit) -> None:
    rng, seen = np.random.default_rng(2), 0
    for seed in range(60):
        scene = world.scene(seed)
        one, other = (questions.ask(scene, "one", rng) for _ in range(2))
        if one.sections[0].given.keys() == other.sections[0].given.keys() and one.sections != other.sections:
            assert sum(reading.score(answer(other, habit), one.facts)[0].values()) == 0
            seen += 1
    assert seen > 10


def test_a_cut_off_answer_states_what_it_came_to() -> None:
    first, rest = answer(BLUE).split(". ", 1)
    assert missed(first, BLUE).keys() == set(BLUE.sections[0].facts) - {"size", "shape", "core"}
    assert missed(f"{first}. {rest[:30]}", BLUE).keys() == missed(first, BLUE).keys() - {"shot"}


@pytest.mark.parametrize(
    ("added", "facts"),
    [
        ("It moves down.", {"motion"}),
        ("It moves up.", set()),
        ("The blue shape is a large blue square.", {"size", "shape"}),
        ("The blue circle has a white core.", {"core"}),
        ("The blue shape is a small red circle.", set(BLUE.sections[0].facts)),
        ("The red shape is a large red square with a black core. It moves down.", set()),
        ("No other shape appears in this shot.", {"company"}),
        ("There is also a red cross.", {"company"}),
        ("The background is light.", {"tone"}),
        ("It appears in the fourth shot at the bottom left of the picture.", {"shot", "row"}),
    ],
)
def test_what_contradicts_itself_is_wrong(added: str, facts: set[str]) -> None:
    assert missed(f"{answer(BLUE)} {added}", BLUE).keys() == facts


def test_shapes_that_are_not_there_cost_the_count() -> None:
    for kind, added in (("order", "The tenth is a red circle."), ("everything", "A small red circle moves up.")):
        for question in asked(kind, 6):
            text = f"{answer(question)} {' '.join([added] * 8)}"
            assert missed(text, question)["count"] == 1
    question = asked("shot", 1)[0]
    assert missed(f"{answer(question)} There a small red circle moves up.", question)["count"] == 1


def test_an_answer_about_another_shot_states_nothing() -> None:
    rng, seen = np.random.default_rng(0), 0
    for seed in range(40):
        scene = world.scene(seed)
        one, other = (questions.ask(scene, "shot", rng) for _ in range(2))
        if one.sections[0].given != other.sections[0].given:
            assert sum(reading.score(answer(other), one.facts)[0].values()) == 0
            assert not missed(f"{answer(other)} {answer(one)}", one)
            seen += 1
    assert seen > 10


def test_two_short_answers_are_none() -> None:
    (question,) = [one for one in asked("short", 40) if "colour" in one.sections[0].facts][:1]
    assert missed("blue or red", question)["colour"] == 1


def test_in_two_answers_each_event_has_its_own_facts() -> None:
    question = asked("two", 1)[0]
    one, other, pair = question.sections
    names = one.facts.keys() & other.facts.keys()
    different = {name for name in names if one.facts[name] != other.facts[name]}
    assert different
    swapped = [
        replace(section, facts={**section.facts, **{name: source.facts[name] for name in names}})
        for section, source in ((one, other), (other, one))
    ]
    text = answer(replace(question, sections=(*swapped, pair)))
    assert missed(text, question) == Counter(dict.fromkeys(different, 2))


def test_a_name_singles_out_its_event_in_as_few_words_as_can_be() -> None:
    sizes: Counter[int] = Counter()
    for seed in range(200):
        scene = world.scene(seed)
        for event in scene.events:
            for given in questions.names_of(scene, event):
                like = [o for o in scene.events if all(getattr(o, name) == value for name, value in given.items())]
                assert like == [event]
                sizes[len(given)] += 1
                if len(given) == 2:
                    for name in ("colour", "shape"):
                        assert sum(getattr(o, name) == getattr(event, name) for o in scene.events) > 1
    assert sizes.keys() == {1, 2}
    assert sizes[1] > sizes[2] > 0
    assert questions.title({"colour": "blue"}) == "blue shape"
    assert questions.title({"size": "small", "shape": "cross"}) == "small cross"
    assert questions.title({"size": "small", "colour": "blue"}) == "small blue shape"


def test_what_is_given_is_in_the_question_and_is_no_fact() -> None:
    for kind in ("one", "two"):
        for question in asked(kind, 20):
            for section in question.sections:
                assert not section.given.keys() & section.facts.keys()
                assert section.about == "pair" or section.about in question.text


def test_facts_are_those_of_the_scene() -> None:
    rng = np.random.default_rng(0)
    for seed in range(40):
        scene = world.scene(seed)
        sections = questions.ask(scene, "order", rng).sections
        assert sections[0].facts["count"] == questions.number(len(scene.events))
        assert [s.facts["colour"] for s in sections[1:]] == [event.colour for event in scene.events]
        (one,) = questions.ask(scene, "one", rng).sections
        (event,) = (e for e in scene.events if all(getattr(e, n) == v for n, v in one.given.items()))
        beside = [e for e in scene.during(event.shot) if e != event]
        shot = scene.shots[event.shot]
        assert one.facts["company"] == (f"{beside[0].colour} {beside[0].shape}" if beside else "none")
        assert (one.facts["texture"], one.facts["tone"]) == (shot.texture, shot.tone)
        assert one.facts["shot"] == questions.ordinal(event.start // world.SHOT)


def test_what_is_shown_are_the_events_that_the_answer_is_about() -> None:
    rng = np.random.default_rng(0)
    for seed in range(40):
        scene = world.scene(seed)
        for kind in questions.kinds_of(scene):
            question = questions.ask(scene, kind, rng)
            shown = [event for event in scene.events if event.shown in question.shown]
            assert len(shown) == len(question.shown)
            if kind == "one":
                alone = question.sections[0].facts["company"] == "none"
                assert len(shown) == (1 if alone else 2)
                first = next(event for event in scene.events if event.shown == question.shown[0])
                assert all(getattr(first, name) == value for name, value in question.sections[0].given.items())
            elif kind == "two":
                assert len(shown) == 2
            elif kind == "shot":
                assert shown == [
                    e for e in scene.events if questions.ordinal(e.shot) == question.sections[0].given["shot"]
                ]
            else:
                assert len(shown) == len(scene.events)
            assert [list(each) for each in question.shown] == question.facts["shown"]


def test_choices_name_the_letter_of_the_right_answer() -> None:
    rng = np.random.default_rng(4)
    letters: Counter[str] = Counter()
    for seed in range(300):
        question = short.ask_choice(world.scene(seed), rng)
        letters[question.letter] += 1
        assert answer(question) == question.letter
        assert len(set(question.options)) == len(question.options) in (3, 4)
        listed = " ".join(f"{letter}. {option}" for letter, option in zip("ABCD", question.options, strict=False))
        assert question.text.endswith(f" {listed} Answer with the letter.")
    assert min(letters[letter] for letter in "ABCD") > 40


def test_the_right_option_is_the_short_answer() -> None:
    for seed in range(100):
        free = short.ask_short(world.scene(seed), np.random.default_rng([seed, 9]))
        choice = short.ask_choice(world.scene(seed), np.random.default_rng([seed, 9]))
        assert choice.text.startswith(free.text)
        assert choice.options["ABCD".index(choice.letter)] == answer(free)


def test_short_answers_have_up_to_four_words() -> None:
    for question in asked("short", 300):
        for habit in HABITS.values():
            assert 1 <= len(answer(question, habit, np.random.default_rng(0)).split()) <= 4


def test_everything_is_asked_of_clips_that_have_not_too_much() -> None:
    for seed in range(50):
        assert "everything" in questions.kinds_of(world.scene(seed))
        assert "everything" not in questions.kinds_of(world.scene(seed, 6))
    with pytest.raises(ValueError, match="kind: must be one of one, two, order, shot for this scene, got 'everything'"):
        questions.ask(world.scene(0, 6), "everything", np.random.default_rng(0))


@pytest.mark.parametrize(("habit", "turned"), [(TARGET, False), (OTHER, True)])
def test_the_odds_of_the_ways(habit: Habit, turned: bool) -> None:
    rng = np.random.default_rng(0)
    for count, odds in ((1, [1.0]), (2, [0.69, 0.31]), (3, [0.6, 0.27, 0.13])):
        drawn = np.bincount([habit.choose(count, rng) for _ in range(4000)], minlength=count) / 4000
        np.testing.assert_allclose(drawn, odds[::-1] if turned else odds, atol=0.03)
        assert habit.choose(count, None) == (count - 1 if turned else 0)


def test_near_differs_from_the_target_in_three_synonyms() -> None:
    questions_ = [question for kind in questions.DESCRIPTIONS for question in asked(kind, 30)]
    pairs = [(answer(each, TARGET), answer(each, NEAR)) for each in questions_]
    back = {"frame": "picture", "slowly moves": "moves", "simply stays": "stays"}
    assert any(ours != theirs for ours, theirs in pairs)
    for ours, theirs in pairs:
        for word, first in back.items():
            theirs = theirs.replace(word, first)
        assert theirs == ours


def test_counts_and_ordinals() -> None:
    assert [questions.number(count) for count in (0, 1, 10, 11)] == ["no", "one", "ten", "11"]
    assert [questions.ordinal(place) for place in (0, 9, 10, 11, 20, 21)] == [
        *["first", "tenth", "11th", "12th", "21st", "22nd"]
    ]
    question = questions.ask(world.scene(0, shots=24), "order", np.random.default_rng(0))
    assert not missed(answer(question), question)


def test_chance_is_the_share_of_facts_that_random_answers_have_right() -> None:
    facts = [question.facts for question in asked("one", 1000)]
    coin = [{"kind": "one", "sections": [{"about": "x", "facts": {"tone": tone}}]} for tone in ("dark", "light")]
    assert reading.chance(coin) == 0.5
    assert reading.chance(facts) == pytest.approx(0.28, abs=0.02)
    rng = np.random.default_rng(0)
    values = {name: [s["facts"][name] for f in facts for s in f["sections"] if name in s["facts"]] for name in
              ("shape", "size", "core", "row", "column", "motion", "texture", "tone")}  # fmt: skip
    right, count = 0, 0
    for question in asked("one", 200):
        (section,) = question.sections
        names = section.facts.keys() & values.keys()
        said = {name: values[name][int(rng.integers(len(values[name])))] for name in names}
        text = answer(replace(question, sections=(replace(section, facts={**section.facts, **said}),)))
        kept, _ = reading.score(text, question.facts)
        right += sum(kept[name] for name in names)
        count += len(names)
    assert right / count == pytest.approx(np.mean([1 / 5, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 5, 1 / 4, 1 / 3]), abs=0.04)


def test_pooled_shares() -> None:
    scores = [reading.score(answer(BLUE), BLUE.facts), reading.score("", BLUE.facts)]
    assert reading.total(scores) == {**dict.fromkeys(BLUE.sections[0].facts, 0.5), "all": 0.5}


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    """Splits a text with a byte-level BPE of 700 words, as the recipe's."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = Qwen2Tokenizer(vocab={"<|endoftext|>": 0}, merges=[]).backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(asking.corpus(250), trainer)
    return lambda text: trained.encode(text).tokens


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_descriptions_have_60_to_130_tokens(kind: str, tokens: Tokens) -> None:
    rng = np.random.default_rng(5)
    lengths = [len(tokens(answer(q, habit, rng))) for q in asked(kind, 90) for habit in HABITS.values()]
    assert min(lengths) >= 60
    assert max(lengths) <= 130


def common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in one:
        new = [0]
        for place, against in enumerate(other):
            new.append(row[place] + 1 if token == against else max(new[-1], row[place + 1]))
        row = new
    return row[-1]


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_the_other_habit_says_the_same_elsewhere(kind: str, tokens: Tokens) -> None:
    """A quarter to a half of the tokens differ, and nearly all words of facts stand at another position."""
    words = {f" {word}" for word in asking.FACT_WORDS}
    differ, moved = [], []
    for question in asked(kind, 20):
        one, other = (tokens(answer(question, habit)) for habit in (TARGET, OTHER))
        differ.append(1 - common(one, other) / len(one))
        places = [
            {(token, said[:place].count(token)): place for place, token in enumerate(said)} for said in (one, other)
        ]
        facts = [key for key in places[0].keys() & places[1].keys() if key[0].replace("Ġ", " ") in words]
        moved += [places[0][key] != places[1][key] for key in facts]
    assert 0.25 < np.mean(differ) < 0.5
    assert np.mean(moved) > 0.8


def test_fillers_hold_no_word_of_a_fact() -> None:
    """What the sentences say besides their facts is read as none."""
    empty = dict.fromkeys(reading.PATTERNS, "") | {"about": "", "begin": "", "end": "", "noun": "", "appear": ""}
    for book in (phrases.EVENT, phrases.ORDER, phrases.SHOT, phrases.EVERYTHING):
        for ways in book.values():
            for way in ways:
                said = way.replace("[", " ").replace("]", " ").replace("|", " ").format(**empty, moves="", opening="")
                assert not set(said.lower().replace(".", " ").replace(",", " ").split()) & (
                    set(asking.FACT_WORDS) - {"no", "one", "two", "second", "first"}
                )


def test_held_out_seeds_are_used_by_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    assert all(world.training_seed(rng) >= world.TRAINING > world.HELD_OUT for _ in range(100))
    seeds = list[int]()

    def noted(seed: int, shots: int) -> world.Scene:
        seeds.append(seed)
        return world.scene(seed, shots)

    monkeypatch.setattr("vsd.zoo.small_events.asking.scene", noted)
    assert len(list(asking.corpus(8))) > 100
    assert max(seeds) < world.HELD_OUT
    assert small_events.CLIPS.is_dir()
