"""Terminal sessions out of a page: commands, and the output that the page says to expect."""

import re
from dataclasses import dataclass

VARIES = "…"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the output that the page shows.

    `…` on the page is whatever varies: within its line, or any number of lines where it has a line to itself.
    """

    command: str
    expected: str

    def matches(self, output: str) -> bool:
        """Whether this is what the page says, but for the number of blanks between words."""
        pattern = "".join(_line_pattern(line) for line in _squeezed(self.expected))
        return re.fullmatch(pattern, "".join(f"{line}\n" for line in _squeezed(output))) is not None


def steps(page: str) -> list[Step]:
    """The commands of the page's console blocks, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = session.partition("\n")
            found.append(Step(command, expected))
    return found


def _squeezed(text: str) -> list[str]:
    """The lines of `text`, words one blank apart: so no width on the page depends on what varies."""
    return [re.sub(r" +", " ", line).strip() for line in text.splitlines()]


def _line_pattern(line: str) -> str:
    if line == VARIES:
        return r"(?:[^\n]*\n)*"
    return re.escape(line).replace(VARIES, r"[^\n]*") + r"\n"
