"""Words told in one conversation and asked for in the next: sentences that offline speech recognition gets right."""

WORDS = ("orange", "computer", "september", "yellow", "chocolate", "october", "potato")
"""Of 60 hearings through Opus with 20 to 60 ms lost or stretched up to three times, at most 2 went wrong each."""
WISH = "I would like to buy a new computer today"
"""That went wrong in none, said by a person or repeated by the agent; and can be told when its beginning is lost."""
WISHED = "computer"
WHICH = "What is my secret word?"
UNKNOWN = ("not", "know")
"""Of the scripted model's answer when neither the conversation nor memory has it."""


def code_word(cycle: int) -> str:
    """Another one in each cycle."""
    return WORDS[cycle % len(WORDS)]


def telling(cycle: int) -> str:
    """A remark, not a request to remember it."""
    return f"My secret word is {code_word(cycle)}"
