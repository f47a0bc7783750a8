-- What stands under the key now. A statement of its own, so that it sees what another transaction committed while the
-- claim waited for it.
select b.history::text, k.xid::text, k.ids, k.digest, k.xid is distinct from pg_current_xact_id_if_assigned()
from (select * from sync_events_bounds limit 1) b
left join sync_events_keys k on k.key = %(key)s
