-- Writes a document if it is newer than what is there. What is there begins with its version.
-- KEYS  where documents of its customer are    ARGV  its field, its version, the document
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and tonumber(known:match('^%d+')) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
return 1
