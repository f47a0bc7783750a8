"""gateway/http/long_answers.py: how much is written in one turn of the loop."""

import asyncio
from collections import Counter

from gateway.http.long_answers import PIECE_BYTES, LongAnswers, pieces_of


class Turns:
    """Counts the loop's turns beside what a test does."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1


class TakesAll:
    """An answer whose caller reads as fast as it is written; it notes in which turns that was."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.written: list[int] = []
        self.is_over = False

    async def write(self, piece: memoryview) -> None:
        self.written.append(self.turns.count)

    async def write_eof(self) -> None:
        self.is_over = True


async def sent_to(callers: int, pieces: int) -> list[TakesAll]:
    turns, long_answers = Turns(), LongAnswers()
    counting = asyncio.ensure_future(turns.run())
    answers = [TakesAll(turns) for _ in range(callers)]
    body = bytes(pieces * PIECE_BYTES)
    await asyncio.gather(*(long_answers.send(answer, pieces_of(body)) for answer in answers))
    counting.cancel()
    return answers


def test_a_body_is_cut_in_pieces_that_are_it() -> None:
    body = bytes(range(256)) * 1024
    pieces = list(pieces_of(body))
    assert b"".join(pieces) == body
    assert [len(piece) for piece in pieces] == [PIECE_BYTES] * 4
    assert list(pieces_of(b"")) == []


async def test_a_long_answer_leaves_turns_to_others_also_where_its_caller_takes_all_at_once() -> None:
    (answer,) = await sent_to(callers=1, pieces=16)
    assert (len(answer.written), len(set(answer.written)), answer.is_over) == (16, 16, True)


async def test_of_many_callers_one_goes_on_in_each_turn() -> None:
    answers = await sent_to(callers=50, pieces=4)
    assert all(answer.is_over and len(answer.written) == 4 for answer in answers)
    a_turn = Counter(turn for answer in answers for turn in answer.written)
    # They all come in the first one.
    assert max(count for turn, count in a_turn.items() if turn > 0) <= 2
