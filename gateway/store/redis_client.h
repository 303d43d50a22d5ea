// One worker's connection to a Redis: asks, matches answers to questions in their order, gives up what takes
// too long, and connects anew. Owned by the store's slot of that worker, destroyed by Loop::defer_delete;
// that worker's thread alone.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/gcra.h"
#include "net/loop.h"
#include "net/precise_timer.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "net/transport.h"
#include "store/redis_reply.h"
#include "store/redis_script.h"
#include "store/redis_store.h"

namespace penstock::store {

class RedisClient final : public net::Deferred, private net::TransportHandler, private net::Task {
 public:
  static constexpr uint64_t heartbeat_ms = 1'000;
  static constexpr uint64_t counted_s = 5;  // who was not here for so long is not counted
  static constexpr uint64_t connect_ms = 1'000;
  static constexpr uint64_t first_pause_ms = 100, longest_pause_ms = 5'000;
  static constexpr size_t max_unsent = 4 * 1024 * 1024;

  RedisClient(net::Loop& loop, RedisStore& store);
  ~RedisClient() override;

  void start();
  void stop();  // answers what waits; nothing happens afterwards
  Asked gcra(Token token, std::string_view space, std::string_view key, std::span<const gcra::Window> windows,
             uint64_t cost);
  Asked add(Token token, std::string_view space, std::string_view key, int64_t delta, int64_t most,
            int64_t ttl_ms);

 private:
  // connecting: also until the first script call was answered. Questions wait with it the first time.
  enum class State : uint8_t { stopped, connecting, up, away };
  enum class Kind : uint8_t { setup, heartbeat, gcra, add };
  struct Question {
    Kind kind = Kind::setup;
    bool open = false;         // somebody waits for it
    bool asked_again = false;  // after the script was lost
    Token token{};
    int64_t due_ns = 0;
    uint64_t cost = 0;
    size_t windows = 0;
    std::array<gcra::Window, RedisStore::max_windows> window{};  // in us
    std::string command;  // kept to be asked again; memory is used again
  };

  void connect();
  static void on_resolved_name(RedisClient& self, Result<net::Resolved> result);
  void connect_to(net::Address address);
  static void on_connected(void* self, Result<std::unique_ptr<net::Transport>> result);
  void ask_setup();
  void ask_heartbeat();
  void go_away(std::string_view why);
  void answer_all(Answer::Outcome outcome);
  void on_pause_over();
  void on_heartbeat();

  // The questions are a ring: the first was asked first. A place's memory is kept.
  Question& push(Kind kind);
  Question& at(size_t index) { return ring_[(first_ + index) & (ring_.size() - 1)]; }
  void pop();
  bool may_ask() const;
  Question& ask(Kind kind, Token token);
  void send(const Question& question);
  void answered(const RedisReply& reply);
  bool take(Question& question, const RedisReply& reply);
  bool take_gcra(Question& question, const RedisReply& reply);
  bool ask_again(Question& question);
  void tell(Question& question, const Answer& answer);
  void on_deadline();
  void arm(int64_t due_ns);
  int64_t timeout_ns() const { return int64_t{store_.settings().timeout_ms} * 1'000'000; }
  const std::string& full_key(std::string_view space, std::string_view key, const gcra::Window& window);

  // net::Task: what was asked in this turn goes out together.
  void run_task() override;
  // net::TransportHandler
  void on_read(std::span<const char> bytes) override;
  void on_read_end() override { go_away("it closed the connection"); }
  void on_drained() override {}
  void on_error(const Error& error) override { go_away(error.text); }

  net::Loop& loop_;
  RedisStore& store_;
  State state_ = State::stopped;
  bool was_up_ = false;  // some time
  std::unique_ptr<net::Resolver> resolver_;
  std::unique_ptr<net::Resolver::Query> query_;
  net::TlsPeer peer_;
  std::unique_ptr<net::Connect> connect_;
  std::unique_ptr<net::Transport> transport_;
  RedisReplies replies_;
  std::vector<Question> ring_;
  size_t first_ = 0, count_ = 0;
  std::string out_, key_;
  uint32_t failures_ = 0;  // in a row
  uint64_t pause_ms_ = 0;
  int64_t armed_ns_ = 0;  // while deadline_ runs
  net::PreciseTimer deadline_;
  net::Timer pause_, heartbeat_;
};

}  // namespace penstock::store
