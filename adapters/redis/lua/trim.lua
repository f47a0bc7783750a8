-- Applies the bounds to at most so many entries. Gives how many went.
-- KEYS: state, stream. ARGV: epoch, max_events, max_age_ms, most.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
local oldest_ms = server_ms() - tonumber(ARGV[3])
return trim(KEYS[1], KEYS[2], tonumber(ARGV[2]), oldest_ms, tonumber(ARGV[4]))
