-- As log_read.sql: the history, whether rows are another server's, then the floor and the head.
select
    b.history::text,
    b.pruned_xid >= pg_snapshot_xmax(pg_current_snapshot())
    or coalesce(n.xid >= pg_snapshot_xmax(pg_current_snapshot()), false),
    b.pruned_xid::text, b.pruned_id,
    coalesce(h.xid, b.pruned_xid)::text, coalesce(h.id, b.pruned_id)
from (select * from sync_events_bounds limit 1) b
left join lateral (
    select e.xid
    from sync_events e
    order by e.xid desc, e.id desc
    limit 1
) n on true
left join lateral (
    select e.xid, e.id
    from sync_events e
    where (e.xid, e.id) > (b.pruned_xid, b.pruned_id)
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by e.xid desc, e.id desc
    limit 1
) h on true
