// A plugin instance whose answers a test writes down; counts its calls.
#pragma once
#include <functional>
#include <vector>

#include "proxy/filter.h"

namespace penstock::proxy::testing {

struct ScriptedFilter final : Filter {
  explicit ScriptedFilter(std::string name) : Filter(std::move(name), "scripted", "test:1:1") {}

  // Authenticators: which consumer is accepted, or what else is said.
  static std::unique_ptr<ScriptedFilter> authenticator(std::string name, AuthVerdict verdict,
                                                       const Consumer* consumer = nullptr,
                                                       uint16_t status = 401,
                                                       std::string_view reason = "auth.test") {
    auto filter = std::make_unique<ScriptedFilter>(std::move(name));
    filter->hooks_ = authenticate_hook;
    filter->challenge_text = "Test realm=\"" + filter->name() + "\"";
    filter->on_authenticate = [=](const FilterCall& call) {
      if (verdict == AuthVerdict::accept) call.request.auth.consumer = consumer;
      if (verdict == AuthVerdict::refuse) {
        call.request.auth.refuse_status = status;
        call.request.auth.refuse_reason = reason;
      }
      return verdict;
    };
    return filter;
  }
  static std::unique_ptr<ScriptedFilter> request_hook(std::string name,
                                                      std::function<Action(const FilterCall&)> hook) {
    auto filter = std::make_unique<ScriptedFilter>(std::move(name));
    filter->hooks_ = request_headers_hook;
    filter->on_request = std::move(hook);
    return filter;
  }
  void set_on_error(OnError on_error) { on_error_ = on_error; }
  void add_hooks(uint32_t hooks) { hooks_ |= hooks; }
  void set_context_size(size_t size) { context_size_ = size; }

  bool worker_start(uint32_t, net::Loop&, void**) const override { return true; }
  void worker_stop(uint32_t, void*) const override {}
  AuthVerdict authenticate(const FilterCall& call) const override { return ++calls, on_authenticate(call); }
  Action on_request_headers(const FilterCall& call) const override { return ++calls, on_request(call); }
  Action on_resume(const FilterCall& call, void*) const override { return on_request_resume(call); }
  void pause_over(const FilterCall&) const override { ++pauses_over; }
  AuthVerdict authenticate_resume(const FilterCall& call, void*) const override {
    return on_auth_resume(call);
  }
  Action on_response_headers(const FilterCall& call) const override {
    return on_response ? on_response(call) : Action::next;
  }
  Action on_body(Way way, const FilterCall& call, std::string_view chunk, bool end) const override {
    return ++body_calls, on_chunk(way, call, chunk, end);
  }
  Action on_body_resume(const FilterCall& call, void*) const override { return on_chunk_resume(call); }
  Action on_trailers(Way way, const FilterCall& call) const override { return on_trailer_block(way, call); }
  Action on_upgrade(const FilterCall& call) const override { return on_tunnel(call); }
  void on_complete(const FilterCall& call, const Summary& summary) const override {
    ++completions;
    if (on_report) on_report(call);
    last_status = summary.status;
    last_reason = summary.reason;
    last_grpc_status = summary.grpc_status;
  }
  Explanation explain(const FilterCall& call) const override { return on_explain(call); }
  std::string_view challenge() const override { return challenge_text; }
  const std::vector<std::string>& credential_headers() const override { return carriers; }
  const std::vector<std::string>& credential_query() const override { return query_carriers; }
  const std::vector<std::string>& credential_cookies() const override { return cookie_carriers; }

  std::function<AuthVerdict(const FilterCall&)> on_authenticate, on_auth_resume;
  std::function<Action(const FilterCall&)> on_request, on_request_resume, on_response;
  std::function<Action(Way, const FilterCall&, std::string_view, bool)> on_chunk;
  std::function<Action(const FilterCall&)> on_chunk_resume, on_tunnel;
  std::function<Action(Way, const FilterCall&)> on_trailer_block;
  std::function<Explanation(const FilterCall&)> on_explain;
  std::function<void(const FilterCall&)> on_report;
  std::string challenge_text;
  std::vector<std::string> carriers, query_carriers, cookie_carriers;
  mutable int calls = 0, completions = 0, pauses_over = 0, body_calls = 0;
  mutable uint16_t last_status = 0;
  mutable std::string last_reason;
  mutable int last_grpc_status = -1;
};

}  // namespace penstock::proxy::testing
