-- Takes a lock, or keeps the one that is held. Gives 1 where it is the holder's now.
-- KEYS: lock. ARGV: holder, milliseconds for which it is kept.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
