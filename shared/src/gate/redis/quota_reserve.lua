-- Takes units of every quota that a message counts against, or of none; grants a block to hold.
--
-- KEYS  the quotas
-- ARGV  now in µs (negative: the server's), slot in µs, µs in flight, the lease's name, how long it is valid in µs;
--       of the lease so far: units used, units given back; units whose message was refused; units to take now, units
--       wanted in hand; then for each quota: first and last day of the period, limit.
--
-- Returns { number of the first quota without room (0: all had), granted }.

local now = present(ARGV[1])
local slot, life, lease, valid = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local used, back, refused = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local take, want = tonumber(ARGV[9]), tonumber(ARGV[10])
local current = math.floor(now / slot)

local books, full, granted = {}, 0, want
for i, key in ipairs(KEYS) do
  local first, last = tonumber(ARGV[8 + 3 * i]), tonumber(ARGV[9 + 3 * i])
  local book = open(key, now, first, last, slot, life)
  if book then
    local mine = book.leases[lease] or { units = 0, till = now }
    mine.units = math.max(0, mine.units - used - back)
    book.leases[lease], book.mine = mine, mine
    local seen = math.min(book.ahead, used)
    book.ahead = book.ahead - seen
    fly(book, current, used - seen)
    land(book, refused, #book.flight, 1, -1)
    local room = tonumber(ARGV[10 + 3 * i]) - in_use(book)
    if room < take and full == 0 then full = i end
    granted = math.min(granted, want - mine.units, math.floor((room - take) / 16))
    books[#books + 1] = book
  end
end
granted = full == 0 and math.max(0, granted) or 0
for _, book in ipairs(books) do
  if full == 0 then
    fly(book, current, take)
    book.mine.units = book.mine.units + granted
    book.mine.till = now + valid
  end
  close(book)
end
return { full, granted }
