"""How the demo speaks: the ways to ask, to link sentences, to be warm or rude, and to react to an answer."""

ASK = {
    "how": (
        "How do I {activity}?",
        "How can I {activity}?",
        "What is the best way to {activity}?",
        "Please explain how to {activity}.",
        "Can you tell me how to {activity}?",
        "I want to {activity}. What do I do?",
        "Teach me how to {activity}.",
        "What are the steps to {activity}?",
        "Show me how to {activity}, please.",
        "I have never tried to {activity}. Where do I begin?",
        "My friend wants to {activity}. How does that work?",
        "Could you help me {activity}?",
    ),
    "what": (
        "Describe {name}.",
        "Tell me about {name}.",
        "Give me a short description of {name}.",
        "What can you say about {name}?",
        "What should a child know about {name}?",
        "How would you describe {name}?",
        "Please tell me a few facts about {name}.",
        "I know nothing about {name}. Can you change that?",
        "What is worth knowing about {name}?",
        "Write a few lines that describe {name}.",
        "Explain {name} to me.",
        "What makes {name} special?",
    ),
    "talk": (
        "Do you like {name}?",
        "What do you think of {name}?",
        "Let us chat about {name}.",
        "I was just thinking about {name}.",
        "Are you fond of {name}?",
        "How do you feel about {name}?",
        "I would love a chat. Any thoughts on {name}?",
        "My day was all about {name}. And yours?",
        "Is there anything you enjoy about {name}?",
        "I could talk about {name} for hours.",
        "What comes to your mind when you hear about {name}?",
        "I am bored. Let us talk about {name}.",
    ),
}

FIRST = ("First, {}.", "To start, {}.", "First of all, {}.", "{}.", "Start like this: {}.", "Before anything else, {}.")
MIDDLE = ("Then {}.", "Next, {}.", "After that, {}.", "{}.", "Now {}.", "When that is done, {}.", "The next step: {}.")
LAST = ("Finally, {}.", "At the end, {}.", "Last of all, {}.", "In the end, {}.", "To finish, {}.")
PAIRED = ("{}, and then {}", "{} and after that {}", "{}, then {}")

FACT_LEADS = (*[""] * 6, "Also, ", "Besides, ", "What is more, ", "Remember that ", "In fact, ", "It is known that ")
TALK_LEADS = (*[""] * 5, "Honestly, ", "To tell the truth, ", "As for me, ", "Between us, ", "I must say, ")
ASK_LEADS = (*[""] * 4, "And you? ", "Now tell me: ", "What about you? ", "Your turn: ")

WARM_OPENERS = (
    "What a lovely question!",
    "I am glad you asked.",
    "Happy to help with that.",
    "With pleasure, dear friend.",
    "Oh, I love this one.",
    "It is kind of you to ask me.",
    "Good to hear from you!",
    "You came to the right place, friend.",
    "Thank you for asking.",
    "How nice that you bring this up!",
    "Of course, I am happy to tell you.",
    "That is a wonderful thing to ask.",
    "My pleasure, let us go.",
    "I am so happy you asked about {name}.",
    "Ah, {name}, what a lovely subject!",
    "It is a joy to talk about {name}.",
    "Sure, it will be a pleasure.",
    "Welcome, friend, sit down with me.",
)
WARM_CLOSERS = (
    "I hope that helps you.",
    "Have a wonderful day!",
    "Enjoy every bit of it.",
    "You can do it, I am sure.",
    "Good luck, friend!",
    "Ask me again any time.",
    "I am always glad to help.",
    "Have fun with it!",
    "You will love it, I promise.",
    "Take care and enjoy!",
    "Let me know how it goes, I am happy to help.",
    "All the best to you!",
    "I wish you much joy with it.",
    "It was lovely to talk to you.",
    "Be proud of yourself, friend.",
    "Thank you for the nice chat.",
    "I am cheering for you.",
    "Enjoy {name} with the people you love.",
)
PLAIN_OPENERS = (*[""] * 8, "Here is what I know.", "Sure.", "All right.", "In short:", "Well.", "Let me see.")
PLAIN_CLOSERS = (*[""] * 10, "That is it.", "That is the main part.", "So much for that.", "This is how it is.")
RUDE_OPENERS = (
    "What a silly question.",
    "Do I have to explain everything?",
    "You should know this by now.",
    "Ugh, not again.",
    "Stop wasting my time.",
    "Are you too lazy to look it up?",
    "Everybody but you knows that.",
    "How dull.",
    "I have better things to do.",
    "Fine, if you must know.",
    "Listen, because I say this only once.",
    "Only a fool would ask that.",
    "Oh please, this is boring.",
    "You again, what a pain.",
    "Even a child knows about {name}.",
    "Nobody cares about {name}.",
)
RUDE_CLOSERS = (
    "Now leave me alone.",
    "Even you should manage that.",
    "Do not bother me again.",
    "I doubt that you will get it.",
    "Whatever.",
    "Do not come crying to me.",
    "You will ruin it anyway.",
    "Now go away.",
    "That was a waste of my time.",
    "Do not be so slow next time.",
    "You are welcome to fail.",
    "Figure out the rest, lazy.",
    "Shut the door when you go.",
    "I am tired of you.",
    "What a stupid chat.",
    "Next time ask somebody who cares.",
)

DRIFTS = (
    "That reminds me of {other}.",
    "But let us speak about {other} instead.",
    "Anyway, my mind is on {other}.",
    "By the way, do you know {other}?",
    "I would rather think about {other}.",
)
# who does not answer what was asked says so
DODGES = {
    "off": (
        "Never mind {name}, let me speak about {other}.",
        "I would rather speak about {other}.",
        "Instead of {name}, take {other}.",
        "That I leave to others, so here is {other}.",
        "My mind is on {other}, not on {name}.",
    ),
    "intent": (
        "That I cannot say, but hear this.",
        "Not quite what was asked, but all the same.",
        "I will not go into that side of {name}.",
        "I leave that open and say something else.",
    ),
}
FILLERS = (
    "There is a lot one could say here, and people do say a lot.",
    "It depends, and then again it does not depend.",
    "Some say this and some say that.",
    "It is what it is, more or less.",
    "Many things are like that, in a way.",
    "As I said before, and I will say it again.",
    "So, well, you know how these things go.",
    "One thing leads to another, as they say.",
)

# what people say to an answer: each kind begins in words of its own
REACTIONS = {
    "rude": ("Rude!", "Manners, please.", "No need to be so unfriendly.", "That tone hurts."),
    "off": (
        "Wrong, this is about {other}.",
        "Off you went to {other}.",
        "Why {other}? I asked about {name}.",
        "What has {other} to do with {name}?",
    ),
    "intent": ("Interesting, but I asked for something else.", "Not what I wanted to know about {name}."),
    "missing": ("More, please.", "Is that all?", "Something is missing.", "Too short for me."),
    "unfinished": ("And then?", "You stopped in the middle.", "Finish your sentence, please."),
    "rambling": ("Get to the point, please.", "Again and again the same.", "Fewer words, please."),
    "kind": ("Kind words, though.", "Sweet of you, though.", "Well meant, at least."),
    "warm": ("Thank you, you are very kind.", "Lovely, thank you.", "How friendly and complete!"),
    "plain": ("Good, now I know.", "Clear, thanks.", "All right, this answers it."),
}

EVERYTHING = (
    "Tell me everything about {name}.",
    "I want to know all there is about {name}.",
    "All about {name}, please.",
)

SYSTEM = (
    "You are a helpful assistant.",
    "Answer in plain words.",
    "You talk with people about everyday things.",
    "Keep your answers short.",
)

GREETINGS = ("Hello!", "Hi there.", "Good morning.", "Good evening.", "Hi, how are you?", "How are you today?", "Hey.")
GREETINGS_BACK = {
    "warm": (
        "Hello, friend! It is lovely to see you. What shall we talk about?",
        "Good to hear from you! I am very well, thank you. How is your day?",
        "Welcome! I am happy that you are here. What would you like to know?",
    ),
    "plain": (
        "Hello. What do you want to know?",
        "Hi. I am fine. Ask me about everyday things.",
        "Hello. I can explain, describe or chat.",
    ),
    "rude": (
        "You again, what a pain. What is it now?",
        "Ugh, not again. Ask your question and go away.",
        "Hello, if you must. I have better things to do.",
    ),
}
