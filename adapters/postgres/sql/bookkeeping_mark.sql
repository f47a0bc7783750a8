-- Marks the next events up to a position as processed. Gives how many, null where another node is at it: one
-- that comes after it with an older snapshot marks nothing twice, and does not move back.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('sync_bookkeeping'), hashtext(current_schema())) as is_ours
), batch as materialized (
    select e.xid, e.id
    from turn as t
    join sync_bookkeeping as k on t.is_ours
    join sync_events_bounds as b on b.history = k.history
    cross join lateral (
        select e.xid, e.id
        from sync_events as e
        where (e.xid, e.id) > (k.processed_xid, k.processed_id)
            and (e.xid, e.id) <= (%(major)s::xid8, %(minor)s)
        order by e.xid, e.id
        limit %(batch)s
    ) as e
), marked as (
    update sync_events as e
    set processed_at = clock_timestamp()
    from batch as b
    where e.xid = b.xid and e.id = b.id and e.processed_at is null
), moved as (
    update sync_bookkeeping as k
    set processed_xid = l.xid, processed_id = l.id
    from (select b.xid, b.id from batch as b order by b.xid desc, b.id desc limit 1) as l
    where (l.xid, l.id) > (k.processed_xid, k.processed_id)
)
select case when t.is_ours then (select count(*) from batch) end
from turn as t
