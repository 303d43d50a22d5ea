// Which plugin's code a thread runs just now: for the report of a crash (its own thread, inside a signal
// handler) and for the watch over slow hooks (the main thread). A thread writes its own record and nobody
// waits for anybody; entering a hook and leaving it are a handful of plain stores.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct gw_instance;
struct gw_req;

namespace penstock::proxy {
struct Route;
}  // namespace penstock::proxy

namespace penstock::plugin {

// What of a plugin can be called. The first ones run on workers for each request and are counted.
enum class CodeKind : uint8_t {
  authenticate,
  on_request_headers,
  on_request_body,
  on_request_trailers,
  on_response_headers,
  on_response_body,
  on_response_trailers,
  on_upgrade,
  on_resume,
  on_attempt,
  on_complete,
  explain,
  init,
  deinit,
  configure,
  destroy,
  worker_start,
  worker_stop,
  status,
  event,
};
inline constexpr size_t counted_kinds = static_cast<size_t>(CodeKind::explain);
inline constexpr size_t code_kinds = static_cast<size_t>(CodeKind::event) + 1;
std::string_view name(CodeKind kind);

// Whose code it is. Lives with the instance or the library; read by a signal handler.
struct CodeOwner {
  const gw_instance* instance;  // null: the library itself
  std::string_view file;        // "rate_limit.so"
};

struct HookCount;

// One function of one owner; its address is what a record holds. Destroyed on the main thread.
struct PluginCode {
  const CodeOwner* owner;
  CodeKind kind;
  HookCount* counts;  // by worker; null: not counted
};

// A thread's record. Whoever reads another thread's may follow `code` and `route` on the main thread alone,
// where what they point to is destroyed. `request` is for the thread itself: it is on its stack.
struct RunningCode {
  static constexpr uint32_t no_worker = UINT32_MAX;
  std::atomic<const PluginCode*> code{nullptr};  // null: the gateway's own code runs
  std::atomic<const proxy::Route*> route{nullptr};
  std::atomic<const gw_req*> request{nullptr};
  uint32_t worker = no_worker;
  bool ours = false;  // the main thread or a worker
};

// The one thing here that is neither constant nor somebody's member: a signal handler is told nothing, so it
// has to find the record of its thread by itself. Initial-exec, so that finding it allocates nothing.
extern thread_local constinit RunningCode running_code [[gnu::tls_model("initial-exec")]];

// While it lives, this thread runs that code outside of any request.
class CodeRun {
 public:
  explicit CodeRun(const PluginCode& code) {
    running_code.request.store(nullptr, std::memory_order_relaxed);
    running_code.route.store(nullptr, std::memory_order_relaxed);
    running_code.code.store(&code, std::memory_order_release);
  }
  ~CodeRun() { running_code.code.store(nullptr, std::memory_order_relaxed); }
  CodeRun(const CodeRun&) = delete;
  CodeRun& operator=(const CodeRun&) = delete;
};

// Where a library lies in memory, so that an address says whose code it is: a thread that a plugin made has
// no record. At most 64 are known by name.
class LoadedCode {
 public:
  LoadedCode(void* object, std::string_view file);  // what dlopen gave; main thread
  ~LoadedCode();
  LoadedCode(const LoadedCode&) = delete;
  LoadedCode& operator=(const LoadedCode&) = delete;

  // Any thread, also inside a signal handler. Empty: no plugin's code.
  static std::string_view file_at(uintptr_t address);

 private:
  struct Range;
  static std::array<Range, 64> ranges_;
  Range* range_ = nullptr;
};

// A text of a plugin's as one line, and not too long.
std::string one_line(std::string_view text);

}  // namespace penstock::plugin
