// One Redis as this process sees it: made on the main thread for the instances that name it, kept by them,
// and so over reloads that leave its settings as they are. Each worker that has such an instance has a
// connection of its own (redis_client.h). What is shared are relaxed atomics. Knows no plugin: who asks is a
// token, and `Owner` is told.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/gcra.h"
#include "net/tls_client.h"

namespace penstock::store {

struct RedisSettings {
  std::string host;  // a name, or an IP address
  uint16_t port = 0;
  uint32_t timeout_ms = 5;
  std::string username, password;  // empty: none
  uint32_t database = 0;
  uint32_t max_pending = 10'000;                     // asked and not answered, on one worker
  uint32_t max_failures = 5;                         // in a row; then it is away
  std::shared_ptr<const net::TlsClientContext> tls;  // null: plain

  std::string address() const;
  bool same(const RedisSettings& other) const;
};

// Who is waiting; what it means is the owner's.
struct Token {
  uint64_t slot, gen;
};

// What became of one question.
struct Answer {
  enum class Outcome : uint8_t { refused, admitted, timeout, away, wrong };
  Outcome outcome = Outcome::away;
  int64_t value = 0;                      // of add
  std::span<const gcra::State> states{};  // of gcra, in ns, one a window
};

enum class Asked : uint8_t { yes, away, full };

class RedisClient;

class RedisStore {
 public:
  static constexpr uint32_t max_workers = 1024;
  static constexpr size_t max_windows = 8;

  struct Owner {
    void* self = nullptr;
    // That worker's thread, once for each question; may ask again inside.
    void (*answered)(void* self, Token token, const Answer& answer) = nullptr;
    // Any thread, once for each change.
    std::function<void(bool up, std::string_view line)> log;
  };
  RedisStore(RedisSettings settings, Owner owner);
  ~RedisStore();  // after the last detach()
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  // That worker's thread; as often as detach().
  void attach(uint32_t worker, net::Loop& loop);
  void detach(uint32_t worker);

  // The thread of `loop`. Windows in ns. The answer comes later, never inside; within the timeout.
  Asked gcra(const net::Loop& loop, Token token, std::string_view space, std::string_view key,
             std::span<const gcra::Window> windows, uint64_t cost);
  Asked add(const net::Loop& loop, Token token, std::string_view space, std::string_view key, int64_t delta,
            int64_t most, int64_t ttl_ms);

  // Any thread.
  uint32_t processes() const { return processes_.load(std::memory_order_relaxed); }
  bool up() const { return ups_.load(std::memory_order_relaxed) > 0; }
  uint64_t full() const { return full_.load(std::memory_order_relaxed); }
  uint64_t timeouts() const { return timeouts_.load(std::memory_order_relaxed); }

  // For the clients.
  const RedisSettings& settings() const { return settings_; }
  const Owner& owner() const { return owner_; }
  std::string_view process() const { return process_; }
  const std::string& script_sha() const { return script_sha_; }
  void set_processes(uint32_t count) { processes_.store(count, std::memory_order_relaxed); }
  bool heartbeat_due(uint64_t now_ms, uint64_t interval_ms);
  void went_up();
  void went_away(std::string_view why);  // from up
  void stopped() { ups_.fetch_sub(1, std::memory_order_relaxed); }
  void failed_to_come_up(std::string_view why);
  void count_timeout() { timeouts_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<const net::Loop*> loop{nullptr};
    std::unique_ptr<RedisClient> client;  // that worker's alone, like the next
    uint32_t uses = 0;
  };
  RedisClient* client_of(const net::Loop& loop);

  const RedisSettings settings_;
  const Owner owner_;
  std::string process_;     // random, so that no two are one
  std::string script_sha_;  // hexadecimal
  std::unique_ptr<Slot[]> slots_;
  std::atomic<uint32_t> workers_{0};  // slots below it may be in use
  std::atomic<uint32_t> processes_{1};
  std::atomic<uint32_t> ups_{0};  // clients that are up
  std::atomic<bool> told_away_{false};
  std::atomic<uint64_t> full_{0}, timeouts_{0};
  std::atomic<uint64_t> next_heartbeat_ms_{0};
};

}  // namespace penstock::store
