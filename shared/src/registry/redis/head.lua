-- Says that everything up to a version is here, unless Redis was emptied since the epoch began.
-- KEYS  the head, the epoch, the list of changes    ARGV  the epoch, the version, the channel on which that is told
-- Returns 1, or 0 if the epoch is over.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local head = redis.call('GET', KEYS[1]) or ''
local epoch, version = head:match('^(%x+):(%d+):')
if epoch ~= ARGV[1] or tonumber(version) <= tonumber(ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2] .. ':' .. redis.call('ZCARD', KEYS[3]))
  redis.pcall('PUBLISH', ARGV[3], ARGV[2]) -- where that is not allowed, everybody looks more often
end
return 1
