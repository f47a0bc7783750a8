-- Makes the key this transaction's, where nobody has it or its time is over. Waits for another one that has it and has
-- not ended. What follows in the same query string (log_append, once_keep, once_known) sees who has it.
insert into sync_events_keys as k (key, digest, xid)
values (%(key)s, %(digest)s, pg_current_xact_id())
on conflict (key) do update
set digest = excluded.digest, xid = excluded.xid, ids = null, at = excluded.at
where k.at < clock_timestamp() - %(seconds)s * interval '1 second';
