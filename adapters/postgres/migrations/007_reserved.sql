-- An EventSource dispatches events of its own under the names error and open. An event of before that has one of
-- them stays as it is: its row is not looked at.
alter table sync_events drop constraint event_type_is_not_reserved;

alter table sync_events add constraint event_type_is_not_reserved check (
    event_type not in (
        'connected', 'reset', 'heartbeat', 'refresh', 'fetch-mode', 'token-expiring', 'presence', 'broadcast',
        'bye', 'error', 'open'
    )
) not valid;

insert into tidegate_schema (version, name) values (7, 'reserved');
