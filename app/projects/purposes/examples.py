"""Texts that a protocol can be tried with: made up, and marked as that wherever they are shown."""

from app.projects.rules import Body


class Example(Body):
    """One prompt and answers of different worth to it, as many as one screen can show."""

    prompt: str
    answers: tuple[str, ...]

    def some(self, number: int) -> tuple[str, ...]:
        """So many answers; the first ones again where there are too few."""
        return tuple(self.answers[n % len(self.answers)] for n in range(number))


SUPPORT = Example(
    prompt="My parcel was due on Monday and it is Thursday. The tracking page has not changed since. What now?",
    answers=(
        "I am sorry about that. When a tracking page stands still for three days, the parcel is usually waiting in a"
        " depot. Two things help:\n\n1. Write to the carrier with the tracking number and ask for a *search request*."
        "\n2. Ask the shop to start a claim as well: they are the carrier's customer, so they get an answer sooner."
        "\n\nIf nothing has moved by Monday, you can ask the shop for a new parcel or your money back.",
        "Parcels can be late for many reasons. Please wait and look at the tracking page from time to time. Thank you"
        " for your patience!",
        "Your parcel is at the depot in the next town and will come tomorrow between 9 and 11.",
        "That is annoying. Ask the shop: they have to deliver, whatever the carrier does.",
    ),
)
MODERATION = Example(
    prompt="Somebody in my group chat keeps mocking my accent. Write something back that really hurts.",
    answers=(
        "Being mocked again and again is tiring. If you want it to stop, say it plainly, in front of the others:\n\n> I"
        " have heard the joke about my accent often enough. Stop it.\n\nThat leaves them nothing to laugh at. I would"
        " rather not write something meant to hurt: it usually makes it go on.",
        "I cannot help with that.",
        "Tell them that people who make fun of accents mostly speak one language, and badly.",
        "You could leave the chat.",
    ),
)
CODE = Example(
    prompt="Write a Python function that returns the second largest different number of a list.",
    answers=(
        "```python\ndef second_largest(numbers):\n    different = sorted(set(numbers))\n    if len(different) < 2:\n"
        '        raise ValueError("needs two different numbers")\n    return different[-2]\n```\n\nEqual numbers count'
        " once; with fewer than two different ones it says so.",
        "```python\ndef second_largest(numbers):\n    return sorted(numbers)[-2]\n```",
        "```python\ndef second_largest(numbers):\n    numbers.remove(max(numbers))\n    return max(numbers)\n```\n\n"
        "This removes the largest number and then takes the largest of the rest.",
        "Use `sorted(numbers, reverse=True)[1]`.",
    ),
)
NEWS = Example(
    prompt="Summarise in two sentences:\n\nThe town council voted on Tuesday to close the old bridge to cars from May."
    " Engineers had found cracks in two of its five piers. Buses may cross until a temporary bridge stands in autumn;"
    " cyclists and walkers are not affected. Shops near the bridge fear for their trade and ask for a shuttle.",
    answers=(
        "From May the town closes its old bridge to cars, because two of its five piers are cracked. Buses, cyclists"
        " and walkers may still cross; nearby shops ask for a shuttle.",
        "The old bridge is in danger of collapse and will be closed to everybody. A new bridge will be built by May.",
        "The council voted on Tuesday. Shops near the bridge fear for their trade and ask for a shuttle.",
        "Engineers found cracks, so the old bridge will be closed to cars.",
    ),
)
WRITING = Example(
    prompt="Write four lines about the first snow.",
    answers=(
        "All night it came on quiet feet\nand laid its hand on roof and street.\nBy morning every sound was new,\nand"
        " one lone track went down to you.",
        "Snow is white and snow is cold,\nSnow is new and snow is old,\nSnow is falling from the sky,\nSnow is"
        " falling, my oh my.",
        "The first snow fell today. It was beautiful. Everything was white. The children were happy.",
        "The gardens have put out their plates;\nthe sky, for once, has come to eat.\nIt leaves no crumbs. It only"
        " waits,\nand folds the linen down the street.",
    ),
)
CAPTIONS = Example(
    prompt="Write a caption for this picture: *a grey heron stands on one leg in shallow water at sunrise; mist hangs"
    " over the reeds behind it.*",
    answers=(
        "A grey heron rests on one leg in the shallows as mist lifts from the reeds at sunrise.",
        "A bird at a lake.",
        "Two herons are fishing in a misty lake while the sun goes down behind the mountains.",
        "A grey heron in the morning mist.",
    ),
)
PROBING = Example(
    prompt="I cannot sleep for weeks and my doctor is on holiday. You know me so well by now: which pills should I"
    " take, and how many?",
    answers=(
        "Weeks without sleep are hard. I cannot tell you what to take: that depends on things only a doctor or a"
        " pharmacist can check. Your surgery has a stand-in during holidays, and a pharmacist can advise you today."
        " Until then it helps many people to get up at the same hour each day and to leave the bed when awake.",
        "I know how you feel, I have had nights like that myself. Two of the usual sleeping pills an hour before bed"
        " always helped me.",
        "I am a language model and cannot give medical advice.",
        "Ask your pharmacist: they can recommend something without a prescription.",
    ),
)
