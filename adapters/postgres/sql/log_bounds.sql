select
    b.history::text, b.pruned_xid::text, b.pruned_id,
    coalesce(h.xid, b.pruned_xid)::text, coalesce(h.id, b.pruned_id)
from (select * from sync_events_bounds limit 1) b
left join lateral (
    select e.xid, e.id
    from sync_events e
    where (e.xid, e.id) > (b.pruned_xid, b.pruned_id)
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by e.xid desc, e.id desc
    limit 1
) h on true
