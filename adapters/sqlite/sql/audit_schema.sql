create table if not exists audit (
    id text primary key,
    kind text not null,
    who text not null,
    body text not null
) without rowid;

create index if not exists audit_kind on audit (kind, id);
