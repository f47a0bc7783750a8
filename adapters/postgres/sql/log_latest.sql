-- As log_read.sql, from the other end, or from before a position.
select
    b.history::text,
    b.pruned_xid >= pg_snapshot_xmax(pg_current_snapshot())
    or coalesce(n.xid >= pg_snapshot_xmax(pg_current_snapshot()), false),
    r.xid::text, r.id, r.event_type, r.entity_type, r.entity_id, r.action, r.data, r.previous, r.moment,
    r.source, r.actor, r.metadata, r.recorded_ms
from (select * from sync_events_bounds limit 1) b
left join lateral (
    select e.xid
    from sync_events e
    order by e.xid desc, e.id desc
    limit 1
) n on true
left join lateral (
    select
        e.xid, e.id, e.event_type, e.entity_type, e.entity_id, e.action, e.data::text, e.previous::text,
        to_char(e."timestamp" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as moment,
        e.source, e.actor::text, e.metadata::text,
        floor(extract(epoch from greatest(e.recorded_at, 'epoch')) * 1000)::float8 as recorded_ms
    from sync_events e
    where (e.xid, e.id) > (b.pruned_xid, b.pruned_id)
        and (e.xid, e.id) < (%(major)s::xid8, %(minor)s)
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by e.xid desc, e.id desc
    limit %(limit)s
) r on true
order by r.xid, r.id
