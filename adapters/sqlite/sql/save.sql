insert or replace into log (only_row, epoch, floor, floor_major, floor_minor, head, head_major, head_minor)
values (1, ?, ?, ?, ?, ?, ?, ?);
