-- Of a file from before choices had a day. They are taken as made on the day before: today has its own.
alter table preference add column day integer not null default 0;
