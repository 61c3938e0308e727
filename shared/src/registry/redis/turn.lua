-- Takes or keeps the turn to project, and tells the epoch and the head. An emptied Redis begins a new epoch.
-- KEYS  the turn, the epoch, the head    ARGV  who asks, how long a turn lasts in ms, a name for a new epoch
-- Returns { 1 if it is mine, epoch, head }.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return { 0, '', '' } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not redis.call('GET', KEYS[2]) then redis.call('SET', KEYS[2], ARGV[3]) end
return { 1, redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) or '' }
