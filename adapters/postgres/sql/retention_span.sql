-- The numbers of the ends, without the random bits: their difference is at least the number of events between, and costs nothing to know.
select b.pruned_id >> 20, n.id >> 20
from (select * from sync_events_bounds limit 1) b
cross join lateral (select e.id from sync_events e order by e.xid desc, e.id desc limit 1) n
