-- A position names one event also where the log was put back to an earlier state (a restored copy) and went on from
-- there: the transaction's id and the number are given again then, and the 20 random bits below the number are not.
-- So a reader whose event is gone finds its position gone. Numbers stay in order; see docs/architecture.md.
lock table sync_events in access exclusive mode;

create sequence sync_events_number as bigint;

select setval('sync_events_number', nextval(pg_get_serial_sequence('sync_events', 'id')));

alter table sync_events alter column id drop identity;

alter sequence sync_events_number owned by sync_events.id;

alter table sync_events alter column id
set default (nextval('sync_events_number') << 20) | floor(random() * 1048576)::bigint;

-- Whoever may insert an event draws a number. It can be drawn in vain, and not be set back.
grant usage on sequence sync_events_number to public;

-- What readers see must outlive a crash: a transaction that writes events is on the disk before it is visible, also
-- where its session or the server commits asynchronously.
create function sync_events_durable() returns trigger language plpgsql
as $$
begin
    if pg_catalog.current_setting('synchronous_commit') = 'off' then
        perform pg_catalog.set_config('synchronous_commit', 'local', true);
    end if;
    return null;
end
$$;

create trigger sync_events_durable before insert on sync_events
for each statement execute function sync_events_durable();

-- As before, and idempotency keys go with the events that they stand for.
create or replace function sync_events_truncated() returns trigger language plpgsql security definer
set search_path from current
as $$
begin
    update sync_events_bounds set pruned_xid = '0', pruned_id = 0, history = gen_random_uuid();
    delete from sync_events_keys;
    return null;
end
$$;

insert into tidegate_schema (version, name) values (5, 'branches');
