#include "http/headers.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::http {
namespace {

constexpr size_t known_count = static_cast<size_t>(HeaderId::count_);

// In the order of HeaderId.
constexpr std::array<std::string_view, known_count> names{
    "",
    "accept",
    "accept-encoding",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-key",
    "sec-websocket-version",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-api-key",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
    "traceparent",
    "tracestate",
};

// A perfect hash over length and three bytes; its factors are searched by the compiler, so a new name needs
// only its row above.
constexpr size_t slots = 256;

struct Factors {
  unsigned first, middle, last, length;
};

constexpr size_t slot_of(std::string_view name, Factors by) {
  auto at = [&](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(name[i])); };
  size_t size = name.size();
  return (at(0) * by.first + at(size / 2) * by.middle + at(size - 2) * by.last +
          static_cast<unsigned>(size) * by.length) %
         slots;
}

constexpr bool collision_free(Factors by) {
  std::array<bool, slots> taken{};
  for (size_t i = 1; i < known_count; ++i) {
    size_t slot = slot_of(names[i], by);
    if (taken[slot]) return false;
    taken[slot] = true;
  }
  return true;
}

constexpr Factors find_factors() {
  uint32_t random = 1;
  for (int tries = 0; tries < 3000; ++tries) {
    Factors by{};
    for (unsigned* factor : {&by.first, &by.middle, &by.last, &by.length}) {
      random = random * 1664525u + 1013904223u;
      *factor = (random >> 16) % slots | 1u;
    }
    if (collision_free(by)) return by;
  }
  return {};
}

constexpr Factors factors = find_factors();
static_assert(factors.first != 0, "no perfect hash was found: raise `slots`");

constexpr std::array<uint8_t, slots> make_table() {
  std::array<uint8_t, slots> table{};
  for (size_t i = 1; i < known_count; ++i) table[slot_of(names[i], factors)] = static_cast<uint8_t>(i);
  return table;
}
constexpr std::array<uint8_t, slots> table = make_table();

}  // namespace

HeaderId header_id(std::string_view lower_name) {
  if (lower_name.size() < 2) return HeaderId::other;
  uint8_t id = table[slot_of(lower_name, factors)];
  return names[id] == lower_name ? static_cast<HeaderId>(id) : HeaderId::other;
}

std::string_view header_name(HeaderId id) { return names[static_cast<size_t>(id)]; }

const Field* Headers::find(HeaderId id) const {
  for (const Field& field : fields())
    if (field.id == id) return &field;
  return nullptr;
}

const Field* Headers::find(std::string_view lower_name) const {
  if (HeaderId id = header_id(lower_name); id != HeaderId::other) return find(id);
  for (const Field& field : fields())
    if (field.id == HeaderId::other && field.name == lower_name) return &field;
  return nullptr;
}

size_t Headers::count(std::string_view lower_name) const {
  return static_cast<size_t>(
      std::ranges::count_if(fields(), [&](const Field& field) { return field.name == lower_name; }));
}

void Headers::push(Field field) {
  if (size_ == capacity_) {
    uint32_t wider = capacity_ ? capacity_ * 2 : 16;
    auto* moved = static_cast<Field*>(arena_->allocate(sizeof(Field) * wider, alignof(Field)));
    if (size_) std::memcpy(static_cast<void*>(moved), fields_, sizeof(Field) * size_);
    fields_ = moved;
    capacity_ = wider;
  }
  new (fields_ + size_++) Field(field);
}

void Headers::add(std::string_view lower_name, std::string_view value) {
  push({lower_name, value, header_id(lower_name)});
}

void Headers::add(HeaderId id, std::string_view value) { push({header_name(id), value, id}); }

void Headers::set(std::string_view lower_name, std::string_view value) {
  if (HeaderId id = header_id(lower_name); id != HeaderId::other) return set(id, value);
  set_where({lower_name, value}, [&](const Field& field) { return field.name == lower_name; });
}

void Headers::set(HeaderId id, std::string_view value) {
  set_where({header_name(id), value, id}, [id](const Field& field) { return field.id == id; });
}

size_t Headers::remove(std::string_view lower_name) {
  if (HeaderId id = header_id(lower_name); id != HeaderId::other) return remove(id);
  size_t before = size_;
  remove_if([&](const Field& field) { return field.name == lower_name; });
  return before - size_;
}

size_t Headers::remove(HeaderId id) {
  size_t before = size_;
  remove_if([&](const Field& field) { return field.id == id; });
  return before - size_;
}

}  // namespace penstock::http
