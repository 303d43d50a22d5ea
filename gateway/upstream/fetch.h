// One question of the gateway's own to an upstream, and its whole answer in bounded memory: what a plugin
// fetches. It goes through the cluster's pools like a request. Owned by who asked; its destructor cancels.
// One loop.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "http/message.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/timer.h"
#include "upstream/cluster.h"

namespace penstock::upstream {

// Views: start() copies.
struct FetchQuestion {
  // Asking twice does no harm, whatever the method: repeated when a reused connection was gone.
  enum class Repeat : uint8_t { by_method, harmless } repeat = Repeat::by_method;
  // Of a name without addresses yet: refused, or asked as soon as endpoints_changed() brings some.
  enum class Unresolved : uint8_t { fail, wait } unresolved = Unresolved::fail;
  std::string_view method = "GET";
  std::string_view authority, path, query;
  bool has_query = false;
  std::span<const http::Field> fields;  // names in lower case, none that http/ writes itself
  std::string_view body;
  uint64_t timeout_ms = 5'000;       // of all of it
  uint64_t max_bytes = 1024 * 1024;  // of the answer's body
};

// Lives as long as its fetch.
struct FetchAnswer {
  uint16_t status = 0;        // 0: none, and `reason` says why
  std::string_view reason;    // static text
  Limit limit = Limit::none;  // the one that struck
  std::span<const http::Field> fields;
  std::string_view body;
};

class Fetch final : private Attempt, private http::StreamHandler, private net::Task {
 public:
  // Once, never inside start() or an event of a stream. The fetch may be destroyed in it.
  using Done = void (*)(void* who, const FetchAnswer& answer);

  Fetch(net::Loop& loop, Cluster& cluster, Done done, void* who);
  ~Fetch() override;

  void start(const FetchQuestion& question);
  void endpoints_changed();
  Cluster& cluster() const { return cluster_; }
  Arena& arena() { return arena_; }  // for what is made of the answer
  uint64_t begun_ms() const { return begun_ms_; }

 private:
  enum class Step : uint8_t { waiting, asking, over };

  void copy(const FetchQuestion& question);
  void next_attempt();
  void ask();
  bool may_repeat(const Error& error) const;
  void take_head(const http::Message& head);
  bool make_room(size_t more);
  void succeed();
  void fail(std::string_view why, Limit limit = Limit::none, Outcome outcome = Outcome::neutral);
  void end(Outcome outcome);
  void on_late();

  // Attempt
  void on_acquired(http::Stream& stream) override;
  void on_acquire_failed(const Error& error) override;
  // http::StreamHandler
  void on_head(http::Message& head, http::EndStream end) override;
  void on_bad_head(const Error&, http::Message&) override {}
  void on_informational(http::Message&) override {}
  void on_data(std::string_view bytes) override;
  void on_trailers(http::Headers&) override {}
  void on_end() override;
  void on_turn_end() override {}
  void on_drained() override {}
  void on_reset(const Error& error) override;
  // net::Task
  void run_task() override { done_(who_, answer_); }

  net::Loop& loop_;
  Cluster& cluster_;
  Done done_;
  void* who_;
  Arena arena_;
  FetchQuestion question_;  // its copy
  FetchAnswer answer_;
  http::Stream* stream_ = nullptr;
  Tried tried_;
  Step step_ = Step::waiting;
  bool repeated_ = false;
  char* body_ = nullptr;
  size_t body_size_ = 0, body_room_ = 0;
  uint64_t begun_ms_, deadline_ms_ = 0;
  net::Timer late_;
};

// Beside the reasons of base/reason.h.
inline constexpr std::string_view fetch_timeout = "fetch.timeout";
inline constexpr std::string_view fetch_too_large = "fetch.too_large";

}  // namespace penstock::upstream
