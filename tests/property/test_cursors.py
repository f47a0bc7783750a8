"""Cursors: integers in order, and one text for each."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.events import Cursor, Position

U64 = 2**64 - 1
# Small ones, and those around a change of length, where text and integers order differently.
_numbers = st.integers(0, 120) | st.integers(0, U64) | st.sampled_from((9, 10, 99, 100, 10**19, U64))
_positions = st.builds(Position, _numbers, _numbers)
_epochs = st.text("abcxyz0189", min_size=1, max_size=64)
_scopes = st.just("") | st.from_regex(r"[A-Za-z0-9_-]{11}", fullmatch=True)
_cursors = st.builds(Cursor, _epochs, _positions, _scopes)


@given(_cursors)
def test_a_cursor_is_read_back_from_its_text(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@given(_epochs, _positions, _positions)
def test_cursors_of_an_epoch_order_as_pairs_of_integers(epoch: str, one: Position, other: Position) -> None:
    parsed = [Cursor.parse(str(Cursor(epoch, position))) for position in (one, other)]
    assert parsed[0] is not None
    assert parsed[1] is not None
    assert (parsed[0] < parsed[1]) is ((one.major, one.minor) < (other.major, other.minor))


@given(st.text() | st.from_regex(r"[a-z0-9]*[.:]?[0-9]*-?[0-9]*([.][A-Za-z0-9_-]*)?\s?", fullmatch=True))
def test_any_text_is_a_cursor_that_is_written_so_or_none(text: str) -> None:
    cursor = Cursor.parse(text)
    assert cursor is None or str(cursor) == text


@given(_cursors, st.integers(0, 300), st.characters())
def test_a_cursor_with_a_character_changed_is_another_or_none(
    cursor: Cursor, place: int, character: str
) -> None:
    text = str(cursor)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    parsed = Cursor.parse(changed)
    assert parsed is None or str(parsed) == changed
    assert changed == text or parsed != cursor
