-- What the nodes of a cluster tell one another beside the events: leases, snapshots, flags, choices.
create table tidegate_shared (
    key text primary key,
    value bytea not null,
    version bigint not null,
    expires_at timestamptz
);

-- One for all keys: so a key's versions go on also where its row was deleted in between.
create sequence tidegate_shared_version;

-- What was appended under an idempotency key: the events of one transaction, in order.
create table sync_events_keys (
    key text primary key,
    digest bytea not null,
    xid xid8,
    ids bigint[],
    at timestamptz not null default clock_timestamp()
);

create index sync_events_keys_at on sync_events_keys (at);

insert into tidegate_schema (version, name) values (4, 'shared');
