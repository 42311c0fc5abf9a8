"""The system prompt: the VoiceAgent's instructions, then what is remembered."""

from collections.abc import Sequence

from voicesession_agent.memory import Block


def render(instructions: str, blocks: Sequence[Block]) -> str:
    """Instructions and one `<memory_block>` per block that has a value; the instructions alone when none has."""
    shown = [_block(block) for block in blocks if block.value.strip()]
    if not shown:
        return instructions
    return "\n\n".join((instructions, "What you remember:", *shown))


def _block(block: Block) -> str:
    head = f'<memory_block label="{block.label}">'
    about = (f"<description>{block.description}</description>",) if block.description else ()
    return "\n".join((head, *about, f"<value>{block.value}</value>", "</memory_block>"))
