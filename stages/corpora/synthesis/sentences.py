"""English sentences from a grammar of our own: natural enough to say, varied in sound, millions of them distinct.

A rule is a list of alternatives; `{name}` in an alternative stands for a rule. Verbs are in the past tense or follow a
modal, so that nothing needs agreement, and nouns are grouped by what can be done with them. The words were chosen so that
every English phone occurs, the rare ones (as in "measure", "boy", "cook", "thief") and the visible ones (p b m, f v, w) often.
"""

import re
from collections.abc import Iterator

import numpy as np

from stages.corpora.synthesis.grammars import GRAMMARS

RULES: dict[str, list[str]] = {
    # Whole sentences. What occurs twice is twice as likely.
    "sentence": ["{statement}.", "{statement}.", "{statement}.", "{question}?", "{request}.", "{exclamation}!"],
    "statement": [
        "{who} {did}", "{who} {did}", "{who} {did} {when}", "{when_first}, {who} {did}", "{who} {modal} {do}",
        "{who} {modal} {do} {when_next}", "{thing} {state}", "{thing} {state}, but {who} {did}", "{who} {did}, and {who} {did}",
        "{who} said that {thing} {state}", "{who} {felt} because {thing} {state}", "there were {number} {plural} {where}",
        "{name}, {who}, and {name} {did}", "{opener}, {who} {modal} {do}", "{opener}, {thing} {state}",
        "it takes {number} minutes to {do}", "{who} paid {number} dollars for {object}", "{thing} costs {number} pounds",
        "{name}, {role}, {did}", "{short}", "my number is {digit} {digit} {digit}, {digit} {digit}",
        "no, {who} never {did}", "yes, {thing} {state}", "the {plural} {where} belong to {name}",
        "{name} was born in {month}, in {place}", "we met in {month}, on a {weekday}",
    ],
    "question": [
        "did {who} {do}", "can {who} {do} {when_next}", "why would {who} {do}", "where did {who} {do}", "who {did}",
        "how many {plural} are {where}", "what did {name} say about {object}", "is {thing} {quality}",
        "when will {name} {do}", "which of the {plural} is yours", "could you {do}, please", "have you seen {object}",
        "who is {name}", "what time is it in {place}", "is it true that {who} {did}", "shall we {do}, or {do}",
        "do you like {food}, or {food}", "whose {noun} is {where}", "really", "and then what",
    ],
    "request": [
        "please {do} {when_next}", "{name}, please {do}", "do not {do}", "let us {do} {when_next}", "come and {do}, {name}",
        "give {name} {number} {plural}", "tell {name} that {thing} {state}", "wait, {who} {did}", "remember to {do}",
        "put {object} {where}, and {do}", "call me {when_next}", "first {do}, then {do}",
    ],
    "exclamation": [
        "what a {quality} {noun}", "how {quality} {thing} is", "oh, {name}, {who} {did}", "well, {thing} {state}",
        "happy birthday, {name}", "look, {object}", "good morning, {name}", "wow, {number} {plural}", "welcome to {place}",
    ],
    "short": [
        "I am not sure", "maybe {weekday}", "you may be right", "that would be fun", "we wish you well", "it was all for show",
        "nobody knows", "I hope so", "they both moved away", "about {number}, I believe", "the show must go on",
        "my {person} would approve", "perhaps {name} knows", "thank you very much",
    ],
    "opener": [
        "of course", "by the way", "to be honest", "for example", "as far as I know", "in my view", "after all",
        "believe it or not", "on the whole", "sooner or later", "above all", "strangely enough", "for the most part",
    ],
    # People.
    "who": ["{name}", "{name}", "my {person}", "the {quality} {role_noun}", "our {role_noun}", "{pronoun}", "{pronoun}",
            "{name} and {name}", "the {role_noun}", "somebody {where}", "both of my {person}s", "your {person}"],
    "pronoun": ["I", "we", "you", "they", "she", "he", "everybody", "nobody"],
    "name": [
        "Bob", "Mabel", "Pamela", "Bruno", "Phoebe", "Victor", "Fiona", "Wendy", "Walter", "Sheila", "Joe", "Georgia",
        "Charlie", "Thea", "Ruth", "Louise", "Hugo", "Zoe", "Liam", "Naomi", "Kofi", "Amara", "Yusuf", "Priya", "Mei",
        "Diego", "Olga", "Ingrid", "Pavel", "Chiara", "Boyd", "Joyce", "Maud", "Paul", "Hope", "Owen", "Emma", "Tom",
        "Rosa", "Judy", "Beth", "Matthew", "Vivian", "Dylan", "Sophia", "Umar", "Keiko", "Ethan", "Abby", "Simon",
    ],
    "person": ["mother", "father", "brother", "sister", "neighbour", "teacher", "cousin", "friend", "uncle", "boss",
               "nephew", "daughter", "grandmother", "partner", "roommate", "dentist"],
    "role_noun": ["farmer", "judge", "painter", "pilot", "baker", "waiter", "nurse", "major", "poet", "mayor", "singer",
                  "thief", "chef", "plumber", "student", "bishop", "driver", "guide", "shepherd", "witness", "boy",
                  "woman", "youth", "champion", "piano player", "bookseller", "chairman", "jeweller"],
    "role": ["the {role_noun} from {place}", "my {person}", "our new {role_noun}", "a {quality} {role_noun}"],
    # What people do: past and plain form.
    "did": [
        "{moved_past} {object} {to}", "{moved_past} {object}", "{made_past} {object}", "ate {food}", "ate {food} and {food}",
        "bought {number} {plural}", "found {object} {where}", "{went_past} {to}", "{spoke_past} about {object}",
        "lost {number} {plural}", "forgot {object}", "{went_past} {to} with {name}", "gave {object} to {name}",
        "waited {where}", "never saw {object}", "wanted to {do}", "chose {food} for {meal}", "showed us {object}",
        "played {game} {where}", "began to {do}", "asked for {food}",
    ],
    "do": [
        "{move} {object} {to}", "{move} {object}", "{make} {object}", "eat {food}", "buy {number} {plural}", "find {object}",
        "{go} {to}", "{speak} about {object}", "give {object} to {name}", "wait {where}", "play {game}", "choose {food}",
        "visit {place}", "help {name}", "open {object}", "share {food} with {name}", "bring {food} and {food}",
        "measure {object}", "watch {game}", "have {food} for {meal}",
    ],
    "moved_past": ["moved", "pushed", "carried", "brought", "pulled", "threw", "took", "sent", "dropped", "shipped"],
    "move": ["move", "push", "carry", "bring", "pull", "throw", "take", "send", "drop", "ship"],
    "made_past": ["made", "built", "fixed", "painted", "washed", "polished", "sold", "borrowed", "broke", "wrapped",
                  "measured", "copied", "improved", "chose", "loved", "covered", "removed", "bought"],
    "make": ["make", "build", "fix", "paint", "wash", "polish", "sell", "borrow", "wrap", "copy", "improve", "love",
             "cover", "remove", "show", "choose"],
    "went_past": ["went", "walked", "ran", "drove", "moved", "flew", "rode", "travelled", "rushed", "came", "swam"],
    "go": ["go", "walk", "run", "drive", "move", "fly", "ride", "travel", "rush", "come", "swim"],
    "spoke_past": ["spoke", "dreamed", "laughed", "argued", "wrote", "thought", "joked", "complained", "whispered"],
    "speak": ["speak", "dream", "laugh", "argue", "write", "think", "joke", "complain", "whisper"],
    "felt": ["felt {quality}", "was {mood}", "became {mood}", "stayed at home", "smiled", "got up early", "left"],
    "modal": ["will", "would", "could", "should", "might", "must", "can", "may", "used to", "wants to", "tried to"],
    # Things.
    "object": ["the {noun}", "the {quality} {noun}", "the {colour} {noun}", "a {noun2}", "my {noun}", "your {quality} {noun}",
               "our {noun}", "the {noun} from {place}", "this {noun}", "{name}'s {noun}", "every {noun}",
               "a {quality} {noun}", "the {material} {noun}"],
    "thing": ["the {noun}", "the {quality} {noun}", "the {colour} {noun}", "my {noun}", "this {noun}", "your {material} {noun}",
              "{name}'s {noun}", "the {noun} {where}", "the weather", "the {dish}", "the {material} {noun}"],
    "noun": [
        "boat", "map", "puppy", "mirror", "lamp", "piano", "book", "watch", "bag", "cup", "spoon", "phone", "camera", "bike",
        "window", "broom", "coin", "toy", "shoe", "glove", "vase", "table", "chair", "pillow", "blanket", "box", "fishbowl",
        "photograph", "newspaper", "umbrella", "jewel", "treasure", "television", "envelope", "guitar", "computer", "wheel",
        "feather", "cloth", "path", "garage", "cabbage", "pumpkin", "bubble", "poem", "album", "bridge", "church", "tower",
        "horse", "bird", "mouse", "owl", "wolf", "lamb", "beaver", "moth", "shrimp", "cow", "cushion", "bush", "tooth",
    ],
    "noun2": ["boat", "map", "puppy", "mirror", "lamp", "new book", "big bag", "wooden spoon", "blue balloon", "warm coat",
              "loud bell", "small pebble", "broken cup", "brown bear", "thick scarf", "pair of shoes", "bowl of soup",
              "piece of paper", "bunch of flowers", "cheap watch", "jar of jam"],
    "plural": ["apples", "boxes", "maps", "boats", "books", "spoons", "people", "shoes", "birds", "bottles", "chairs",
               "coins", "mushrooms", "trumpets", "pigeons", "pages", "windows", "balloons", "wolves", "months", "songs",
               "buttons", "fish", "cows", "women", "toys", "judges", "leaves", "teeth", "feathers", "miles", "farms"],
    "food": ["soup", "bread and butter", "jam", "apple pie", "fish", "yoghurt", "beef", "mushrooms", "plums", "porridge",
             "cheese", "rice", "peppermint tea", "fresh fruit", "ham", "broccoli", "a bowl of pasta", "chocolate", "toffee",
             "maple syrup", "pizza", "olives", "watermelon", "shrimp", "boiled eggs", "coffee", "vanilla pudding"],
    "dish": ["soup", "bread", "jam", "apple pie", "fish", "beef", "porridge", "cheese", "rice", "tea", "pizza", "coffee",
             "chocolate", "pudding", "ham", "pumpkin pie", "broth"],
    "game": ["chess", "football", "the piano", "volleyball", "the violin", "poker", "a film", "the trumpet", "basketball",
             "the show", "a new game", "rugby", "the oboe"],
    "meal": ["breakfast", "lunch", "supper", "dinner", "the party", "the picnic"],
    "material": ["wooden", "paper", "silver", "bamboo", "velvet", "rubber", "woollen", "leather", "copper", "stone"],
    "colour": ["blue", "white", "purple", "brown", "pale green", "yellow", "orange", "black", "beige", "dark red"],
    "quality": ["beautiful", "old", "famous", "tiny", "huge", "wonderful", "useful", "simple", "smooth", "clever", "new",
                "young", "noisy", "cheap", "warm", "empty", "full", "strange", "bright", "very good", "rather small",
                "charming", "foolish", "brave", "fashionable", "enormous", "precious", "favourite", "ambitious"],
    "mood": ["happy", "tired", "worried", "amused", "proud", "furious", "calm", "bored", "hopeful", "afraid", "confused"],
    "state": ["was {quality}", "is {quality}", "looks {quality}", "seemed {quality}", "was {where}", "is {where}",
              "was {made_past} by {name}", "became {quality}", "will be {quality}", "used to be {colour}",
              "must be {quality}", "was not {quality}", "would be better {where}", "has been {where} since {month}",
              "was worth {number} pounds"],
    # Places and times.
    "where": ["at home", "by the river", "in the kitchen", "under the bridge", "above the shop", "behind the church",
              "on the beach", "in {place}", "near the museum", "beside the fire", "between two farms", "on the roof",
              "in the basement", "at the bus stop", "over there", "in front of the mirror", "on the moon",
              "among the bushes", "at the top of the tower", "in my room", "along the path", "upstairs"],
    "to": ["to {place}", "to the market", "home", "across the bridge", "into the house", "to the beach", "up the hill",
           "down the road", "out of the room", "back to the office", "towards the village", "through the woods",
           "to the museum", "to the farm", "around the world", "over the wall", "to the movies"],
    "place": ["Paris", "Boston", "Mumbai", "Vienna", "Oslo", "Rome", "Chicago", "Peru", "Tokyo", "Wales", "Bombay", "Geneva",
              "Berlin", "Havana", "Ohio", "Cape Town", "Moscow", "Birmingham", "the Pyrenees", "Nairobi", "South Africa"],
    "when": ["today", "tomorrow morning", "last week", "before {meal}", "after the show", "on {weekday}", "in {month}",
             "at {hour} o'clock", "every {weekday}", "{number} times a year", "by the middle of {month}", "all afternoon",
             "this evening", "a few months ago", "once more", "now and then", "at half past {hour}"],
    "when_next": ["today", "tomorrow morning", "next week", "before {meal}", "after the show", "on {weekday}", "in {month}",
                  "at {hour} o'clock", "every {weekday}", "by the middle of {month}", "this evening", "once more", "soon",
                  "for {number} minutes", "at half past {hour}", "the day after tomorrow"],
    "when_first": ["today", "in the morning", "last week", "before {meal}", "after the show", "on {weekday}", "in {month}",
                   "at {hour} o'clock", "{number} years ago", "a moment ago", "when I was young", "at the moment",
                   "as soon as possible", "in the beginning", "from time to time"],
    "weekday": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "month": ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
              "December"],
    "hour": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
    "digit": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "number": ["two", "three", "four", "five", "six", "seven", "eight", "nine", "twelve", "fifteen", "{tens}",
               "{tens}-{unit}", "a hundred and {tens}", "a thousand", "{unit_many} thousand", "a million", "half a million"],
    "tens": ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
    "unit": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "unit_many": ["two", "three", "four", "five", "six", "seven", "eight", "nine"],
}  # fmt: skip

MIN_WORDS, MAX_WORDS = 2, 14

_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_FIRST_LETTER = re.compile(r"[^\W\d_]")
# So many repetitions in a row, and there is nothing new to find.
_EXHAUSTED = 2000
_LONE_A = re.compile(r"\b([Aa]) (?=[aeiou])(?!one|use|uni|u[st]e)")


def distinct_sentences(num_sentences: int, rng: np.random.Generator, language: str = "en") -> list[str]:
    """Draws sentences from the grammar, no two alike.

    Args:
        num_sentences: how many.
        rng: source of randomness; the same state gives the same sentences.
        language: en, or one of `GRAMMARS`.

    Returns:
        Sentences of 2 to 14 words, each with a capital (where its script has them) and a final mark. Numbers are spelled
        out. Fewer than asked for where the grammar is exhausted.
    """
    seen: dict[str, None] = {}
    repetitions = 0
    for sentence in _endless_sentences(rng, language):
        if len(seen) >= num_sentences or repetitions > _EXHAUSTED:
            break
        repetitions = repetitions + 1 if sentence in seen else 0
        seen.setdefault(sentence)
    return list(seen)


def _endless_sentences(rng: np.random.Generator, language: str) -> Iterator[str]:
    rules = RULES if language == "en" else GRAMMARS[language]

    # One draw for many choices: a generator call costs more than the choice.
    def fractions() -> Iterator[float]:
        while True:
            yield from rng.random(4096).tolist()

    fraction = fractions()

    def expand(match: re.Match[str]) -> str:
        alternatives = rules[match[1]]
        return _SLOT.sub(expand, alternatives[int(next(fraction) * len(alternatives))])

    while True:
        sentence = _SLOT.sub(expand, "{sentence}")
        words = _WORD.findall(sentence)
        repeated = any(a == b for a, b in zip(words, words[2:], strict=False) if a[0].isupper() and a != "I")
        if MIN_WORDS <= len(words) <= MAX_WORDS and not repeated:
            if language == "en":
                sentence = _LONE_A.sub(r"\1n ", sentence)
            if language == "zh":
                sentence = sentence.replace(" ", "")
            yield _FIRST_LETTER.sub(lambda letter: letter[0].upper(), sentence, count=1)
