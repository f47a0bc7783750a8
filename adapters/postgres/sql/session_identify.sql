-- The timeline is the WAL's own: pg_control_checkpoint() still gives the old one right after a promotion.
select
    pg_is_in_recovery() or current_setting('transaction_read_only')::boolean,
    current_setting('server_encoding'),
    s.system_identifier::text,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
    -- Before the table has statistics the planner takes every read for a big one; compiling it costs 100 ms.
    set_config('jit', 'off', false)
from pg_control_system() s
