"""The question of a second look: the prompter keeps or corrects its own first answer."""

WORDS = "Magenta shows your first answer; without magenta you found nothing. Keep it or correct it."


def second_question(question: str) -> str:
    """The question as it is asked the second time, about the picture in which the first mask is drawn."""
    return f"{question} {WORDS}"
