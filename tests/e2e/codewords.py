"""Words told in one conversation and asked for in the next: sentences that offline speech recognition gets right."""

WORDS = ("walrus", "orange", "tiger", "yellow", "window", "paper", "summer")
WHICH = "What is my secret word?"
UNKNOWN = ("not", "know")
"""Of the scripted model's answer when neither the conversation nor memory has it."""


def code_word(cycle: int) -> str:
    """Another one in each cycle."""
    return WORDS[cycle % len(WORDS)]


def telling(cycle: int) -> str:
    """A remark, not a request to remember it."""
    return f"My secret word is {code_word(cycle)}"
