-- `change` numbers the changes of all rows, so that another process can ask for what is new.
create table if not exists preference (
    key text primary key,
    delivery text not null check (delivery in ('auto', 'polling', 'streaming')),
    change integer not null unique
) without rowid;
