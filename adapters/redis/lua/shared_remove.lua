-- Removes a value that all nodes share, where the version that is there is the expected one.
-- KEYS: the value's hash. ARGV: the expected version, or '' for any. Gives 1 where something was removed.
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
