// One check under way: a connection of its own, a question, the whole answer, within one timeout. Made by
// HealthChecks for an endpoint and thrown away after its report. It goes through the upstream's connector, so
// that a check meets what requests meet. One loop.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/connection.h"
#include "net/loop.h"
#include "net/timer.h"
#include "upstream/cluster.h"
#include "upstream/connector.h"
#include "upstream/health/check_result.h"
#include "upstream/health/check_settings.h"
#include "upstream/health/grpc_health.h"
#include "upstream/health/text_search.h"

namespace penstock::upstream {

// What the checks of one upstream have in common. Immutable; there while one of them is under way.
struct CheckPlan {
  ClusterSettings cluster;
  CheckSettings check;
  ConnectCounters connects;              // not the requests' ones, which are in the metrics
  std::unique_ptr<Connector> connector;  // borrows both
};

class Probe final : public net::Deferred,
                    private net::Task,
                    private http::UpstreamOwner,
                    private http::StreamHandler {
 public:
  // Once, never inside start(). The probe may be handed to Loop::defer_delete in it, but not destroyed.
  using Done = void (*)(void* who, const CheckReport& report);

  // addresses: tried in turn until one takes the connection, not empty. `name`: of the endpoint; `host`: what
  // its certificate has to be for. Each check is a full handshake, so that one that expires is found.
  Probe(net::Loop& loop, std::shared_ptr<const CheckPlan> plan, const std::string& name,
        const std::string& host, std::vector<net::Address> addresses, Done done, void* who);
  ~Probe() override;

  void start();
  void forget() { done_ = nullptr; }  // nothing is reported any more

 private:
  // The timeout is counted in parts: what our own loop was busy with something else costs one of them at
  // most.
  static constexpr uint32_t most_ticks = 8, shortest_tick_ms = 100;
  enum class Step : uint8_t { connect, give_up };

  void run_task() override;  // takes next_
  void connect();
  void connect_later();
  void on_connected(Result<std::unique_ptr<http::UpstreamConnection>> result);
  void on_tick();
  void ask();
  void ask_http(http::Message& request);
  void ask_grpc(http::Message& request);
  void finish(const CheckReport& report);
  void judge_http();
  void judge_grpc(const http::Headers& trailers);
  void judge();

  // http::UpstreamOwner: the connection lives as long as the probe
  void on_idle(http::UpstreamConnection&) override {}
  void on_closed(http::UpstreamConnection&) override {}
  // http::StreamHandler
  void on_head(http::Message& head, http::EndStream end) override;
  void on_bad_head(const Error&, http::Message&) override {}
  void on_informational(http::Message&) override {}
  void on_data(std::string_view bytes) override;
  void on_trailers(http::Headers& trailers) override;
  void on_end() override { judge(); }
  void on_turn_end() override {}
  void on_drained() override {}
  void on_reset(const Error& error) override;

  const CheckQuestion& question() const { return plan_->check.question; }

  net::Loop& loop_;
  std::shared_ptr<const CheckPlan> plan_;
  std::string authority_;
  net::TlsPeer peer_;
  std::vector<net::Address> addresses_;
  Done done_;
  void* who_;
  size_t tried_ = 0;  // addresses
  uint32_t ticks_left_;
  uint32_t tick_ms_;
  uint32_t address_until_ = 0;  // of ticks_left_
  Step next_ = Step::connect;
  bool over_ = false;
  uint64_t body_bytes_ = 0;
  TextSearch search_;
  grpc_health::AnswerReader answer_;
  const http::Headers* trailers_ = nullptr;  // live until release()
  CheckReport last_failure_;                 // of an address
  http::Stream* stream_ = nullptr;
  std::unique_ptr<Connector::Pending> pending_;
  std::unique_ptr<http::UpstreamConnection> connection_;
  net::Timer tick_;
};

}  // namespace penstock::upstream
