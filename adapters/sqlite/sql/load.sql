select epoch, floor, floor_major, floor_minor, head, head_major, head_minor from log;
