-- The newest key beyond the count. It has to walk over all that is kept.
select e.xid::text, e.id
from (select * from sync_events_bounds limit 1) b
cross join lateral (
    select k.xid, k.id
    from sync_events k
    where (k.xid, k.id) > (b.pruned_xid, b.pruned_id)
        and k.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by k.xid desc, k.id desc
    offset %(max_events)s limit 1
) e
