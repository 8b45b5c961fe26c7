"""What is wrong with a template."""


class RenderError(Exception):
    """A template cannot be rendered: `where` names file and line, the message says what is wrong and what to do.

    `costly`: finding that out took all the time there was.
    """

    def __init__(self, where: str, why: str, *, costly: bool = False) -> None:
        super().__init__(why)
        self.where, self.costly = where, costly
