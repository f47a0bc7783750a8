-- `change` numbers the changes of all rows, so that another process can ask for what is new.
-- `day` is the day since 1970-01-01 on which the choice was made (flags/store/choice_days.py).
create table if not exists preference (
    key text primary key,
    delivery text not null check (delivery in ('auto', 'polling', 'streaming')),
    change integer not null unique,
    day integer not null
) without rowid;
