#include "proxy/decision.h"

#include <algorithm>
#include <cstring>

#include "base/reason.h"
#include "proxy/canonical_path.h"
#include "proxy/hop_fields.h"
#include "proxy/local_answers.h"
#include "proxy/rewrite.h"
#include "proxy/websocket.h"

namespace penstock::proxy {

void refuse(RequestContext& request, uint16_t status, std::string_view reason, std::string_view detail) {
  request.local = {};
  request.local.status = status;
  request.local.problem = true;
  request.local.reason = reason;
  request.local.detail = detail;
  request.reason = reason;
}

void add_local_header(RequestContext& request, std::string_view name, std::string_view value) {
  request.local.headers =
      request.arena.make<HeaderEdit>(HeaderEdit::Op::add, name, value, request.local.headers);
}

const Chain& Decision::chain() const {
  return request_.route ? request_.route->chain : request_.snapshot->base_chain;
}

static void make_contexts(RequestContext& request, const Chain& chain) {
  request.contexts = {};
  if (size_t bytes = chain.context_bytes()) {
    request.contexts = request.arena.make_array<std::byte>(bytes + alignof(std::max_align_t));
    auto address = reinterpret_cast<uintptr_t>(request.contexts.data());
    size_t skip = -address & (alignof(std::max_align_t) - 1);
    request.contexts = request.contexts.subspan(skip, bytes);
  }
}

Decision::Step Decision::start() {
  request_.phase = Phase::routing;
  Step step = route();
  make_contexts(request_, chain());
  return step == Step::forward ? walk() : step;
}

Decision::Step Decision::route() {
  auto path = canonical_path(request_.arena, request_.request.path);
  if (!path) {
    refuse(request_, 400, reason::request_malformed, "the path is not one that can be forwarded unchanged");
    return Step::respond;
  }
  request_.path = *path;
  // What may be sent over TLS alone must not be answered as if it had been; a proxy in front may have ended
  // it.
  bool secure_target = same_ignoring_case(request_.request.target.substr(0, 6), "https:");
  if (secure_target && !request_.tls && !request_.behind_proxy) {
    refuse(request_, 421, reason::request_misdirected, "an https target over a connection without TLS");
    return Step::respond;
  }
  if (listener_.redirect_port) {
    request_.local = redirect_to_listener(request_, listener_.redirect_port);
    return Step::respond;
  }
  Router::Found found = request_.snapshot->router->find(request_, listener_.index);
  if (found.route) {
    request_.route = found.route;
    request_.target = found.route->target;
    return Step::forward;
  }
  if (found.allow.empty()) {
    refuse(request_, 404, reason::route_none, "no route matches this request");
  } else {
    refuse(request_, 405, reason::route_method, "no route matches this request with this method");
    add_local_header(request_, "allow", found.allow);
  }
  return Step::respond;
}

Decision::Step Decision::walk() {
  const Chain& chain = request_.route->chain;
  if (stage_ == Stage::before_auth) {
    Step step = run_links(chain.before_auth(), Stage::auth);
    if (stage_ == Stage::before_auth || step == Step::respond) return step;
  }
  if (stage_ == Stage::auth) {
    if (chain.auth()) {
      Step step = authenticate();
      if (step != Step::forward) return step;
    }
    stage_ = Stage::after_auth;
    position_ = 0;
  }
  if (stage_ == Stage::after_auth) {
    Step step = run_links(chain.after_auth(), Stage::done);
    if (step != Step::forward) return step;
  }
  return end_chain();
}

Decision::Step Decision::end_chain() {
  if (!request_.request_held || request_.mode == Mode::explain) return choose_target();
  return refuses_length() ? Step::respond : Step::held;
}

Decision::Step Decision::release() {
  request_.request_held = false;
  return choose_target();
}

// forward: all links of this stage went through.
Decision::Step Decision::run_links(const std::vector<ChainLink>& links, Stage next) {
  request_.phase = Phase::request_headers;
  for (; position_ < links.size(); ++position_) {
    const ChainLink& link = links[position_];
    if (auto step = take(link, run_request_hook(link))) return *step;
  }
  stage_ = next;
  position_ = 0;
  return Step::forward;
}

Action Decision::run_request_hook(const ChainLink& link) {
  FilterCall call = call_of(link, request_);
  if (request_.mode == Mode::live) return link.filter->on_request_headers(call);
  Explanation said;
  if (link.filter->has(Filter::explain_hook)) said = link.filter->explain(call);
  if (observer_) observer_->verdict(*link.filter, said);
  return said.verdict == Explanation::Verdict::answer ? Action::respond : Action::next;
}

// nullopt: go on with the next link.
std::optional<Decision::Step> Decision::take(const ChainLink& link, Action action) {
  switch (action) {
    case Action::next: return std::nullopt;
    case Action::respond:
      if (request_.local.status == 0) return plugin_failed(*link.filter);
      request_.local.plugin = request_.plugin = link.filter->name();
      request_.reason = request_.local.reason;
      return Step::respond;
    case Action::pause:
      if (!request_.resumable) return plugin_failed(*link.filter);
      paused_ = &link;
      return Step::paused;
    case Action::error:
      if (link.filter->on_error() == OnError::skip) return std::nullopt;
      return plugin_failed(*link.filter);
    case Action::buffer: request_.request_held = true; return std::nullopt;
    case Action::detach: request_.mark(*link.filter, FilterMark::Kind::request_detached); return std::nullopt;
  }
  return plugin_failed(*link.filter);
}

Decision::Step Decision::plugin_failed(const Filter& filter) {
  refuse(request_, 500, reason::plugin_error, "a plugin of this route failed");
  request_.local.plugin = request_.plugin = filter.name();
  return Step::respond;
}

Decision::Step Decision::resume(void* data) {
  const ChainLink& link = *paused_;
  paused_ = nullptr;
  FilterCall call = call_of(link, request_);
  if (stage_ == Stage::auth) {
    request_.phase = Phase::authenticate;
    return go_on_with_auth(link, link.filter->authenticate_resume(call, data));
  }
  request_.phase = Phase::request_headers;
  if (auto step = take(link, link.filter->on_resume(call, data))) return *step;
  ++position_;
  return walk();
}

Decision::Step Decision::go_on_with_auth(const ChainLink& link, AuthVerdict verdict) {
  if (auto step = take_auth(link, verdict)) {
    if (*step != Step::forward) return *step;
    stage_ = Stage::after_auth;
    position_ = 0;
  } else {
    ++position_;
  }
  return walk();
}

Decision::Step Decision::fail_paused() {
  const ChainLink& link = *paused_;
  paused_ = nullptr;
  link.filter->pause_over(call_of(link, request_));
  if (stage_ != Stage::auth) return plugin_failed(*link.filter);
  request_.auth = {};
  return go_on_with_auth(link,
                         AuthVerdict::error);  // a refusal of this authenticator; another may still accept
}

uint64_t body_limit(const RequestContext& request, const ListenerInfo& listener) {
  return request.route && request.route->body_size_limit ? request.route->body_size_limit
                                                         : listener.body_size_limit;
}

static std::string_view allowed_methods(RequestContext& request) {
  const auto& methods = request.route->config->match.methods;
  if (methods.empty()) return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  std::string_view out = methods.front();
  for (size_t i = 1; i < methods.size(); ++i) out = request.arena.join(out, ", ", methods[i]);
  return out;
}

// What stands against passing on a request that everybody has granted; nullopt: nothing.
std::optional<Decision::Step> Decision::judge_forwarding() {
  const http::Message& head = request_.request;
  if (!listener_.via.empty() && came_by(head.headers, listener_.via)) {
    refuse(request_, 508, reason::request_loop, "Via says that this request came by here before");
    return Step::respond;
  }
  HopsLeft left = hops_left(head);
  if (left.kind == HopsLeft::Kind::malformed) {
    refuse(request_, 400, reason::request_malformed, "Max-Forwards is not one plain number");
    return Step::respond;
  }
  // The last hop answers itself (RFC 9110 7.6.2). A reflected TRACE would show the client what the gateway
  // adds for the backend alone: it is answered by nobody, unless the route names it.
  bool last = left.kind == HopsLeft::Kind::counted && left.hops == 0;
  bool trace = head.method == http::Method::trace;
  if (trace && (last || request_.route->config->match.methods.empty())) {
    refuse(request_, 405, reason::route_method, "a TRACE goes no further");
    add_local_header(request_, "allow", allowed_methods(request_));
    return Step::respond;
  }
  if (last) {
    request_.local.status = 200;
    add_local_header(request_, "allow", allowed_methods(request_));
    return Step::respond;
  }
  const auto& passing = request_.route->config->upgrade;
  const bool passes = std::ranges::find(passing, head.upgrade) != passing.end();
  if (must_upgrade(head) && !passes) {
    refuse(request_, 501, reason::request_upgrade, "this route lets no such protocol through");
    return Step::respond;
  }
  if (head.upgrade != websocket || !passes) return std::nullopt;
  HandshakeFault fault = handshake_fault(head);
  if (fault.status == 0) return std::nullopt;
  refuse(request_, fault.status, reason::request_upgrade, fault.detail);
  if (fault.status == 426) add_local_header(request_, "sec-websocket-version", "13");
  return Step::respond;
}

bool Decision::refuses_length() {
  if (request_.request.content_length <= body_limit(request_, listener_)) return false;
  refuse(request_, 413, reason::request_body_too_large, "the body is larger than this route takes");
  return true;
}

Decision::Step Decision::choose_target() {
  request_.phase = Phase::upstream;
  const Target* target = request_.target;
  if (!target) {
    refuse(request_, 500, reason::internal_error, "no target was chosen for this request");
    return Step::respond;
  }
  switch (target->kind) {
    case Target::Kind::redirect:
      request_.local = redirect_answer(request_, target->redirect);
      return Step::respond;
    case Target::Kind::respond:
      request_.local = respond_answer(request_, target->respond);
      return Step::respond;
    case Target::Kind::split:
    case Target::Kind::upstream: break;
  }
  if (refuses_length()) return Step::respond;
  if (auto step = judge_forwarding()) return *step;
  auto path = rewritten_path(request_);
  if (!path) {
    refuse(request_, 400, reason::request_malformed, "the rewritten path would be read as another one");
    return Step::respond;
  }
  request_.forwarded_path = *path;
  bool split = target->kind == Target::Kind::split;
  grant_ = Grant(*target, split ? target->sides[split_side(*target, request_, request_.random)].cluster
                                : target->cluster);
  return Step::forward;
}

}  // namespace penstock::proxy
