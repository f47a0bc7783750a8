-- The events of this transaction are those of the key, for nothing else is appended in it.
update sync_events_keys k
set ids = (select array_agg(e.id) from sync_events e where e.xid = k.xid)
where k.key = %(key)s and k.xid = pg_current_xact_id_if_assigned();
