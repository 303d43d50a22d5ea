// What Redis is asked: one script with three verbs, and the protocol's way to write a command. Pure.
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::store {

// Redis 5 or later: what a script wrote is passed on as its effects, so it may ask for the time.
//
// gcra  KEYS: one a window. ARGV: verb, then for each window
//         rate:  "r", step, step's fraction, room, room's fraction, the limit's count
//         quota: "q", cost, until its end, count, half a day, 0
//       all times in us; a kept value is "ticks:fraction" (base/gcra.h has the same arithmetic).
//       Returns 1 or 0, now, and for each window what was kept of it: ticks, fraction.
// add   KEYS: one. ARGV: verb, delta, most, ttl in ms. Returns 1 or 0 and the number.
// here  KEYS: one. ARGV: verb, this process, seconds. Returns 1 and how many were here within them.
inline constexpr std::string_view redis_script = R"lua(
local verb = ARGV[1]
if verb == 'add' then
  local kept = redis.call('GET', KEYS[1])
  local sum = tonumber(kept or '0') + tonumber(ARGV[2])
  if sum < 0 or sum > tonumber(ARGV[3]) then return {0, tonumber(kept or '0')} end
  redis.call('INCRBY', KEYS[1], ARGV[2])
  if not kept and ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
  return {1, sum}
end
local time = redis.call('TIME')
if verb == 'here' then
  redis.call('ZADD', KEYS[1], time[1], ARGV[2])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (time[1] - ARGV[3]))
  redis.call('EXPIRE', KEYS[1], ARGV[3] * 2)
  return {1, redis.call('ZCARD', KEYS[1])}
end
local now = time[1] * 1000000 + time[2]
local known = redis.call('MGET', unpack(KEYS))
local out, after = {1, now}, {}
for i = 1, #KEYS do
  local at = 6 * i - 4
  local a, b = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local c, d = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local count = tonumber(ARGV[at + 5])
  local ticks, fraction
  if known[i] then
    ticks, fraction = string.match(known[i], '^(%d+):(%d+)$')
    ticks, fraction = tonumber(ticks), tonumber(fraction)
  end
  local fits
  if ARGV[at] == 'q' then
    local ends = now + b
    if ticks and ticks > now and ends - ticks < d then
      if ends > ticks then ticks = ends end
    else
      ticks, fraction = ends, 0
    end
    fits = fraction + a <= c
    after[i] = {ticks, fraction + a}
  else
    if not ticks or ticks < now then ticks, fraction = now, 0 end
    local t, f = ticks + a, fraction + b
    if f >= count then t, f = t + 1, f - count end
    fits = t < now + c or (t == now + c and f <= d)
    after[i] = {t, f}
  end
  if not fits then out[1] = 0 end
  out[#out + 1] = ticks
  out[#out + 1] = fraction
end
if out[1] == 1 then
  for i = 1, #KEYS do
    local t, f = after[i][1], after[i][2]
    redis.call('SET', KEYS[i], string.format('%.0f:%.0f', t, f),
               'PX', string.format('%.0f', math.floor((t - now) / 1000) + 1))
  end
end
return out
)lua";

// One command in the protocol of Redis, appended to a buffer that is used again and again. The number of its
// parts is known before.
class RedisCommand {
 public:
  RedisCommand(std::string& out, size_t parts) : out_(out) { head('*', parts); }
  RedisCommand& operator<<(std::string_view part) {
    head('$', part.size());
    out_.append(part).append("\r\n");
    return *this;
  }
  RedisCommand& operator<<(uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }
  RedisCommand& operator<<(int64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }

 private:
  void head(char kind, size_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out_ += kind;
    out_.append(digits, end).append("\r\n");
  }
  std::string& out_;
};

}  // namespace penstock::store
