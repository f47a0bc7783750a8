-- Deletes a prefix of what is readable, never more: what is still gated would be below the floor before anybody
-- could read it. One node at a time; the trigger of the table moves the floor in this same transaction.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('sync_events'), 'sync_events'::regclass::oid::integer) as is_ours
),
oldest as (
    select
        e.xid, e.id,
        (e.xid, e.id) <= (%(major)s::xid8, %(minor)s) as is_excess,
        bool_and(e.recorded_at < clock_timestamp() - %(max_age_seconds)s * interval '1 second')
            over (order by e.xid, e.id) as is_aged
    from (
        select k.xid, k.id, k.recorded_at
        from (select * from sync_events_bounds limit 1) b
        cross join lateral (
            -- From the floor on: what lies below has gone, but is in the index until the next vacuum.
            select o.xid, o.id, o.recorded_at
            from sync_events o
            where (o.xid, o.id) > (b.pruned_xid, b.pruned_id)
                and o.xid < pg_snapshot_xmin(pg_current_snapshot())
            order by o.xid, o.id
            limit %(batch)s
        ) k
    ) e
),
gone as (
    delete from sync_events e
    using oldest o, turn t
    where t.is_ours and e.xid = o.xid and e.id = o.id and (o.is_excess or o.is_aged)
    returning 1
)
select (select t.is_ours from turn t), (select count(*) from gone)
