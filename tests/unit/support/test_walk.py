"""tests/support/walk.py: what a page says to expect, and what comes."""

import pytest

from tests.support.walk import Step, steps

PAGE = """
```sh
ignored
```

```console
$ first --option
one … three
…
end
$ second
```

```console
$ third
…
```
"""


def test_a_page_gives_its_commands_with_their_output_in_order() -> None:
    assert steps(PAGE) == [
        Step("first --option", "one … three\n…\nend\n"),
        Step("second", ""),
        Step("third", "…\n"),
    ]


@pytest.mark.parametrize(
    "output", ["one 2 three\nend\n", "one   two   three\nx\ny\nend\n", "  one … three\nend\nend\n"]
)
def test_what_varies_and_the_width_of_columns_do_not_count(output: str) -> None:
    assert steps(PAGE)[0].matches(output)


@pytest.mark.parametrize(
    "output",
    ["", "one\ntwo three\nend\n", "one 2 three\nend\nmore\n", "x\none 2 three\nend\n", "one 2 three\n"],
)
def test_all_else_counts(output: str) -> None:
    assert not steps(PAGE)[0].matches(output)


def test_a_command_without_output_is_to_have_none() -> None:
    assert steps(PAGE)[1].matches("")
    assert not steps(PAGE)[1].matches("x\n")
