"""The picture of the stages in docs/migration.md, drawn from the table of moves (flags/decide/stages.py)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from flags.decide.stages import Stage

_GAP = 8


def picture(moves: Mapping[Stage, Sequence[Stage]]) -> str:
    """The stages in the table's order: the steps forward on the first line, below it the ways back.

    Raises ValueError for a move forward that is no step to the next stage: the picture has no line for it.
    """
    stages = list(moves)
    columns, place = [], 2
    for stage in stages:
        columns.append(place + len(stage) // 2)
        place += len(stage) + _GAP
    lines = [_forward(moves, stages)]
    lines += [_back(moves, stages, columns, index) for index in range(1, len(stages))]
    return "\n".join(line.rstrip() for line in lines)


def _forward(moves: Mapping[Stage, Sequence[Stage]], stages: Sequence[Stage]) -> str:
    text = f"  {stages[0]}"
    for index, (before, after) in enumerate(pairwise(stages)):
        jumps = set(moves[before]) & set(stages[index + 2 :])
        if jumps:
            raise ValueError(f"no line for {before} to {', '.join(sorted(jumps))}")
        text += f" {'─' * (_GAP - 3)}▶ " if after in moves[before] else " " * _GAP
        text += after
    return text


def _back(
    moves: Mapping[Stage, Sequence[Stage]], stages: Sequence[Stage], columns: Sequence[int], index: int
) -> str:
    """The ways back from one stage: a line that begins under it and has an arrow under each target."""
    targets = [columns[earlier] for earlier in range(index) if stages[earlier] in moves[stages[index]]]
    line = [" "] * (columns[-1] + 1)
    for column in columns[index + 1 :]:
        line[column] = "│"
    if targets:
        line[min(targets) : columns[index]] = "─" * (columns[index] - min(targets))
        for column in targets:
            line[column] = "◀"
        line[columns[index]] = "┘"
    return "".join(line)
