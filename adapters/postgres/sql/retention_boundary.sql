-- The newest key beyond the count. The ids of the ends say cheaply that there is none.
select x.xid::text, x.id
from sync_events_bounds b
cross join lateral (select e.id from sync_events e order by e.xid desc, e.id desc limit 1) n
cross join lateral (
    select e.xid, e.id
    from sync_events e
    where (e.xid, e.id) > (b.pruned_xid, b.pruned_id)
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by e.xid desc, e.id desc
    offset %(max_events)s limit 1
) x
where n.id - b.pruned_id > %(max_events)s
