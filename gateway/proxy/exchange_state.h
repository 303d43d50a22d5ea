// The exchange itself; only the files exchange*.cpp include this. One request, its attempts and its answer:
//
//   deciding -> (paused -> deciding)* -> holding? -> acquiring -> forwarding -> responding -> done
//        |                                  ^  |          |             `-> tunnel -> done   (101)
//        |                                  `--+----------'  retry: the next attempt
//        `--------------------------------------> answering -> done                          (local answer)
//
// Every failure upstream goes through attempt_failed(), every loss of the client through client_lost(), every
// end through finish(), after which neither stream is touched and the object is deleted by the loop. The
// request's bytes are held (bounded by retries.body_limit) while no upstream is there and as long as a retry
// may need them. Where plugins of the route have hooks for bodies, that is what these let through
// (exchange_body.cpp); in `holding` nothing has gone upstream, because one of them wants to see it first.
#pragma once
#include <optional>

#include "net/timer.h"
#include "proxy/body_chain.h"
#include "proxy/client_facts.h"
#include "proxy/decision.h"
#include "proxy/exchange.h"
#include "proxy/grpc_web.h"

namespace penstock::proxy {

enum class ExchangeState : uint8_t {
  deciding,
  paused,
  holding,
  acquiring,
  forwarding,
  responding,
  tunnel,
  answering,
  done
};
std::string_view name(ExchangeState state);

class Exchange final : public net::Deferred, public FreeListed, private Resumable {
 public:
  // A plugin's pause that lasts longer is that plugin's error.
  static constexpr uint32_t pause_timeout_ms = 10'000;
  static constexpr uint64_t looks_per_idle_timeout = 8;
  // Of attempts that were lost with a connection that was given up, or taken back by it.
  static constexpr uint16_t max_stale_attempts = 3;

  Exchange(WorkerContext& worker, http::Stream& stream, Generation& generation, const ListenerInfo& listener);
  ~Exchange() override;
  http::StreamHandler& handler() { return down_events_; }

 private:
  // The client's side, the backend's side and the wait for a connection, each with its own callbacks.
  struct DownEvents final : http::StreamHandler {
    explicit DownEvents(Exchange& e) : exchange(e) {}
    void on_head(http::Message& head, http::EndStream end) override { exchange.request_head(head, end); }
    void on_bad_head(const Error& error, http::Message& head) override { exchange.bad_head(error, head); }
    void on_bad_body(const Error& error) override { exchange.bad_body(error); }
    void on_informational(http::Message&) override {}
    void on_data(std::string_view bytes) override { exchange.request_data(bytes); }
    http::Stream* splice_sink() override { return exchange.request_sink(); }
    void on_spliced(size_t bytes) override { exchange.request_spliced(bytes); }
    void on_trailers(http::Headers& trailers) override { exchange.context_->request_trailers = &trailers; }
    void on_end() override { exchange.request_end(); }
    void on_turn_end() override { exchange.request_turn_end(); }
    void on_drained() override { exchange.client_drained(); }
    void on_reset(const Error& error) override { exchange.client_lost(error); }
    uint64_t bytes_taken() const override { return exchange.up_ ? exchange.up_->bytes_taken() : 0; }
    size_t undelivered() const override {
      return (exchange.up_ ? exchange.up_->unsent() : exchange.held_bytes_) + exchange.waiting_for_plugin();
    }
    size_t held_bytes() const override {
      return (exchange.up_ ? exchange.up_->unsent() + exchange.up_->arena().bytes_held() : 0) +
             exchange.held_by_plugins();
    }
    Exchange& exchange;
  };
  struct UpEvents final : http::StreamHandler {
    explicit UpEvents(Exchange& e) : exchange(e) {}
    void on_head(http::Message& head, http::EndStream end) override { exchange.response_head(head, end); }
    void on_bad_head(const Error& error, http::Message&) override { on_reset(error); }
    void on_informational(http::Message& head) override { exchange.informational(head); }
    void on_data(std::string_view bytes) override { exchange.response_data(bytes); }
    http::Stream* splice_sink() override { return exchange.response_sink(); }
    void on_spliced(size_t bytes) override { exchange.response_spliced(bytes); }
    void on_trailers(http::Headers& trailers) override { exchange.context_->response_trailers = &trailers; }
    void on_end() override { exchange.response_end(); }
    void on_turn_end() override { exchange.response_turn_end(); }
    void on_drained() override { exchange.upstream_drained(); }
    void on_reset(const Error& error) override { exchange.upstream_lost(error); }
    size_t undelivered() const override { return exchange.down_ ? exchange.down_->unsent() : 0; }
    Exchange& exchange;
  };
  struct UpAttempt final : upstream::Attempt {
    explicit UpAttempt(Exchange& e) : upstream::Attempt(e.up_events_), exchange(e) {}
    void on_acquired(http::Stream& stream) override { exchange.upstream_ready(stream); }
    void on_acquire_failed(const Error& error) override {
      exchange.attempt_failed(exchange.attempt_end(error));
    }
    Exchange& exchange;
  };
  // Request bytes kept in the arena, oldest first.
  struct HeldPiece {
    std::string_view bytes;
    HeldPiece* next;
  };

  // exchange.cpp: the client's side and the decision
  void begin(http::Message& head);
  void request_head(http::Message& head, http::EndStream end);
  void bad_head(const Error& error, http::Message& head);
  void bad_body(const Error& error);
  void request_data(std::string_view bytes);
  void forward_request_data(std::string_view bytes);
  void forward_request_end();
  bool holds_request() const;
  http::Stream* request_sink() const;
  void request_spliced(size_t bytes);
  void request_end();
  void request_turn_end();
  void client_drained();
  void client_lost(const Error& error);
  void advance(Decision::Step step);
  bool resume(void* data) override;
  void hold(std::string_view bytes);
  size_t buffer_limit() const;

  // exchange_attempt.cpp: attempts upstream
  void open_upstream(const Grant& grant);
  void next_attempt();
  void upstream_ready(http::Stream& stream);
  void send_request_rest();
  void upstream_drained();
  void upstream_lost(const Error& error);
  AttemptEnd attempt_end(const Error& error) const;
  void attempt_failed(const AttemptEnd& end);
  void hold_back(http::Stream& source);
  bool may_go_elsewhere();
  bool retry(const AttemptEnd& end);
  void drop_attempt(upstream::Outcome outcome);
  void detach_upstream();
  void arm_timer();
  void start_timer();
  void look_at_writes();
  bool backends_silence() const;
  void on_timer();
  void on_pause_timer();
  bool request_moves();

  // exchange_response.cpp: the answer
  void informational(http::Message& head);
  void response_head(http::Message& head, http::EndStream end);
  void response_data(std::string_view bytes);
  http::Stream* response_sink() const;
  void response_spliced(size_t bytes);
  void response_end();
  void response_turn_end();
  bool refuses_body(const http::Message& head, http::EndStream end) const;
  void begin_tunnel(http::Message& head);
  bool run_response_hooks(http::Message& head);
  void send_response_head(http::Message& head, http::EndStream end);
  void answer();
  void refuse_and_answer(std::string_view reason, std::string_view detail);
  void end_answer();
  enum class Leave : uint8_t { released, broken };  // the client's stream
  void finish(Leave leave = Leave::released);
  void report();
  void cut(std::string_view reason);
  void end_tunnel();

  void deliver(std::string_view bytes);
  void deliver_end();
  void begin_answer(http::Message& head, http::EndStream end);

  // exchange_body.cpp: bodies and trailers that plugins see
  bool over() const { return state_ == ExchangeState::answering || state_ == ExchangeState::done; }
  bool begin_request_body();
  void hold_head();
  bool pass_held();
  void pass_request(std::string_view bytes);
  void run_request_body(BodyStep step);
  void take_request_step(const BodyStep& step);
  void let_through(const BodyStep& step);
  void release_head();
  void settle_request_length();
  void pause_for_plugin();
  bool resume_body(void* data);
  void answer_of_plugin(const Filter& plugin);
  void request_body_failed(std::string_view reason, std::string_view detail, const Filter& plugin);
  void end_pause_in_time();
  bool run_request_trailers();
  bool request_whole() const { return request_ended_ && (!request_body_ || request_body_->ended()); }
  bool body_paused() const { return request_body_ && request_body_->paused(); }
  size_t waiting_for_plugin() const { return request_body_ ? request_body_->waiting() : 0; }
  size_t held_by_plugins() const;
  void begin_response_body(http::Message& head, http::EndStream end);
  void pass_response(std::string_view bytes, bool end);
  void release_answer();
  void response_body_failed(const BodyStep& step);
  bool run_response_trailers();
  bool run_upgrade_hooks();

  // exchange_trace.cpp: attempts as spans
  void attempt_begins();
  void attempt_ends();
  AttemptReport attempt_report() const;
  void report_trace(Summary& summary);

  // exchange_grpc.cpp: calls of gRPC
  void begin_web();
  uint64_t call_time_left_ms() const;
  bool prepare_call();
  void end_call_in_time();
  void tell_time_left();
  bool request_is_text() const;
  void request_text(std::string_view text);
  void refuse_text();
  void take_call_head(http::Message& head, http::EndStream end);
  void send_translated(std::string_view bytes);
  void end_translated(const http::Headers& trailers);
  void end_call();
  bool end_call_with(std::string_view reason);
  GrpcStatus status_for(uint16_t http_status, std::string_view reason) const;
  void add_status(http::Headers& fields, GrpcStatus status, std::string_view reason, std::string_view detail);
  std::string_view refuse_call(http::Message& head);
  void report_call(Summary& summary);

  WorkerContext& worker_;
  http::Stream* down_;  // null once it is gone
  Generation& generation_;
  const ListenerInfo& listener_;
  DownEvents down_events_{*this};
  UpEvents up_events_{*this};
  UpAttempt attempt_{*this};
  http::Stream* up_ = nullptr;
  upstream::Cluster* cluster_ = nullptr;
  std::optional<RequestContext> context_;
  std::optional<Decision> decision_;
  net::Timer timer_;

  ExchangeState state_ = ExchangeState::deciding;
  bool has_body_ = false;  // the request
  bool request_ended_ = false;
  bool response_ended_ = false;  // tunnel: the backend's side
  bool head_sent_ = false;       // of the answer
  bool informational_sent_ = false;
  bool want_fresh_ = false;   // a reused connection was stale: the next one is none
  bool body_held_ = true;     // all request bytes so far can be sent (again)
  bool keep_holding_ = true;  // a retry may need them
  bool truncated_ = false;
  bool in_request_turn_ = false;  // more of the request may come before on_turn_end
  bool upgraded_ = false;
  bool http2_ = false;                // its client's side
  bool call_ = false;                 // of gRPC, also to the backend: what goes to HTTP/1 is none
  bool deadline_is_clients_ = false;  // total_deadline_ms_: by grpc-timeout
  bool attempt_told_ = false;         // to plugins: begun and not over
  uint16_t attempt_status_ = 0;       // of its answer
  upstream::Outcome broken_off_ = upstream::Outcome::neutral;  // of an answer that is cut
  uint16_t attempts_ = 0;
  uint16_t stale_attempts_ = 0;
  uint16_t retries_ = 0;  // those of them that count: neither connects that failed nor stale connections
  HeldPiece* held_first_ = nullptr;
  HeldPiece* held_last_ = nullptr;
  size_t held_bytes_ = 0;
  std::unique_ptr<BodyChain> request_body_, response_body_;  // null: no plugin sees it
  GrpcWeb* web_ = nullptr;                                   // of a call of gRPC-Web that is translated
  upstream::Tried tried_;
  Error last_error_;
  std::string_view attempt_reason_;  // why it failed, as plugins are told

  uint64_t start_ns_ = 0, attempt_ns_ = 0, first_byte_ns_ = 0, auth_ns_ = 0;
  std::string_view authority_;  // as the backend is told; empty: its address
  uint64_t request_taken_ = 0;  // by the backend, when its time to answer last ran out
  uint64_t taken_seen_ = 0;     // by both sides' peers, when the idle timeout was last looked at
  uint64_t last_activity_ms_ = 0, first_byte_deadline_ms_ = 0, total_deadline_ms_ = 0, pause_deadline_ms_ = 0;
  uint64_t call_timeout_ms_ = 0;  // grpc-timeout as it came; 0: there was none
};

// forward_head.cpp: what the backend gets to see (LANGUAGE.md "Forwarding", "rewrite").
void prepare_request_head(RequestContext& context, const ListenerInfo& listener);
void prepare_response_head(RequestContext& context, http::Message& head);
void prepare_request_trailers(const RequestContext& context, http::Headers& trailers);
void prepare_response_side_fields(const RequestContext& context, http::Headers& fields);  // trailers and 1xx

// The answer's body as RFC 9457 problem+json, in the request's arena.
std::string_view problem_json(const RequestContext& context);

}  // namespace penstock::proxy
