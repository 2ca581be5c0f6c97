"""The one error that is the user's to mend: bad input, told in a sentence before work starts."""


class BadInput(ValueError):
    """What was asked cannot be done; the message says what was expected and what to do.

    The command line prints the message alone and ends with exit code 2.
    """
