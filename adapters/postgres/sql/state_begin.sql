-- Begins a reading of captured tables, of one moment, which log_bounds.sql after it fixes. It writes nothing, so no
-- delivery waits for it. The settings are those of the triggers: a row's JSON is then the one that its events have.
-- Cleaning up does wait for it, on the whole server: who stops in the middle is ended.
begin isolation level repeatable read read only;
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'iso_8601';
set local bytea_output = 'hex';
set local extra_float_digits = 1;
set local lc_monetary = 'C';
set local statement_timeout = '10s';
set local idle_in_transaction_session_timeout = '60s';
