"""What the consoles say where they cannot do what is asked: a title and advice for each status."""

from vendrail.web.languages import message

PROBLEMS = {
    400: (message("That did not work"), message("The request could not be read.")),
    403: (
        message("You may not do this"),
        message("Your role does not include it, or the form is too old. Reload the page."),
    ),
    404: (message("Nothing here"), message("The address is old or mistyped, or not yours to see.")),
    413: (message("That did not work"), message("What was sent is too large.")),
    422: (
        message("No card number here"),
        message(
            "A card's number and its check code are typed on the payment provider's own page, never"
            " here. Nothing of it was kept: go back, take it out, and send the rest again."
        ),
    ),
    429: (
        message("A little slower, please"),
        message("There were too many tries. Wait a moment, then go on."),
    ),
    500: (message("Our mistake"), message("Nothing was lost. Look before you try it again.")),
    503: (
        message("A part of the platform does not answer"),
        message("Nothing was done by this page. Wait a few seconds and look again."),
    ),
}


def words_of(status: int) -> tuple[str, str]:
    """Give the title and the advice for a status, both marked by `message`."""
    return PROBLEMS[status if status in PROBLEMS else (500 if status >= 500 else 400)]
