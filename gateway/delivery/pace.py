"""The batch sizes, budgets and delays of delivery, as one value: constants that no setting reaches."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Budgets, batches and delays. The defaults are what gateways run with: no setting reaches them."""

    writes_a_turn: int = 256
    """Of a turn of the hub: about two milliseconds of writes, the kernel's part included."""
    bytes_a_write: int = 32_768
    """To write so many bytes, or to put them together, takes about as long as a write of few."""
    compressed_a_write: int = 2_048
    """As long as that takes it to compress so many bytes (gateway/core/gzip_stream.py)."""
    turn_seconds: float = 0.004
    """The most that a turn counts as in what a flush took; the rest of the time went to others already."""
    longest_rest_seconds: float = 0.05
    """After a flush. Longer than that others need no rest at once: it would hold up readers more than it
    helps."""

    entries_a_flush: int = 2048
    bytes_a_flush: int = 1_048_576
    """The entry with which their frames reach that many is a flush's last."""
    bytes_a_payload: int = 196_608
    """The entry with which their frames reach that many is a payload's last: what a group's members get of a
    flush at a time. A payload is put together, and compressed, in one piece."""

    catch_up_entries: int = 256
    """How many entries of the history a batch for one subscriber looks at."""
    catch_up_bytes: int = 65_536
    """The entry with which their frames reach that many is a batch's last, also of one that reads the log."""
    catch_up_seconds_a_turn: float = 0.002
    """After so long no further batch is begun in a turn."""

    records_a_read: int = 256
    """The most that is read of the log at once; fewer where they are large (gateway/runtime/log_pages.py)."""
    reads_at_once: int = 4
    kept_bytes: int = 16_777_216
    """Of what was read of the log, for who comes with a cursor close to that."""
    bounds_seconds: float = 1.0
    """For how long the log's bounds are taken to hold. A floor that has risen since is found out by
    reading."""

    state_reads_at_once: int = 4
    state_fresh_seconds: float = 1.0
    """For how long a state counts as that of now where its source can't tell whether it has changed."""
    state_kept_bytes: int = 134_217_728
    """Of states that nobody is being sent, for whoever asks for the same."""
    state_kept_seconds: float = 300.0
    """For how long after somebody asked for it last."""
    state_whole_bytes: int = 67_108_864
    """Of entity types that are read whole, for whoever selects a part of them."""
    state_whole_seconds: float = 10.0
    """For how long after somebody did so last. Their source is asked as often as for any other state."""
    state_largest_bytes: int = 268_435_456
    """Of one state: a larger one is not told at all."""
    state_too_large_seconds: float = 60.0
    """For how long one that was larger is not asked for again."""
    state_room_bytes: int = 536_870_912
    """Of all states, those that somebody is being sent among them: beyond that none is read."""

    presence_window_seconds: float = 0.1
    """For so long the joins, leaves and updates of channels are gathered, before one frame tells of them."""
    broadcast_bytes_waiting: int = 1_048_576
    """Of broadcasts that are to be written yet: beyond that none is taken."""

    streams_a_slice: int = 128
    """That heartbeats look at in one go: half a turn, should all of them be due."""
    sweep_seconds: float = 1.0
    """How often the buffers of clients that don't read are looked at."""
    bye_seconds: float = 5.0
    """How long a client may take to read the last frames it was sent."""


USUAL = Pace()
