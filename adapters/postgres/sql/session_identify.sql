-- Which server this is, and what bounds a session that its client left behind. The timeline is the WAL's own:
-- pg_control_checkpoint() still gives the old one right after a promotion.
select
    pg_is_in_recovery() or current_setting('transaction_read_only')::boolean,
    current_setting('server_encoding'),
    s.system_identifier::text,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
    extract(epoch from pg_postmaster_start_time())::text,
    -- Before the table has statistics the planner takes every read for a big one; compiling it costs 100 ms.
    set_config('jit', 'off', false),
    -- What the gateway was told is done has to be on the disk.
    set_config(
        'synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'local'), false
    ),
    -- Each statement of an append has to see what was committed before it began.
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('idle_in_transaction_session_timeout', '5s', false),
    -- The server too knows after some 20 to 25 seconds of a peer that is gone without a word.
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '20000', false)
from pg_control_system() s
