-- Who published, who changed what, and who was refused. Ids are compared by their bytes.
create table tidegate_audit (
    id text collate "C" primary key,
    kind text not null,
    who text not null,
    entry json not null
);

create index tidegate_audit_kind on tidegate_audit (kind, id);

insert into tidegate_schema (version, name) values (9, 'audit');
