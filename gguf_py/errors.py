"""The one error a user can cause."""


class KQuantsError(ValueError):
    """A fault in what the user gave, told in one sentence.

    The sentence names the file, the tensor or the key, what was found and what was expected. The command line
    prints it and exits with status 1; every package of the project raises this class or a subclass of it.
    """
