"""The three ways a call can go wrong that are not an ordinary refusal.

    errors.Error
    ├── Malformed     the caller sent something that can never work; fix the request
    ├── Unavailable   it may work later; try again after `retry_after_s`
    │   └── Overloaded    a bounded queue is full; nothing was taken
    └── Broken        our own promise does not hold; a person must look

Ordinary refusals (sold out, balance too low) are statuses, never exceptions.
"""


class Error(Exception):
    """The root of every error that Vendrail raises on purpose; its text says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Malformed(Error):
    """The request can never work as it was sent."""


class Unavailable(Error):
    """The request may work later; nothing was done, or doing it again is harmless."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """A bounded queue is full; nothing was taken in."""


class Broken(Error):
    """A promise of ours does not hold; a person must look."""
