-- The log in one row. The number of events is the planner's estimate, which the last ANALYZE left; counting
-- them would read the whole table.
select
    pg_total_relation_size('sync_events'),
    (select nullif(c.reltuples, -1)::bigint from pg_class as c where c.oid = 'sync_events'::regclass),
    (select e.recorded_at from sync_events as e order by e.xid, e.id limit 1),
    (select e.recorded_at from sync_events as e order by e.xid desc, e.id desc limit 1),
    b.pruned_xid::text, b.pruned_id,
    w.count, extract(epoch from clock_timestamp() - w.since)::float8,
    (select count(*) from sync_events as e where e.event_type = 'capture_gap')
from sync_events_bounds as b
cross join (
    select count(*), min(e.recorded_at) as since
    from sync_events as e
    where e.xid >= pg_snapshot_xmin(pg_current_snapshot())
) as w
