update sync_events_keys k
set xid = pg_current_xact_id(), ids = %(ids)s
where k.key = %(key)s
