-- The ids of the ends: their difference is at least the number of events between, and costs nothing to know.
select b.pruned_id, n.id
from (select * from sync_events_bounds limit 1) b
cross join lateral (select e.id from sync_events e order by e.xid desc, e.id desc limit 1) n
