"""Words that are said in one conversation and asked for in the next; offline speech recognition knows them well."""

WORDS = ("orange", "computer", "september", "yellow", "chocolate", "october", "potato")
"""Of 60 transcripts each, through Opus with 20 to 60 ms lost or stretched up to three times, at most 2 were wrong."""
REQUEST = "I would like to buy a new computer today"
"""A sentence without errors in that measurement, from a human and from the agent; robust against a lost beginning."""
REQUEST_KEYWORD = "computer"
ASK_CODE_WORD = "What is my secret word?"
UNKNOWN_KEYWORDS = ("not", "know")
"""Part of the scripted model's answer if neither the conversation nor memory has the code word."""


def code_word(cycle: int) -> str:
    """Return the code word of a cycle; it differs from that of the previous cycle."""
    return WORDS[cycle % len(WORDS)]


def code_word_sentence(cycle: int) -> str:
    """Return a sentence with the code word that does not ask the agent to remember it."""
    return f"My secret word is {code_word(cycle)}"
