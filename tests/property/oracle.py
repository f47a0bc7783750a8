"""What a client must see, decided without the hub: the judge of the property tests."""

from tests.property.world import Choice, Client, Sent, Session, World, last_id

CONTROL = frozenset({"connected", "reset", "heartbeat", "refresh", "bye"})


def check_order(world: World, client: Client) -> None:
    """In every session: each matching event once, in order; no id passes over one; resets for cause only."""
    for session in client.sessions:
        sent = session.sent()
        choice = session.choice
        at = _check_beginning(world, session, sent)
        for number, (frame, note, _) in enumerate(sent[1:], 1):
            if frame.event == "bye":
                assert number == len(sent) - 1, "something follows a bye"
            elif frame.event == "reset":
                at = _check_reset(world, client, session, sent[number], at)
            elif frame.event == "fetch-mode":
                at = _check_move(world, client, choice, sent[number], at)
                choice = client.choices[frame.data["choice"]]
            elif frame.event in CONTROL:
                at = _check_control(world, client, choice, sent[number], at)
            else:
                assert client.delivery.hints != "only", "an event for a client that wanted hints only"
                expected = world.expected(choice, at, note.head)
                assert frame.id is not None
                at = world.number_of(frame.id)
                assert expected[:1] == [at], f"event {at} came, expected {expected[:1]}"
                _check_event(world, client, choice, sent[number], at)


def _check_beginning(world: World, session: Session, sent: list[Sent]) -> int:
    connected, note = sent[0].frame, sent[0].note
    assert connected.event == "connected"
    assert connected.id is not None
    at = world.number_of(connected.id)
    if session.resumed_from is None:
        assert "recovered" not in connected.data
        assert at == note.head
        return at
    is_held = session.resumed_from >= note.floor
    assert connected.data["recovered"] is is_held, "recovered is not what the history holds"
    assert at == (session.resumed_from if is_held else note.head)
    assert is_held or sent[1].frame.event == "reset"
    return at


def _check_reset(world: World, client: Client, session: Session, sent: Sent, at: int) -> int:
    frame, note, _ = sent
    is_failure = frame.data["reason"] == "unknown" and world.failures > 0
    assert is_failure or frame.data["reason"] == "trimmed"
    assert frame.id == frame.data["cursor"]
    if sent == session.sent()[1] and session.resumed_from is not None and session.resumed_from < note.floor:
        at = session.resumed_from
    # What a client of hints only surely had is told by its ids alone: a change that it has no hint for yet
    # may be older than the last flush.
    had = at if client.delivery.hints == "only" else max(at, note.had)
    assert is_failure or note.floor > had, f"a reset although nothing after {had} was trimmed"
    assert frame.id is not None
    to = world.number_of(frame.id)
    assert to == note.head, "a reset that does not lead to the head"
    return to


def _check_move(world: World, client: Client, choice: Choice, sent: Sent, at: int) -> int:
    """The cursor of a `fetch-mode` says from where the client gets its events otherwise."""
    frame, note, _ = sent
    assert frame.id is None
    to = world.number_of(frame.data["cursor"])
    assert to <= note.head
    if client.delivery.hints == "only":
        return max(at, to)
    if to < note.floor:
        return at  # what follows was trimmed: such a cursor is answered with a reset, as the stream is
    assert to >= at, "a mode that changed before what was sent already"
    skipped = world.expected(choice, at, to)
    assert not skipped, f"the cursor of a fetch-mode passed over events {skipped}"
    return to


def _check_control(world: World, client: Client, choice: Choice, sent: Sent, at: int) -> int:
    frame, note, _ = sent
    assert frame.id is not None
    to = world.number_of(frame.id)
    assert to <= note.head
    if frame.event == "refresh":
        assert frame.id == frame.data["cursor"]
        changed = {number for one in client.choices for number in world.expected(one, 0, note.head)}
        assert any(_names(sent, world, number) for number in changed), "a hint for what did not change"
    if client.delivery.hints == "only":
        return max(at, to)
    assert to >= at, "an id went back"
    skipped = world.expected(choice, at, to)
    assert not skipped, f"the id of a {frame.event} passed over events {skipped}"
    return to


def _check_event(world: World, client: Client, choice: Choice, sent: Sent, number: int) -> None:
    frame = sent.frame
    event = world.events[number - 1]
    assert frame.event == (event.event_type if client.delivery.named else None)
    assert frame.data["id"] == frame.id
    assert frame.data["eventType"] == event.event_type
    is_leave = choice.verdict(event) == "leave"
    assert frame.data["action"] == ("leave" if is_leave else event.action)
    assert frame.data.get("data") == (None if is_leave else event.data)


def check_count(world: World) -> None:
    """What is counted as delivered is what was written."""
    written = [sent.frame for session in world.sessions for sent in session.sent()]
    events = [frame for frame in written if frame.event not in CONTROL | {"fetch-mode"}]
    assert world.hub.counters.deliveries == len(events)


def check_complete(world: World, client: Client) -> None:
    """Once all is quiet: the client that is connected has everything, and its id is the newest."""
    assert not client.session.is_over
    seen = client.session.seen()
    newest = last_id(seen)
    assert newest is not None
    at = world.number_of(newest)
    if client.delivery.hints != "only":
        missed = world.expected(client.choice, at, len(world.events))
        assert not missed, f"events {missed} never came"
    assert at == len(world.events), "heartbeats did not move the cursor to the newest event"


def check_revoked(world: World, client: Client) -> None:
    """Once all is quiet: what was before its revocation has come, nothing after it, and it was told so."""
    until = check_nothing_after_revocation(world, client)
    last = client.session.sent()[-1]
    assert (last.frame.event, last.frame.data["reason"]) == ("bye", "revoked")
    at = world.number_of(last_id(client.seen()) or "")
    if client.delivery.hints != "only" and at >= last.note.floor:
        missed = world.expected(client.choice, at, until)
        assert not missed, f"events {missed} never came"


def check_nothing_after_revocation(world: World, client: Client) -> int:
    """No event after its revocation was written to it, and its stream is over; gives the number of that."""
    until = world.revoked_at(client)
    assert until is not None
    for session in client.sessions:
        for frame, _, _ in session.sent():
            is_event = frame.event not in CONTROL | {"fetch-mode"}
            assert not is_event or world.number_of(frame.data["id"]) <= until, "an event after the revocation"
    assert client.session.is_over
    return until


def check_hints(world: World, client: Client) -> None:
    """Every matching change of an entity is followed by a hint for it, or by a reset."""
    unhinted = unhinted_changes(world, client, client.seen(), _forgiven(client))
    assert not unhinted, f"changes {unhinted} were never followed by a hint"


def check_resumption(world: World, client: Client, *, hints: bool) -> None:
    """Whoever got any beginning of the client's frames and resumes with its last id misses nothing.

    That what was seen before the resumption is whole is `check_order`'s business.
    """
    seen = client.seen()
    for length in range(max(1, len(seen) - 24), len(seen) + 1):
        beginning = seen[:length]
        cursor = last_id(beginning)
        assert cursor is not None
        session = Session(world, client, cursor)
        world.settle()
        resumed = Client(client.choice, client.delivery)
        resumed.sessions = [session]
        check_order(world, resumed)
        at = world.number_of(cursor)
        if at >= world.floor and client.delivery.hints != "only":
            numbers = [
                world.number_of(sent.frame.data["id"])
                for sent in session.seen()
                if sent.frame.event not in CONTROL
            ]
            expected = world.expected(client.choice, at, len(world.events))
            assert numbers == expected, f"resumed after {at}: got {numbers}, expected {expected}"
        if hints:
            forgiven = max(_forgiven(client), world.history.floor if client.delivery.hints == "with" else 0)
            unhinted = unhinted_changes(world, client, beginning + session.seen(), forgiven)
            assert not unhinted, f"resumed after {at}: no hint for changes {unhinted}"
        session.end()


def _forgiven(client: Client) -> int:
    """Up to where a client of events and hints may lack hints.

    Its cursor says which events it has. Which hints it lacks is told by the events shortly before, of which
    those that were trimmed when it came back tell nothing any more.
    """
    if client.delivery.hints == "only":
        return 0
    return max((session.floor_at_start for session in client.sessions[1:]), default=0)


def unhinted_changes(world: World, client: Client, seen: list[Sent], forgiven: int) -> list[int]:
    """The changes for which these frames hold no hint that was written after them."""
    first = seen[0].frame.id
    assert first is not None
    start = max(world.number_of(first), forgiven)
    for sent in seen:
        frame = sent.frame
        was_told = frame.event == "reset" or (
            frame.event == "connected" and not frame.data.get("recovered", 1)
        )
        if was_told and frame.id is not None:
            start = max(start, world.number_of(frame.id))
    hints = [sent for sent in seen if sent.frame.event == "refresh"]
    return [
        number
        for number in world.expected(client.choice, start, len(world.events))
        if world.events[number - 1].entity_type is not None
        and not any(hint.note.head >= number and _names(hint, world, number) for hint in hints)
    ]


def _names(hint: Sent, world: World, number: int) -> bool:
    """Whether a hint is for the entity that event `number` changed."""
    event = world.events[number - 1]
    data = hint.frame.data
    return data["entityType"] == event.entity_type and data.get("entityId") in (None, event.entity_id)
