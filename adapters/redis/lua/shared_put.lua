-- Sets a value that all nodes share, where the version that is there is the expected one.
-- KEYS: the value's hash, the last version of all.
-- ARGV: the content, the expected version (0: none) or '' for any, milliseconds after which it is gone or ''.
-- Gives the new version, 0 where nothing was changed.
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if ARGV[2] ~= '' and version ~= ARGV[2] then return 0 end
-- The time in microseconds, but always more than before: so versions go on where the server lost its data.
local now = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local after = math.max(last + 1, tonumber(now[1]) * 1000000 + tonumber(now[2]))
redis.call('SET', KEYS[2], digits(after))
redis.call('HSET', KEYS[1], 'content', ARGV[1], 'version', digits(after))
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return digits(after)
