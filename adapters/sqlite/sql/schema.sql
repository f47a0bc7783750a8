-- All or nothing: what a failure leaves behind is an empty file, which is a new log.
begin immediate;
create table event (
    number integer primary key, -- without gaps, so that counting needs no scan
    major integer not null,
    minor integer not null,
    body text not null
);
create unique index event_position on event (major, minor);
-- The last position given and the last one dropped outlive their events.
create table log (
    only_row integer primary key check (only_row = 1),
    epoch text not null,
    floor integer not null,
    floor_major integer not null,
    floor_minor integer not null,
    head integer not null,
    head_major integer not null,
    head_minor integer not null
);
-- What was appended under an idempotency key: `count` events from that position on.
create table once (
    key text primary key,
    digest blob not null,
    major integer not null,
    minor integer not null,
    count integer not null,
    at_ms integer not null
);
-- "TDLG", so that no other program's database is taken for a log.
pragma application_id = 1413762119;
pragma user_version = 1;
commit;
