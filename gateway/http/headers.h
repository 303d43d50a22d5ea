// Header fields of one message: an arena array of (name, value, known id). Names are lower case (RFC
// 9110 5.1: names are case-insensitive; what we forward is written anew). Order and multiplicity are kept
// (RFC 9110 5.3). Views point into the message's arena; whoever adds a field passes views that live as long.
// One worker.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/arena.h"

namespace penstock::http {

// Names the gateway itself looks at: found by id, without comparing text. `other` is every other name.
enum class HeaderId : uint8_t {
  other = 0,
  accept,
  accept_encoding,
  age,
  allow,
  authorization,
  cache_control,
  connection,
  content_encoding,
  content_length,
  content_type,
  cookie,
  date,
  etag,
  expect,
  forwarded,
  host,
  http2_settings,
  keep_alive,
  last_modified,
  link,
  location,
  origin,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  retry_after,
  sec_websocket_accept,
  sec_websocket_key,
  sec_websocket_version,
  server,
  set_cookie,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  vary,
  via,
  www_authenticate,
  x_api_key,
  x_correlation_id,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_port,
  x_forwarded_proto,
  x_request_id,
  traceparent,
  tracestate,
  count_
};

HeaderId header_id(std::string_view lower_name);
std::string_view header_name(HeaderId id);

struct Field {
  std::string_view name;   // lower case
  std::string_view value;  // without surrounding white space; obs-text bytes as they came
  HeaderId id = HeaderId::other;
};

class Headers {
 public:
  explicit Headers(Arena& arena) : arena_(&arena) {}
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;

  std::span<const Field> fields() const { return {fields_, size_}; }
  std::span<Field> fields() { return {fields_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  const Field* find(HeaderId id) const;
  const Field* find(std::string_view lower_name) const;
  std::string_view get(HeaderId id) const {
    const Field* field = find(id);
    return field ? field->value : std::string_view{};
  }
  size_t count(std::string_view lower_name) const;

  void add(std::string_view lower_name, std::string_view value);  // borrowed views
  void add(HeaderId id, std::string_view value);
  void set(std::string_view lower_name, std::string_view value);  // one field, in the first one's place
  void set(HeaderId id, std::string_view value);
  size_t remove(std::string_view lower_name);  // how many went
  size_t remove(HeaderId id);
  template <class Predicate>
  void remove_if(Predicate gone) {
    size_t kept = 0;
    for (size_t i = 0; i < size_; ++i) {
      if (gone(fields_[i])) continue;
      if (kept != i) fields_[kept] = fields_[i];
      ++kept;
    }
    size_ = static_cast<uint32_t>(kept);
  }
  void clear() { size_ = 0; }
  // After the arena was reset: forgets the array, too.
  void reset() { fields_ = nullptr, size_ = capacity_ = 0; }
  Arena& arena() { return *arena_; }

 private:
  void push(Field field);
  template <class Same>
  void set_where(const Field& field, Same same) {
    bool placed = false;
    remove_if([&](Field& each) {
      if (!same(each)) return false;
      if (!placed) each.value = field.value;
      return std::exchange(placed, true);
    });
    if (!placed) push(field);
  }
  Arena* arena_;
  Field* fields_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace penstock::http
