select pg_advisory_xact_lock(hashtext('tidegate_schema'), hashtext(current_schema()))
