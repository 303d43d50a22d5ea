// The small types of the SDK: views, interned names, units and the tables of the host. The tables are fetched
// once when the library is loaded; they are the only global state of a plugin built with the SDK.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "../penstock_plugin.h"

#pragma GCC visibility push(hidden)
namespace gw {

inline std::string_view view(gw_str s) { return {s.ptr, s.len}; }
constexpr gw_str str(std::string_view s) { return {s.data(), s.size()}; }

namespace detail {
struct tables {
  const gw_host* host = nullptr;
  const gw_http_v0* http = nullptr;
  const gw_consumer_v0* consumer = nullptr;
  const gw_connection_v0* connection = nullptr;
  const gw_trace_v0* trace = nullptr;  // null: an older daemon
  const gw_clock_v0* clock = nullptr;
  const gw_async_v0* async = nullptr;
  const gw_kv_v0* kv = nullptr;
  const gw_config_v0* config = nullptr;
  const gw_log_v0* log = nullptr;
  const gw_metric_v0* metric = nullptr;
  const gw_event_v0* event = nullptr;
  const gw_fetch_v0* fetch = nullptr;
};
inline tables host;  // set by init on the main thread before anything else runs, then only read

inline gw_rc fetch_tables(const gw_host* h) {
  const auto get = [h](const char* id) { return h->get_extension(h, id); };
  host.host = h;
  host.http = static_cast<const gw_http_v0*>(get(GW_HTTP_V0));
  host.consumer = static_cast<const gw_consumer_v0*>(get(GW_CONSUMER_V0));
  host.connection = static_cast<const gw_connection_v0*>(get(GW_CONNECTION_V0));
  host.trace = static_cast<const gw_trace_v0*>(get(GW_TRACE_V0));
  host.clock = static_cast<const gw_clock_v0*>(get(GW_CLOCK_V0));
  host.async = static_cast<const gw_async_v0*>(get(GW_ASYNC_V0));
  host.kv = static_cast<const gw_kv_v0*>(get(GW_KV_V0));
  host.config = static_cast<const gw_config_v0*>(get(GW_CONFIG_V0));
  host.log = static_cast<const gw_log_v0*>(get(GW_LOG_V0));
  host.metric = static_cast<const gw_metric_v0*>(get(GW_METRIC_V0));
  host.event = static_cast<const gw_event_v0*>(get(GW_EVENT_V0));
  host.fetch = static_cast<const gw_fetch_v0*>(get(GW_FETCH_V0));
  return GW_OK;
}
}  // namespace detail

// An interned header name. Make it while configuring, compare and look up by number afterwards.
class header {
 public:
  header() = default;
  explicit header(std::string_view name) : id_(detail::host.http->header_id(detail::host.host, str(name))) {}
  gw_id id() const { return id_; }
  explicit operator bool() const { return id_ != 0; }

 private:
  gw_id id_ = 0;
};

// An interned attribute of the one vocabulary: "client.address", "header.x-tenant", "claim.sub",
// "api.version". False in a condition when the name is not in the vocabulary.
class attribute {
 public:
  attribute() = default;
  explicit attribute(std::string_view name)
      : id_(detail::host.http->attribute_id(detail::host.host, str(name))) {}
  static attribute from_id(gw_id id) {
    attribute a;
    a.id_ = id;
    return a;
  }
  gw_id id() const { return id_; }
  explicit operator bool() const { return id_ != 0; }

 private:
  gw_id id_ = 0;
};

// Text that no print, log or error shows: only reveal() gives it.
class secret {
 public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}
  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

using duration = std::chrono::nanoseconds;  // 500ms, 5s, 2m, 1h
struct bytes {                              // 64KiB
  uint64_t count = 0;
};
struct rate {  // 100/s
  uint64_t count = 0;
  duration period{};
};
struct percentage {  // 5% is 0.05
  double fraction = 0;
};
struct target {  // what the core owns: an upstream or a split; false: none was written
  gw_id id = 0;
  explicit operator bool() const { return id != 0; }
};
struct endpoint {  // whom to ask over HTTP: a URL, or a map of url and tls; see fetch.hpp
  gw_id id = 0;
  explicit operator bool() const { return id != 0; }
};
struct path {  // absolute; relative to the file that names it
  std::string text;
};
template <class T>
struct or_none {  // a T, or the word `none`
  std::optional<T> value;
};

enum class level : uint32_t {
  debug = GW_LOG_DEBUG,
  info = GW_LOG_INFO,
  warning = GW_LOG_WARNING,
  error = GW_LOG_ERROR
};

// A counter or histogram declared while configuring. [ANY THREAD]
class counter {
 public:
  counter() = default;
  explicit counter(gw_metric* m) : metric_(m) {}
  void add(uint64_t n = 1) const { detail::host.metric->add(metric_, n); }

 private:
  gw_metric* metric_ = nullptr;
};
class histogram {
 public:
  histogram() = default;
  explicit histogram(gw_metric* m) : metric_(m) {}
  void observe(double value) const { detail::host.metric->observe(metric_, value); }

 private:
  gw_metric* metric_ = nullptr;
};

// A number that goes up and down, of the whole process. [ANY THREAD]
class gauge {
 public:
  gauge() = default;
  explicit gauge(gw_metric* m) : metric_(m) {}
  void set(double value) const {
    if (metric_ != nullptr) detail::host.metric->set(metric_, value);
  }

 private:
  gw_metric* metric_ = nullptr;
};

namespace detail {
// A method as a callback that lets no exception out: post_to<&Class::refresh>(object).
template <auto Method, class T, class... Args>
void call_method(T& object, Args... args) noexcept {
  try {
    (object.*Method)(args...);
  } catch (...) {
    host.log->write(host.host, nullptr, GW_LOG_ERROR, str("a callback on the main thread threw"));
  }
}
}  // namespace detail

// What stays valid for the life of an instance and may be used on any thread.
class instance {
 public:
  instance() = default;
  explicit instance(gw_instance* i) : handle_(i) {}
  gw_instance* handle() const { return handle_; }
  std::string_view name() const { return view(detail::host.config->instance_name(handle_)); }
  void log(level l, std::string_view message) const {
    detail::host.log->write(detail::host.host, handle_, static_cast<uint32_t>(l), str(message));
  }
  // Calls the method on the main thread, later, unless the instance goes first:
  // self.post<&Class::refresh>(*this). False: it will not be called (limits.plugin_posts wait already, or
  // this is no daemon).
  template <auto Method, class T>
  bool post(T& object) const {
    if (!GW_HAS(detail::host.event, post)) return false;
    const auto call = [](void* user) { detail::call_method<Method>(*static_cast<T*>(user)); };
    return detail::host.event->post(handle_, call, &object) >= 0;
  }

 private:
  gw_instance* handle_ = nullptr;
};

inline int64_t wall_now() { return detail::host.clock->wall(detail::host.host); }
inline int64_t monotonic_now() { return detail::host.clock->monotonic(detail::host.host); }

}  // namespace gw
#pragma GCC visibility pop
