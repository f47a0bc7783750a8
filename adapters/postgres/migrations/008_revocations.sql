-- A revocation is an event of the log like any other, and takes rights away. So only who may also delete events, which
-- the gateways may and applications that merely insert may not, can write one. It is the session's user that counts: the
-- trigger function of captured tables runs with its owner's rights.
alter table sync_events add constraint revocation_is_the_gateways check (
    event_type <> 'tidegate.revocation' or has_table_privilege(session_user, tableoid, 'delete')
) not valid;

insert into tidegate_schema (version, name) values (8, 'revocations');
