create table if not exists shared (
    key text primary key,
    value blob not null,
    version integer not null,
    expires_at_ms integer
);
create table if not exists shared_version (last integer not null);
insert into shared_version (last) select 0 where not exists (select * from shared_version);
