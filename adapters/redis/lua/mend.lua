-- Raises the floor over entries that somebody else deleted. Gives 1 where it did.
-- KEYS: state, stream. ARGV: epoch, the first entry that follows the hole, or '' where the hole is at the
-- end, then the floor and its number.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  -- What was appended meanwhile has no hole before it that is known here: the next reader finds out.
  if redis.call('HGET', KEYS[1], 'last') ~= ARGV[3] then return 0 end
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', 0)
else
  if #redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2]) == 0 then return 0 end
  redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[2])
end
redis.call('HSET', KEYS[1], 'floor', ARGV[3], 'floor_number', ARGV[4])
return 1
