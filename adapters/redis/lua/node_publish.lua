-- Gives a packet to every node that listens. A replica would give it to those alone that listen there.
-- KEYS: none. ARGV: channel, packet.
if not string.find(redis.call('INFO', 'replication'), 'role:master', 1, true) then
  return redis.error_reply('READONLY a replica carries nothing to the nodes of its master')
end
return redis.call('PUBLISH', ARGV[1], ARGV[2])
