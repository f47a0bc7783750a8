-- What stands under the key now. A statement of its own, so that it sees what another transaction committed while the
-- claim waited for it.
select (select b.history::text from sync_events_bounds b), k.xid::text, k.ids, k.digest, k.xid is distinct from pg_current_xact_id_if_assigned()
from sync_events_keys k
where k.key = %(key)s
