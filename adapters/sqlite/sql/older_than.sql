select number from event where major < ? order by major desc, minor desc limit 1;
