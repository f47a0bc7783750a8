-- Where the bookkeeping begins in a history that it has not seen: at the position given, since when the events
-- before it were processed is not known.
update sync_bookkeeping as k
set history = b.history, processed_xid = %(major)s::xid8, processed_id = %(minor)s, recorded_at = clock_timestamp()
from sync_events_bounds as b
where k.history is distinct from b.history
