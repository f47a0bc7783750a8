select key, digest, major, minor, count from once order by at_ms;
