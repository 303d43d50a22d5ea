// The answer: the backend's, passed on as it comes, or the gateway's own; and the end of the exchange.
#include <charconv>

#include "base/reason.h"
#include "proxy/exchange_state.h"
#include "proxy/hop_fields.h"
#include "proxy/websocket.h"

namespace penstock::proxy {
namespace {

// Server-sent events have no length in time (LANGUAGE.md "Timeouts": total ends for them).
bool event_stream(const http::Headers& headers) {
  constexpr std::string_view name = "text/event-stream";
  std::string_view type = headers.get(http::HeaderId::content_type);
  if (!same_ignoring_case(type.substr(0, name.size()), name)) return false;
  return type.size() == name.size() || type.substr(name.size()).find_first_of("; \t") == 0;
}

}  // namespace

void Exchange::informational(http::Message& head) {
  if (!down_) return;
  last_activity_ms_ = worker_.loop.now_ms();
  if (down_->version() == http::Version::http_1_0) return;  // it knows none (RFC 9110 15.2)
  informational_sent_ = true;
  prepare_response_side_fields(*context_, head.headers);
  down_->send_informational(head);
  down_->flush();
}

void Exchange::response_head(http::Message& head, http::EndStream end) {
  last_activity_ms_ = worker_.loop.now_ms();
  first_byte_deadline_ms_ = 0;
  attempt_status_ = head.status;
  if (head.status == 101) {
    begin_tunnel(head);
    return;
  }
  if (must_upgrade(context_->request) && head.status < 300) {
    attempt_failed(attempt_end({ErrorKind::protocol, ErrorSource::upstream, Retry::no,
                                reason::upstream_protocol, "an answer that passes over the Upgrade"}));
    return;
  }
  const config::Retries& rule = context_->route->config->retries;
  for (uint16_t status : rule.on_status) {
    if (status != head.status) continue;
    Error error{ErrorKind::closed, ErrorSource::upstream, Retry::no, reason::upstream_reset,
                "answered with a status of retry_on"};
    AttemptEnd ended = attempt_end(error);
    ended.status = true;
    if (judge(rule, context_->request.method, ended) == RetryVerdict::no || !may_go_elsewhere()) break;
    drop_attempt(upstream::Outcome::failure);
    worker_.metrics.count_retry();
    next_attempt();
    return;
  }
  if (event_stream(head.headers)) total_deadline_ms_ = 0;
  first_byte_ns_ = worker_.loop.now_ns();
  state_ = ExchangeState::responding;
  context_->response = &head;
  if (context_->grpc != Grpc::none) take_call_head(head, end);
  add_via(head, listener_.via);
  prepare_response_head(*context_, head);
  if (!run_response_hooks(head)) {
    drop_attempt(upstream::Outcome::success);
    refuse_and_answer(reason::plugin_error, "a plugin of this route failed");
    return;
  }
  begin_response_body(head, end);
  if (!context_->response_held) begin_answer(head, end);
  if (end == http::EndStream::yes) response_end();
}

void Exchange::begin_answer(http::Message& head, http::EndStream end) {
  if (!request_ended_ && refuses_body(head, end)) down_->refuse_rest();
  const bool frame_follows = web_ && web_->translates;
  send_response_head(head, frame_follows ? http::EndStream::no : end);
}

// An answer that comes while the request is still on its way and wants no more of it. The client should know
// at once that the rest will not be read as a request (RFC 9110 10.1.1, RFC 9112 9.6).
bool Exchange::refuses_body(const http::Message& head, http::EndStream end) const {
  bool waits = context_->request.expect_continue && !informational_sent_;
  bool empty =
      end == http::EndStream::yes || (head.body == http::BodyKind::length && head.content_length == 0);
  return empty || head.status >= 300 || waits;
}

void Exchange::begin_tunnel(http::Message& head) {
  if (context_->request.upgrade.empty() || head.upgrade != context_->request.upgrade) {
    // Nobody asked for it: RFC 9110 15.2.2.
    attempt_failed(attempt_end({ErrorKind::protocol, ErrorSource::upstream, Retry::no,
                                reason::upstream_protocol, "101 without a matching Upgrade"}));
    return;
  }
  if (head.upgrade == websocket && up_->version() == http::Version::http_2)
    set_handshake_accept(context_->request, head);
  if (head.upgrade == websocket && !handshake_accepted(context_->request, head)) {
    attempt_failed(attempt_end({ErrorKind::protocol, ErrorSource::upstream, Retry::no,
                                reason::upstream_protocol, "101 without the right Sec-WebSocket-Accept"}));
    return;
  }
  first_byte_ns_ = worker_.loop.now_ns();
  total_deadline_ms_ = 0;
  upgraded_ = true;
  keep_holding_ = false;
  context_->response = &head;
  add_via(head, listener_.via);
  prepare_response_head(*context_, head);
  if (!run_response_hooks(head)) {
    drop_attempt(upstream::Outcome::success);
    upgraded_ = false;
    refuse_and_answer(reason::plugin_error, "a plugin of this route failed");
    return;
  }
  if (!run_upgrade_hooks()) return;
  state_ = ExchangeState::tunnel;
  worker_.metrics.tunnel_began();
  request_ended_ = false;  // now: the client's FIN
  send_response_head(head, http::EndStream::no);
  down_->flush();
}

// false: a plugin failed and its on_error says fail.
bool Exchange::run_response_hooks(http::Message& head) {
  context_->phase = Phase::response_headers;
  context_->response_status = head.status;
  context_->response_held = false;
  bool ok = true;
  for (const ChainLink& link : decision_->chain().responses()) {
    Action action = link.filter->on_response_headers(call_of(link, *context_));
    if (action == Action::buffer) context_->response_held = true;
    if (action == Action::detach) context_->mark(*link.filter, FilterMark::Kind::response_detached);
    if (action != Action::error || link.filter->on_error() == OnError::skip) continue;
    context_->plugin = link.filter->name();
    ok = false;
  }
  return ok;
}

void Exchange::send_response_head(http::Message& head, http::EndStream end) {
  head_sent_ = true;
  context_->response_status = head.status;
  head.headers.set(http::HeaderId::x_request_id, context_->request_id);
  // In place of the backend's: two fields would be one too many (RFC 6797 7.1).
  if (!listener_.hsts.empty()) head.headers.set("strict-transport-security", listener_.hsts);
  if (worker_.draining) down_->close_after();
  down_->send_head(head, end);
}

void Exchange::response_data(std::string_view bytes) {
  last_activity_ms_ = worker_.loop.now_ms();
  const bool past = !response_body_ || (response_body_->detached() && head_sent_);
  past ? deliver(bytes) : pass_response(bytes, false);
}

void Exchange::deliver(std::string_view bytes) {
  if (web_ && web_->translates) {
    web_->answer.pass(bytes);
    return send_translated(bytes);
  }
  context_->response_body_bytes += bytes.size();
  if (down_) down_->send_data(bytes);
}

void Exchange::response_turn_end() {
  if (!down_ || !head_sent_) return;
  down_->flush();
  if (up_ && down_->unsent() > buffer_limit()) hold_back(*up_);
}

http::Stream* Exchange::response_sink() const {
  const bool seen = web_ || !head_sent_ || (response_body_ && !response_body_->detached());
  return state_ == ExchangeState::responding && !seen ? down_ : nullptr;
}

void Exchange::response_spliced(size_t bytes) {
  last_activity_ms_ = worker_.loop.now_ms();
  context_->response_body_bytes += bytes;
  down_->spliced(bytes);
}

void Exchange::response_end() {
  if (state_ == ExchangeState::tunnel) {
    response_ended_ = true;
    down_->send_end();
    down_->flush();
    if (request_ended_) finish();
    return;
  }
  response_ended_ = true;
  response_body_ ? pass_response({}, true) : deliver_end();
}

void Exchange::deliver_end() {
  if (!run_response_trailers()) return;
  context_->grpc == Grpc::none ? end_answer() : end_call();
  if (!down_) return;
  down_->flush();
  finish();
}

void Exchange::end_answer() {
  if (context_->response_trailers)
    down_->send_trailers(*context_->response_trailers);
  else if (context_->response->body != http::BodyKind::none)
    down_->send_end();
}

void Exchange::refuse_and_answer(std::string_view reason, std::string_view detail) {
  refuse(*context_, status_of(reason), reason, detail);
  answer();
}

// The gateway's own answer, from context.local. The plugins of the chain see it like any other.
void Exchange::answer() {
  state_ = ExchangeState::answering;
  timer_.stop();
  drop_attempt(upstream::Outcome::neutral);
  if (!down_) {
    finish();
    return;
  }
  RequestContext& context = *context_;
  LocalResponse& local = context.local;
  if (must_upgrade(context.request) && local.status < 300)
    refuse(context, 501, reason::request_upgrade, "nothing here makes a tunnel");
  if (!local.reason.empty()) context.reason = local.reason;
  auto* head = context.arena.make<http::Message>(context.arena);
  head->status = local.status;
  std::string_view body = local.body;
  const bool refused_call = context.grpc != Grpc::none && local.status >= 300;
  if (local.problem && !refused_call) {
    local.content_type = "application/problem+json";
    body = problem_json(context);
  }
  if (!local.content_type.empty()) head->headers.add(http::HeaderId::content_type, local.content_type);
  for (HeaderEdit* edit = local.headers; edit; edit = edit->next) head->headers.add(edit->name, edit->value);
  if (context.route) context.route->response_edits.apply(head->headers, context);
  context.response = head;
  run_response_hooks(*head);
  context.response_held = false;  // nobody sees this body
  if (refused_call) body = refuse_call(*head);
  bool bodiless = context.request.method == http::Method::head || head->status == 204 || head->status == 304;
  const bool trailers_only = refused_call && body.empty();
  head->has_content_length = head->status != 204 && head->status != 304 && !trailers_only;
  head->content_length = body.size();
  bool empty = bodiless || body.empty();
  head->body = empty ? http::BodyKind::none : http::BodyKind::length;
  first_byte_ns_ = worker_.loop.now_ns();
  if (head->status == 426) head->upgrade = websocket;  // RFC 9110 15.5.22 wants it said
  if (!request_ended_) down_->refuse_rest();  // what is left of the body will not be read as a request
  send_response_head(*head, empty ? http::EndStream::yes : http::EndStream::no);
  context.response_status = local.status;
  if (!empty) {
    down_->send_data(body);
    down_->send_end();
    context.response_body_bytes = body.size();
  }
  down_->flush();
  finish();
}

// The answer has begun and cannot be completed: the client must see it as cut.
void Exchange::cut(std::string_view reason) {
  if (!upgraded_) {
    truncated_ = true;
    context_->reason = reason;
    if (context_->grpc != Grpc::none && end_call_with(reason)) return finish();
  }
  finish(Leave::broken);
}

// Nobody said anything for too long: both sides get what was sent so far and an end, not a reset.
void Exchange::end_tunnel() {
  context_->reason = reason::tunnel_idle;
  up_->send_end();
  up_->flush();
  down_->send_end();
  down_->flush();
  finish();
}

void Exchange::report() {
  RequestContext& context = *context_;
  uint64_t now = worker_.loop.now_ns();
  auto since_start = [&](uint64_t at) { return at ? static_cast<int64_t>(at - start_ns_) : -1; };
  Summary summary;
  const bool drained = context.reason == reason::drain_timeout;
  summary.status =
      head_sent_ ? context.response_status : status_of(drained ? context.reason : reason::client_closed);
  summary.attempts = attempts_;
  summary.start_wall_ns = context.wall_ns;
  summary.total_ns = since_start(now);
  summary.first_byte_ns = since_start(first_byte_ns_);
  if (attempts_) {
    summary.upstream_ns = static_cast<int64_t>(now - attempt_ns_);
    if (first_byte_ns_ > attempt_ns_)
      summary.upstream_first_byte_ns = static_cast<int64_t>(first_byte_ns_ - attempt_ns_);
  }
  summary.request_body_bytes = context.request_body_bytes;
  summary.response_body_bytes = context.response_body_bytes;
  summary.upgraded = upgraded_;
  summary.client_closed = context.reason == reason::client_closed;
  summary.truncated = truncated_;
  summary.reason = context.reason;
  summary.plugin = context.plugin;
  summary.route = context.route ? std::string_view(context.route->name) : std::string_view{};
  summary.upstream = context.upstream_name;
  summary.endpoint = context.endpoint_address;
  summary.request_id = context.request_id;
  if (context.grpc != Grpc::none) report_call(summary);
  if (context.trace) report_trace(summary);
  if (context.reason == reason::request_body_too_large) worker_.metrics.limits.add(Limit::body_size);
  context.phase = Phase::complete;
  for (const ChainLink& link : decision_->chain().completions())
    link.filter->on_complete(call_of(link, context), summary);
  worker_.metrics.record(summary.route, http::name(context.request.method), summary.status, context.reason,
                         http::name(context.request.version), summary.total_ns);
}

// The report comes first: the client's address and TLS session are its transport's, which may go with the
// stream.
void Exchange::finish(Leave leave) {
  if (state_ == ExchangeState::done) return;
  if (state_ == ExchangeState::tunnel) --worker_.metrics.active_tunnels;
  state_ = ExchangeState::done;
  timer_.stop();
  bool whole = response_ended_ && !truncated_;
  attempt_ends();
  if (context_) report();
  context_->resumable = nullptr;
  // LANGUAGE.md "outlier": 5xx but 501 count against the endpoint, as does an answer that broke after its
  // head. Only now: what is reported stands in the backend's stream.
  bool bad = whole && context_->response_status >= 500 && context_->response_status != 501;
  drop_attempt(bad                  ? upstream::Outcome::failure
               : whole || upgraded_ ? upstream::Outcome::success
                                    : broken_off_);
  --worker_.metrics.active_requests;
  if (http2_) --worker_.metrics.http2_streams;
  if (down_) {
    http::Stream* down = down_;
    down_ = nullptr;
    if (!request_ended_) down->limit_body(body_limit(*context_, listener_));
    // Frees the arena: the context is not used any more.
    leave == Leave::broken ? down->reset() : down->release();
  }
  worker_.unpin(generation_);
  worker_.loop.defer_delete(std::unique_ptr<net::Deferred>(this));
}

}  // namespace penstock::proxy
