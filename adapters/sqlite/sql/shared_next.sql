update shared_version set last = last + 1 returning last;
