-- What a front of the gate looks at every now and then, and how it is counted.
--
-- KEYS  since when this Redis knows everything, the fronts there are, the stamp of what waits
-- ARGV  now in µs (negative: the server's), this front's name (empty: only look), how long a front counts in µs
--
-- Returns { µs since which this Redis knows everything, fronts, stamp }. A Redis that knows nothing begins now.

local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local since = redis.call('GET', KEYS[1])
if not since then
  since = string.format('%.0f', now)
  redis.call('SET', KEYS[1], since)
end
local fronts = 0
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now - tonumber(ARGV[3])))
  fronts = redis.call('ZCARD', KEYS[2])
end
return { tonumber(since), fronts, redis.call('GET', KEYS[3]) or '' }
