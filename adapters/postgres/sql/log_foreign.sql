-- A transaction that this server has not begun yet can't be in its tables, unless another server's were restored.
select
    b.pruned_xid >= pg_snapshot_xmax(pg_current_snapshot())
    or exists (select from sync_events e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
from sync_events_bounds b
