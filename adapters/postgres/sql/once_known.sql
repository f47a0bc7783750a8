select k.digest, k.xid::text, k.ids
from sync_events_keys k
where k.key = %(key)s
