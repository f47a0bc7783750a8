"""How far each growth goes, and what is found at its points."""

from dataclasses import dataclass

# x, and what was measured there, by column.
Figures = dict[str, float]
Points = dict[int, Figures]


@dataclass(frozen=True, slots=True)
class Growths:
    """The points of each growth, ascending, and how much is done at each.

    `size_streams` and `history_streams` get the events whose size and history grow; `replayed` is how many
    events each replaying client missed.
    """

    streams: tuple[int, ...]
    selectors: tuple[int, ...]
    sizes: tuple[int, ...]
    histories: tuple[int, ...]
    clients: tuple[int, ...]
    single_deliveries: int
    selector_events: int
    size_streams: int
    history_streams: int
    replayed: int
