-- The book of one quota, read and written whole; what scripts about quotas begin with.
--
-- d  first and last day of the period     u  units used, as the ledger said
-- f:<slot>  units in flight since then    a  units that the ledger saw before anybody told of them
-- p:<lease>  units in a process's hands, and until when
--
-- In use: used + in flight + in hands - ahead. What is in flight is forgotten after a while, and so is what is in hands:
-- whoever had it may have died. The ledger knows better in any case.

local function whole(number) return string.format('%.0f', number) end

local function present(given)
  local now = tonumber(given)
  if now < 0 then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return now
end

-- Nil if the book stands at a later period than this one: what comes late does not count in it.
local function open(key, now, first, last, slot, life)
  local book = { key = key, first = first, last = last, used = 0, ahead = 0, flight = {}, leases = {} }
  local raw, known = redis.call('HGETALL', key), {}
  for i = 1, #raw, 2 do known[raw[i]] = raw[i + 1] end
  if not known.d then return book end
  local from, to = known.d:match('^(%d+):(%d+)$')
  from, to = tonumber(from), tonumber(to)
  if from > first and to > last then return nil end
  if from ~= first or to ~= last then return book end
  book.used, book.ahead = tonumber(known.u), tonumber(known.a)
  for field, text in pairs(known) do
    local kind, name = field:sub(1, 2), field:sub(3)
    if kind == 'f:' and tonumber(name) * slot + life > now then
      book.flight[#book.flight + 1] = { slot = tonumber(name), units = tonumber(text) }
    elseif kind == 'p:' then
      local units, till = text:match('^(%d+):(%d+)$')
      if tonumber(till) > now then book.leases[name] = { units = tonumber(units), till = tonumber(till) } end
    end
  end
  table.sort(book.flight, function(a, b) return a.slot < b.slot end)
  return book
end

local function in_hands(book)
  local sum = 0
  for _, lease in pairs(book.leases) do sum = sum + lease.units end
  return sum
end

local function in_use(book)
  local sum, hands = book.used, in_hands(book)
  for _, one in ipairs(book.flight) do sum = sum + one.units end
  book.ahead = math.min(book.ahead, hands)
  return sum + hands - book.ahead
end

local function fly(book, slot, units)
  if units <= 0 then return end
  local last = book.flight[#book.flight]
  if last and last.slot == slot then
    last.units = last.units + units
  else
    book.flight[#book.flight + 1] = { slot = slot, units = units }
  end
end

-- Takes units out of flight, the oldest or the newest first; what was not there is returned.
local function land(book, units, from, to, step)
  for i = from, to, step do
    local one = book.flight[i]
    local some = math.min(one.units, units)
    one.units, units = one.units - some, units - some
  end
  return units
end

local function close(book)
  local fields = { 'd', whole(book.first) .. ':' .. whole(book.last), 'u', whole(book.used), 'a', whole(book.ahead) }
  for _, one in ipairs(book.flight) do
    if one.units > 0 then
      fields[#fields + 1] = 'f:' .. whole(one.slot)
      fields[#fields + 1] = whole(one.units)
    end
  end
  for name, lease in pairs(book.leases) do
    if lease.units > 0 then
      fields[#fields + 1] = 'p:' .. name
      fields[#fields + 1] = whole(lease.units) .. ':' .. whole(lease.till)
    end
  end
  redis.call('DEL', book.key)
  redis.call('HSET', book.key, unpack(fields))
  redis.call('PEXPIRE', book.key, '3888000000') -- 45 days: longer than a month
end

