create table if not exists tidegate_schema (
    version integer primary key,
    name text not null,
    installed_at timestamptz not null default now()
);
