-- Always at least one row: what is known of the log comes from the same snapshot as the events, so that "trimmed" is
-- exact. In its order: the history; whether rows are another server's, for no transaction that this one has yet to
-- begin can be in its tables; the floor; whether committed events are gated; whether the log holds an event at the
-- reader's position, at the newest that this node has seen there, and at the newest that it has heard of since. The
-- gate, xid < xmin, leaves out what a transaction with a lower xid may yet commit before.
-- `limit 1` tells the planner that there is one row of bounds, before it has statistics on them.
select
    b.history::text,
    b.pruned_xid >= pg_snapshot_xmax(pg_current_snapshot())
    or coalesce(n.xid >= pg_snapshot_xmax(pg_current_snapshot()), false),
    b.pruned_xid::text, b.pruned_id,
    coalesce(n.xid >= pg_snapshot_xmin(pg_current_snapshot()), false),
    exists (select from sync_events a where a.xid = %(major)s::xid8 and a.id = %(minor)s),
    exists (select from sync_events k where k.xid = %(known_major)s::xid8 and k.id = %(known_minor)s),
    exists (select from sync_events h where h.xid = %(heard_major)s::xid8 and h.id = %(heard_minor)s),
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
    where (e.xid, e.id) > (%(major)s::xid8, %(minor)s)
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by e.xid, e.id
    limit %(limit)s
) r on true
order by r.xid, r.id
