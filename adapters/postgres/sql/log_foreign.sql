-- A transaction that this server has not begun yet can't be in its tables, unless another server's were restored.
select
    b.pruned_xid >= pg_snapshot_xmax(pg_current_snapshot())
    or coalesce(
        (
            select e.xid >= pg_snapshot_xmax(pg_current_snapshot())
            from sync_events e
            order by e.xid desc, e.id desc
            limit 1
        ),
        false
    )
from (select * from sync_events_bounds limit 1) b
