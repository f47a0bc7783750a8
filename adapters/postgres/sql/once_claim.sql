-- One row where the key is this transaction's now. Waits for another one that has it and has not ended.
insert into sync_events_keys as k (key, digest)
values (%(key)s, %(digest)s)
on conflict (key) do update
set digest = excluded.digest, xid = null, ids = null, at = excluded.at
where k.at < clock_timestamp() - %(seconds)s * interval '1 second'
returning true
