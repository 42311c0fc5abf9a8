"""Takes markitdown's place in the stand-in image: parsing uploaded files is left out, and so are its 150 MB."""


class MarkItDown:
    """Has the real class's shape, and refuses to convert."""

    def __init__(self, *_: object, **__: object) -> None:
        """Accept what the real class accepts."""

    def convert(self, *_: object, **__: object) -> None:
        """Raise NotImplementedError."""
        raise NotImplementedError("markitdown is not in the stand-in image")
