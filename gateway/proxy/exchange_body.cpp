// Bodies and trailers on their way through plugins, and heads that wait for them. What the chain of a body
// lets through goes the way that bodies without plugins go: forward_request_data(), deliver().
#include <algorithm>
#include <utility>

#include "base/reason.h"
#include "proxy/exchange_state.h"
#include "proxy/websocket.h"

namespace penstock::proxy {
namespace {

constexpr std::string_view plugin_failed = "a plugin of this route failed";

void set_length(http::Message& head, std::optional<uint64_t> length) {
  head.body = length ? http::BodyKind::length : http::BodyKind::unknown;
  head.has_content_length = length.has_value();
  head.content_length = length.value_or(0);
}

// Nobody knows what plugins will make of a body. But what they made of it is known when it is whole, and so
// is all of it when they want to see no more.
std::optional<uint64_t> length_through(const BodyChain& body, const http::Message& head, bool trailers) {
  if (body.ended()) return trailers ? std::nullopt : std::optional(body.passed());
  if (!body.let_go() || head.body != http::BodyKind::length || !head.has_content_length) return std::nullopt;
  return body.passed() + (head.content_length - body.taken());
}

}  // namespace

size_t Exchange::held_by_plugins() const {
  return (request_body_ ? request_body_->held() : 0) + (response_body_ ? response_body_->held() : 0);
}

// --- the request ---

// Once it is granted. What came before, while a plugin of the head was thinking, was only held. False: it was
// answered.
bool Exchange::begin_request_body() {
  if (has_body_ && !must_upgrade(context_->request))
    request_body_ =
        BodyChain::make(worker_.body_chains, *context_, worker_.loop, decision_->chain().bodies(Way::request),
                        Way::request, context_->route->body_buffer);
  return request_body_ ? pass_held() : !request_ended_ || run_request_trailers();
}

bool Exchange::pass_held() {
  HeldPiece* piece = std::exchange(held_first_, nullptr);
  held_last_ = nullptr;
  held_bytes_ = 0;
  down_->resume(PauseReason::waiting);
  for (; piece; piece = piece->next) {
    pass_request(piece->bytes);
    if (over()) return false;
  }
  if (!request_ended_) return true;
  request_body_->offer({}, true);
  run_request_body(request_body_->next());
  return !over();
}

// A plugin wants to see what comes before anything goes upstream.
void Exchange::hold_head() {
  state_ = ExchangeState::holding;
  pause_deadline_ms_ = UINT64_MAX;
  if (!begin_request_body()) return;
  if (!request_body_) return release_head();  // there is nothing to see
  if (state_ != ExchangeState::holding) return;
  if (const uint64_t left = call_time_left_ms(); left != UINT64_MAX && !body_paused())
    timer_.start(std::max<uint64_t>(left, 1));
  http::Message& head = context_->request;
  if (!head.expect_continue || context_->request_body_bytes > 0) return;
  // No backend is there that could ask for it.
  head.expect_continue = false;
  auto* go_on = context_->arena.make<http::Message>(context_->arena);
  go_on->status = 100;
  down_->send_informational(*go_on);
  down_->flush();
}

void Exchange::release_head() { advance(decision_->release()); }

void Exchange::settle_request_length() {
  if (!request_body_) return;
  http::Message& head = context_->request;
  set_length(head, length_through(*request_body_, head, context_->request_trailers != nullptr));
}

void Exchange::pass_request(std::string_view bytes) {
  const bool holding = state_ == ExchangeState::holding;
  if (!request_body_ || (request_body_->detached() && !holding)) return forward_request_data(bytes);
  request_body_->offer(bytes, false);
  run_request_body(request_body_->next());
}

void Exchange::run_request_body(BodyStep step) {
  for (; step.kind == BodyStep::Kind::bytes; step = request_body_->next()) {
    let_through(step);
    if (over()) return;
  }
  take_request_step(step);
}

// What is not the reader's own must have left, or be copied, before the next step.
void Exchange::let_through(const BodyStep& step) {
  if (!step.bytes.empty()) forward_request_data(step.bytes);
  if (state_ == ExchangeState::holding) {
    if (!step.end || run_request_trailers()) release_head();
    return;
  }
  if (step.end) return forward_request_end();
  if (!step.lent && up_) up_->flush();
}

void Exchange::take_request_step(const BodyStep& step) {
  switch (step.kind) {
    case BodyStep::Kind::nothing:
    case BodyStep::Kind::bytes: return;
    case BodyStep::Kind::paused: return pause_for_plugin();
    case BodyStep::Kind::respond: return answer_of_plugin(*step.plugin);
    case BodyStep::Kind::failed:
      return request_body_failed(reason::plugin_error, plugin_failed, *step.plugin);
    case BodyStep::Kind::too_large:
      worker_.metrics.limits.add(Limit::body_buffer);
      return request_body_failed(reason::plugin_body_too_large,
                                 "the body is larger than a plugin of this route keeps", *step.plugin);
  }
}

void Exchange::pause_for_plugin() {
  pause_deadline_ms_ = worker_.loop.now_ms() + pause_timeout_ms;
  down_->pause(PauseReason::plugin);
  if (state_ == ExchangeState::holding)
    timer_.start(std::clamp<uint64_t>(call_time_left_ms(), 1, pause_timeout_ms));
  else
    start_timer();
}

bool Exchange::resume_body(void* data) {
  pause_deadline_ms_ = UINT64_MAX;
  last_activity_ms_ = worker_.loop.now_ms();
  run_request_body(request_body_->resume(data));
  if (over() || body_paused()) return true;
  down_->resume(PauseReason::plugin);
  if (up_ && up_->unsent() > buffer_limit()) hold_back(*down_);
  return true;
}

void Exchange::end_pause_in_time() {
  const ChainLink& link = request_body_->paused_in();
  link.filter->pause_over(call_of(link, *context_));
  request_body_failed(reason::plugin_error, plugin_failed, *link.filter);
}

void Exchange::answer_of_plugin(const Filter& plugin) {
  context_->local.plugin = context_->plugin = plugin.name();
  const std::string_view reason = context_->local.reason;
  if (head_sent_) return cut(reason.empty() ? reason::plugin_error : reason);
  context_->reason = reason;
  answer();
}

void Exchange::request_body_failed(std::string_view reason, std::string_view detail, const Filter& plugin) {
  context_->plugin = plugin.name();
  if (head_sent_) return cut(reason);
  refuse_and_answer(reason, detail);
}

// Once, when the body's last hook was called; what they leave is sent with every attempt. False: it was
// answered.
bool Exchange::run_request_trailers() {
  if (!context_->request_trailers) return true;
  for (const ChainLink& link : decision_->chain().trailers(Way::request)) {
    if (!takes_part(link, Way::request, *context_)) continue;
    const Action action = link.filter->on_trailers(Way::request, call_of(link, *context_));
    if (action == Action::next) continue;
    if (action == Action::respond && context_->local.status != 0) {
      answer_of_plugin(*link.filter);
      return false;
    }
    if (link.filter->on_error() == OnError::skip) continue;
    request_body_failed(reason::plugin_error, plugin_failed, *link.filter);
    return false;
  }
  return true;
}

// --- the answer ---

void Exchange::begin_response_body(http::Message& head, http::EndStream end) {
  const std::vector<ChainLink>& links = decision_->chain().bodies(Way::response);
  if (end == http::EndStream::no && head.body != http::BodyKind::none)
    response_body_ = BodyChain::make(worker_.body_chains, *context_, worker_.loop, links, Way::response,
                                     context_->route->body_buffer);
  if (response_body_ && !context_->response_held) set_length(head, std::nullopt);
  if (response_body_) return;
  context_->response_held = false;
  // HEAD and 304 tell of a body what nobody knows that did not see it.
  const auto changes = [&](const ChainLink& link) { return takes_part(link, Way::response, *context_); };
  if (head.body == http::BodyKind::none && std::ranges::any_of(links, changes)) {
    head.has_content_length = false;
    head.content_length = 0;
  }
}

void Exchange::pass_response(std::string_view bytes, bool end) {
  response_body_->offer(bytes, end);
  BodyStep step = response_body_->next();
  for (; step.kind == BodyStep::Kind::bytes; step = response_body_->next()) {
    if (context_->response_held) release_answer();
    if (!step.bytes.empty()) deliver(step.bytes);
    if (over()) return;
    if (step.end) return deliver_end();
    if (!step.lent) down_->flush();
    if (over()) return;
  }
  if (step.kind != BodyStep::Kind::nothing) response_body_failed(step);
}

// Base64 and a frame of trailers come on top of what was let through.
void Exchange::release_answer() {
  context_->response_held = false;
  http::Message& head = *context_->response;
  const bool more = context_->response_trailers != nullptr || (web_ && web_->translates);
  set_length(head, length_through(*response_body_, head, more));
  begin_answer(head, http::EndStream::no);
}

void Exchange::response_body_failed(const BodyStep& step) {
  const bool too_large = step.kind == BodyStep::Kind::too_large;
  if (too_large) worker_.metrics.limits.add(Limit::body_buffer);
  const std::string_view why = too_large ? reason::plugin_answer_too_large : reason::plugin_error;
  context_->plugin = step.plugin->name();
  if (head_sent_) return cut(why);
  drop_attempt(upstream::Outcome::success);
  refuse_and_answer(why,
                    too_large ? "the answer is larger than a plugin of this route keeps" : plugin_failed);
}

// False: one failed, and the answer was cut.
bool Exchange::run_response_trailers() {
  http::Headers* trailers = context_->response_trailers;
  if (!trailers) return true;
  prepare_response_side_fields(*context_, *trailers);
  for (const ChainLink& link : decision_->chain().trailers(Way::response)) {
    if (!takes_part(link, Way::response, *context_)) continue;
    const Action action = link.filter->on_trailers(Way::response, call_of(link, *context_));
    if (action == Action::next || link.filter->on_error() == OnError::skip) continue;
    context_->plugin = link.filter->name();
    cut(reason::plugin_error);
    return false;
  }
  return true;
}

// False: one refuses the tunnel, or failed, and the request was answered.
bool Exchange::run_upgrade_hooks() {
  for (const ChainLink& link : decision_->chain().upgrades()) {
    if (!takes_part(link, Way::response, *context_)) continue;
    const Action action = link.filter->on_upgrade(call_of(link, *context_));
    const bool refused = action == Action::respond && context_->local.status != 0;
    if (action == Action::next || (!refused && link.filter->on_error() == OnError::skip)) continue;
    upgraded_ = false;
    drop_attempt(upstream::Outcome::success);
    refused ? answer_of_plugin(*link.filter)
            : request_body_failed(reason::plugin_error, plugin_failed, *link.filter);
    return false;
  }
  return true;
}

}  // namespace penstock::proxy
