"""What may be the name of an experiment, a system or a watched folder."""

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import alternatives, is_name, require_name


@pytest.mark.parametrize("name", ["a", "think2seg-rs-3b", "sam2.1_small", "0.5+pos", "think2seg-mini-seed1"])
def test_small_letters_and_digits_with_single_marks_between_are_names(name: str) -> None:
    assert is_name(name) and require_name(name, "system") == name


# "--" separates a run from a step, "=" and "/" would change a partition's folder.
@pytest.mark.parametrize("text", ["", "A", "a--b", "a-", ".a", "a/b", "a=b", "a b", "..", "é", "a\n"])
def test_everything_else_is_refused_with_the_rule(text: str) -> None:
    assert not is_name(text)
    with pytest.raises(InputError, match="cannot be the name of a system: use small letters and digits"):
        require_name(text, "system")


def test_few_names_are_given_in_full_and_of_many_the_most_similar():
    assert alternatives("x", []) == "There is none."
    assert alternatives("x", ["b", "a"]) == "There are: b, a."
    many = [f"think2seg-{number}" for number in range(30)]
    assert alternatives("thin2seg-7", many, "t2s experiments").startswith("The most similar of 30: think2seg-7, ")
    assert alternatives("thin2seg-7", many, "t2s experiments").endswith(" See t2s experiments.")
    assert alternatives("zzz", many) == f"There are 30, {', '.join(many[:5])} among them."
