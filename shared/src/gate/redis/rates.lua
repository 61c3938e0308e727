-- Counts messages of one account against all of its rates, or against none; grants a block to hold.
--
-- KEYS[1]  the account's rates
-- ARGV     now in µs (negative: the server's), µs since which this Redis knows everything (negative: not known), the
--          lease's name, how long it is valid in µs; of the lease so far: messages used, messages given back; messages
--          to take now, messages wanted in hand; messages let in while Redis was away;
--          then for each policy: name, level of one message, level that flows off in one tick, tick in µs, burst.
--
-- What is kept, per policy: the level of what was used and has not flowed off, and as of when; where a change of the policy
-- left less room than that, also how it would stand without the change, so that another change gives nothing back. Per lease: messages in
-- hand, and until when. What is in hand does not flow off: level + in hand ≤ burst holds at all times, so that it does
-- not matter when a message in hand is used. What a lease still holds at its end counts as used at its end.
-- Every number is a whole one below 2^53.
--
-- Returns { state, granted, wait in µs, then for each policy: messages left, µs until all has flowed off }.
-- state: 1 taken, 0 over (nothing was counted), -1 nothing is known of the account and `since` was not given.
-- A wait of -1: more than can ever fit.

local key = KEYS[1]
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local since, lease, valid = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local used, back = tonumber(ARGV[5]), tonumber(ARGV[6])
local take, want, away = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local function whole(number) return string.format('%.0f', number) end

local known, fresh = {}, true
local raw = redis.call('HGETALL', key)
for i = 1, #raw, 2 do
  known[raw[i]] = raw[i + 1]
  fresh = false
end
if fresh and since < 0 then return { -1, 0, 0 } end

local function flow(policy, to)
  if to < policy.at then policy.at = to end -- the server's clock went back
  local ticks = math.floor((to - policy.at) / policy.tick)
  policy.level = math.max(0, policy.level - ticks * policy.flow)
  policy.at = policy.at + ticks * policy.tick
end

local function owed(policy) return math.ceil(policy.level / policy.each) end

-- How a policy stood before it was changed: as it would stand now, everything since then counted.
local function former(name)
  local text = known['s:' .. name]
  if not text then return nil end
  local level, at, each, rate, tick, burst = text:match('^(%d+):(%d+):(%d+):(%d+):(%d+):(%d+)$')
  return { level = tonumber(level), at = tonumber(at), each = tonumber(each), flow = tonumber(rate),
           tick = tonumber(tick), burst = tonumber(burst) }
end

local policies = {}
for i = 10, #ARGV, 5 do
  local policy = { name = ARGV[i], each = tonumber(ARGV[i + 1]), flow = tonumber(ARGV[i + 2]),
                   tick = tonumber(ARGV[i + 3]), burst = tonumber(ARGV[i + 4]), level = 0, at = now }
  local text = known['b:' .. policy.name]
  if text then
    local level, at, each, rate, tick = text:match('^(%d+):(%d+):(%d+):(%d+):(%d+)$')
    policy.level, policy.at, policy.former = tonumber(level), tonumber(at), former(policy.name)
    if tonumber(each) ~= policy.each or tonumber(rate) ~= policy.flow or tonumber(tick) ~= policy.tick
       or (policy.former and policy.former.burst ~= policy.burst) then
      -- Another policy under the name: as many messages are still to flow off.
      local last = { level = policy.level, at = policy.at, each = tonumber(each), flow = tonumber(rate),
                     tick = tonumber(tick) }
      flow(last, now)
      if policy.former then
        flow(policy.former, now)
        if owed(policy.former) > owed(last) then last = policy.former end
      end
      policy.level, policy.at, policy.former = owed(last) * policy.each, now, nil
      if owed(last) > policy.burst then
        last.burst, policy.former = policy.burst, last
      end
    end
  elseif fresh then
    -- Nothing that was counted before `since` is known: the bucket was full then.
    policy.level, policy.at = policy.burst * policy.each, math.min(since, now)
  end
  policies[#policies + 1] = policy
end

-- Leases: those that ended count as used at their end, in order.
local held, ended = {}, {}
for field, text in pairs(known) do
  if field:sub(1, 2) == 'p:' then
    local count, till = text:match('^(%d+):(%d+)$')
    local one = { field = field, count = tonumber(count), till = tonumber(till) }
    if one.till <= now then
      ended[#ended + 1] = one
    else
      held[field] = one
    end
  end
end
table.sort(ended, function(a, b) return a.till < b.till end)
for _, one in ipairs(ended) do
  for _, policy in ipairs(policies) do
    if one.till > policy.at then flow(policy, one.till) end
    policy.level = policy.level + one.count * policy.each
    if policy.former then
      if one.till > policy.former.at then flow(policy.former, one.till) end
      policy.former.level = policy.former.level + one.count * policy.former.each
    end
  end
end

local mine = held['p:' .. lease] or { field = 'p:' .. lease, count = 0, till = now }
held[mine.field] = mine
local late = math.min(used, mine.count)
mine.count = math.max(0, mine.count - used - back)
local in_hand, nearest = 0, nil
for field, one in pairs(held) do
  in_hand = in_hand + one.count
  if field ~= mine.field and one.count > 0 and (not nearest or one.till < nearest) then nearest = one.till end
end

local room = 9007199254740992
for _, policy in ipairs(policies) do
  flow(policy, now)
  if policy.former then
    flow(policy.former, now)
    policy.former.level = policy.former.level + (late + away) * policy.former.each
  elseif owed(policy) > policy.burst then
    policy.former = { level = policy.level + (late + away) * policy.each, at = policy.at, each = policy.each,
                      flow = policy.flow, tick = policy.tick, burst = policy.burst }
  end
  policy.level = policy.level + (late + away) * policy.each
  -- A burst that was made smaller, or what was let in without asking: the bucket is full, and no fuller.
  policy.level = math.min(policy.level, math.max(0, policy.burst - in_hand) * policy.each)
  policy.room = math.floor((policy.burst * policy.each - policy.level) / policy.each) - in_hand
  room = math.min(room, policy.room)
end

local state, granted, wait = 0, 0, 0
local new = fresh and since > now
if room >= take and not new then
  state = 1
  granted = math.max(0, math.min(want - mine.count, math.floor((room - take) / 4)))
  mine.count = mine.count + granted
  mine.till = now + valid
else
  for _, policy in ipairs(policies) do
    local least = policy.burst - in_hand - take
    if take > policy.burst or policy.flow == 0 then
      wait = -1
      break
    elseif least < 0 then
      wait = math.max(wait, (nearest or now + policy.tick) - now)
    else
      local over = policy.level - least * policy.each
      if over > 0 then
        wait = math.max(wait, math.ceil(over / policy.flow) * policy.tick - (now - policy.at))
      end
    end
  end
  if new and wait >= 0 then wait = wait + since - now end
end

local answer = { state, granted, wait }
local lasting = valid
if state == 0 and fresh then
  for _, policy in ipairs(policies) do
    answer[#answer + 1] = 0
    answer[#answer + 1] = math.ceil(policy.level / math.max(1, policy.flow)) * policy.tick
  end
  return answer
end
for _, policy in ipairs(policies) do
  if state == 1 then
    policy.level = policy.level + take * policy.each
    policy.room = policy.room - take
    if policy.former then policy.former.level = policy.former.level + take * policy.former.each end
  end
  local reset = policy.flow == 0 and 0 or math.ceil(policy.level / policy.flow) * policy.tick
  lasting = math.max(lasting, reset + valid)
  answer[#answer + 1] = math.max(0, policy.room)
  answer[#answer + 1] = math.max(0, reset - (now - policy.at))
  redis.call('HSET', key, 'b:' .. policy.name, table.concat({ whole(policy.level), whole(policy.at),
    whole(policy.each), whole(policy.flow), whole(policy.tick) }, ':'))
  local last = policy.former
  if last and owed(last) > owed(policy) then
    last.level = math.min(last.level, 4503599627370496)
    if last.flow > 0 then lasting = math.max(lasting, math.ceil(last.level / last.flow) * last.tick + valid) end
    redis.call('HSET', key, 's:' .. policy.name, table.concat({ whole(last.level), whole(last.at),
      whole(last.each), whole(last.flow), whole(last.tick), whole(last.burst) }, ':'))
  elseif known['s:' .. policy.name] then
    redis.call('HDEL', key, 's:' .. policy.name)
  end
end
for _, one in ipairs(ended) do redis.call('HDEL', key, one.field) end
if mine.count > 0 then
  redis.call('HSET', key, mine.field, whole(mine.count) .. ':' .. whole(mine.till))
else
  redis.call('HDEL', key, mine.field)
end
-- Longer than anything in it matters; an account that calls seldom need not be made anew each time.
redis.call('PEXPIRE', key, whole(math.min(lasting / 1000 + 3600000, 315360000000)))
return answer
