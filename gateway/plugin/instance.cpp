#include "plugin/instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "net/transport.h"

namespace penstock::plugin {

using proxy::Action;
using proxy::AuthVerdict;
using proxy::Explanation;
using proxy::FilterCall;

Instance::Instance(Host& host, const TypeSet::Type& type, const InstanceSpec& spec)
    : Filter(spec.name, spec.type, spec.at_text), library_(type.library), plugin_(*type.plugin), host_(host) {
  handle_.host = &host;
  handle_.name = spec.name;
  handle_.type = spec.type;
  handle_.kv_space = host.limits().space(spec.type, spec.name);
  on_error_ = spec.on_error;
  context_size_ = plugin_.ctx_size;
  if (plugin_.authenticate != nullptr) hooks_ |= authenticate_hook;
  if (plugin_.on_request_headers != nullptr) hooks_ |= request_headers_hook;
  if (plugin_.on_response_headers != nullptr) hooks_ |= response_headers_hook;
  // Who may pause must hear of the end: that is where its tickets go stale.
  if (plugin_.on_complete != nullptr || plugin_.on_resume != nullptr) hooks_ |= complete_hook;
  if (GW_HAS(&plugin_, on_attempt) && plugin_.on_attempt != nullptr) hooks_ |= attempt_hook;
  if (GW_HAS(&plugin_, explain) && plugin_.explain != nullptr) hooks_ |= explain_hook;
}

std::unique_ptr<Instance> Instance::make(Host& host, const TypeSet::Type& type, const InstanceSpec& spec,
                                         TargetSink& targets, config::Diagnostics& diagnostics) {
  std::unique_ptr<Instance> made(new Instance(host, type, spec));
  return made->configure(spec, targets, diagnostics) ? std::move(made) : nullptr;
}

bool Instance::configure(const InstanceSpec& spec, TargetSink& targets, config::Diagnostics& diagnostics) {
  if (plugin_.configure == nullptr) return true;
  Configuration configuration{spec.node, spec.path,       diagnostics, targets, spec.files,
                              handle_,   spec.configured, {},          {}};
  gw_rc rc = GW_ERROR;
  try {
    rc = plugin_.configure(configuration.handle(&spec.node), &inst_);
  } catch (...) {
    rc = GW_ERROR;
  }
  configured_ = rc >= 0 || inst_ != nullptr;
  if ((handle_.without_hooks & GW_HOOK_RESPONSE_HEADERS) != 0) hooks_ &= ~uint32_t{response_headers_hook};
  if (rc < 0 && configuration.errors == 0) {
    diagnostics.error("plugin-refused", spec.at, spec.path,
                      fmt::format("plugin type '{}' did not accept this configuration ({})", spec.type, rc));
  }
  return rc >= 0 && configuration.errors == 0;
}

Instance::~Instance() {
  host_.unsubscribe(handle_);
  if (configured_ && plugin_.destroy != nullptr) plugin_.destroy(inst_);
}

bool Instance::worker_start(uint32_t worker, net::Loop&, void** state) const {
  *state = nullptr;
  if (plugin_.worker_start == nullptr) return true;
  gw_worker self{worker};
  gw_rc rc = GW_ERROR;
  try {
    rc = plugin_.worker_start(inst_, &self, state);
  } catch (...) {
    rc = GW_ERROR;
  }
  if (rc < 0)
    host_.log(LogLevel::error, &handle_, {}, fmt::format("could not start on worker {} ({})", worker, rc));
  return rc >= 0;
}

void Instance::worker_stop(uint32_t worker, void* state) const {
  gw_worker self{worker};
  if (plugin_.worker_stop != nullptr) plugin_.worker_stop(inst_, &self, state);
}

// The SDK catches inside the plugin; this is for those that do not use it. It costs nothing where nothing is
// thrown.
template <class Call>
gw_action Instance::guarded(const char* hook, const proxy::RequestContext& context, Call call) const {
  try {
    return call();
  } catch (const std::exception& e) {
    host_.log(LogLevel::error, &handle_, context.request_id, fmt::format("{} threw: {}", hook, e.what()));
  } catch (...) {
    host_.log(LogLevel::error, &handle_, context.request_id, fmt::format("{} threw", hook));
  }
  return GW_ERROR;
}

void Instance::complain(const char* hook, gw_action action, std::string_view request_id) const {
  host_.log(LogLevel::error, &handle_, request_id, fmt::format("{} failed: it returned {}", hook, action));
}

// A pause needs a ticket and somebody who can wake the request; a ticket without a pause leads nowhere.
bool Instance::paused(gw_req& frame, gw_action action) const {
  proxy::Resumable* waiting = frame.context.resumable;
  if (action == GW_PAUSE && frame.took_ticket && waiting != nullptr && plugin_.on_resume != nullptr)
    return true;
  if (frame.took_ticket && waiting != nullptr) host_.tickets().forget(*waiting);
  return false;
}

AuthVerdict Instance::auth_verdict(gw_req& frame, gw_action action, const char* hook) const {
  if (paused(frame, action)) return AuthVerdict::pause;
  const proxy::AuthRecord& said = frame.context.auth;
  if (action == GW_ACCEPT && (said.consumer != nullptr || !said.identity.empty())) return AuthVerdict::accept;
  if (action == GW_ABSENT) return AuthVerdict::absent;
  if (action == GW_REFUSE) return AuthVerdict::refuse;
  complain(hook, action, frame.context.request_id);
  return AuthVerdict::error;
}

Action Instance::request_action(gw_req& frame, gw_action action, const char* hook) const {
  if (paused(frame, action)) return Action::pause;
  if (action == GW_CONTINUE) {
    if (frame.context.local.status != 0) frame.context.local = {};
    return Action::next;
  }
  if (action == GW_RESPOND && frame.context.local.status != 0) return Action::respond;
  complain(hook, action, frame.context.request_id);
  frame.context.local = {};
  return Action::error;
}

AuthVerdict Instance::authenticate(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::authenticate};
  const gw_call c = call_of(frame, call);
  call.request.auth = {};
  const gw_action action = guarded("authenticate", call.request, [&] { return plugin_.authenticate(&c); });
  return auth_verdict(frame, action, "authenticate");
}

Action Instance::on_request_headers(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::request_headers};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action =
      guarded("on_request_headers", call.request, [&] { return plugin_.on_request_headers(&c); });
  return request_action(frame, action, "on_request_headers");
}

Action Instance::on_resume(const FilterCall& call, void* data) const {
  gw_req frame{call.request, host_, handle_, Stage::request_headers};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action = guarded("on_resume", call.request, [&] { return plugin_.on_resume(&c, data); });
  return request_action(frame, action, "on_resume");
}

AuthVerdict Instance::authenticate_resume(const FilterCall& call, void* data) const {
  gw_req frame{call.request, host_, handle_, Stage::authenticate};
  const gw_call c = call_of(frame, call);
  call.request.auth = {};
  const gw_action action = guarded("on_resume", call.request, [&] { return plugin_.on_resume(&c, data); });
  return auth_verdict(frame, action, "on_resume");
}

Action Instance::on_response_headers(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::response_headers};
  const gw_call c = call_of(frame, call);
  const gw_action action =
      guarded("on_response_headers", call.request, [&] { return plugin_.on_response_headers(&c); });
  if (action == GW_CONTINUE) return Action::next;
  complain("on_response_headers", action, call.request.request_id);
  return Action::error;
}

namespace {

gw_str known(std::string_view text) { return text.empty() ? gw_str{nullptr, 0} : str(text); }

gw_summary summary_of(const proxy::RequestContext& context, const proxy::Summary& s) {
  gw_summary out{};
  out.struct_size = sizeof(gw_summary);
  if (s.upgraded) out.flags |= GW_SUMMARY_UPGRADED;
  if (s.client_closed) out.flags |= GW_SUMMARY_CLIENT_CLOSED;
  if (s.truncated) out.flags |= GW_SUMMARY_TRUNCATED;
  out.status = s.status;
  out.attempts = s.attempts;
  out.start_wall_ns = s.start_wall_ns;
  out.total_ns = s.total_ns;
  out.first_byte_ns = s.first_byte_ns;
  out.upstream_ns = s.upstream_ns;
  out.upstream_first_byte_ns = s.upstream_first_byte_ns;
  out.connect_ns = s.connect_ns;
  out.queue_ns = s.queue_ns;
  out.auth_ns = s.auth_ns;
  out.request_header_bytes = s.request_header_bytes;
  out.request_body_bytes = s.request_body_bytes;
  out.response_header_bytes = s.response_header_bytes;
  out.response_body_bytes = s.response_body_bytes;
  out.reason = str(s.reason);
  out.plugin = str(s.plugin);
  out.route = str(s.route);
  out.upstream = str(s.upstream);
  out.endpoint = str(s.endpoint);
  out.request_id = str(s.request_id);
  const http::Version version = context.request.version;
  out.http_major = version == http::Version::http_2 ? 2 : 1;
  out.http_minor = version == http::Version::http_1_1 ? 1 : 0;
  out.protocol = str(version == http::Version::http_2     ? std::string_view("HTTP/2")
                     : version == http::Version::http_1_1 ? std::string_view("HTTP/1.1")
                                                          : std::string_view("HTTP/1.0"));
  out.method = known(context.request.method_text);
  out.path = known(context.sent_path);
  out.query = str(context.query_attribute());
  out.host = known(context.sent_host);
  out.client_address = known(context.client_address);
  out.consumer_id = str(context.consumer_id);
  out.api_version = known(context.api_version);
  if (s.grpc_status >= 0) {
    out.flags |= GW_SUMMARY_GRPC;
    out.rpc_service = known(s.rpc_service);
    out.rpc_method = known(s.rpc_method);
    out.grpc_status = static_cast<uint32_t>(s.grpc_status);
  }
  out.trace_id = str(s.trace_id);
  out.span_id = str(s.span_id);
  if (s.sampled) out.flags |= GW_SUMMARY_SAMPLED;
  if (context.tls != nullptr) {
    out.tls_version = str(context.tls->version);
    out.tls_cipher = str(context.tls->cipher);
  }
  return out;
}

}  // namespace

void Instance::on_complete(const FilterCall& call, const proxy::Summary& summary) const {
  if (plugin_.on_resume != nullptr && call.request.resumable != nullptr) {
    host_.tickets().forget(*call.request.resumable);
  }
  if (plugin_.on_complete == nullptr) return;
  gw_req frame{call.request, host_, handle_, Stage::complete};
  const gw_call c = call_of(frame, call);
  const gw_summary s = summary_of(call.request, summary);
  guarded("on_complete", call.request, [&]() -> gw_action {
    plugin_.on_complete(&c, &s);
    return GW_CONTINUE;
  });
}

void Instance::on_attempt(const FilterCall& call, const proxy::AttemptReport& a) const {
  gw_req frame{call.request, host_, handle_, Stage::attempt};
  const gw_call c = call_of(frame, call);
  gw_attempt attempt{};
  attempt.struct_size = sizeof attempt;
  attempt.number = a.number;
  attempt.status = a.status;
  attempt.start_wall_ns = a.start_wall_ns;
  attempt.duration_ns = a.duration_ns;
  attempt.upstream = str(a.upstream);
  attempt.endpoint = str(a.endpoint);
  attempt.reason = str(a.reason);
  std::ranges::copy(a.span_id, attempt.span_id);
  guarded("on_attempt", call.request, [&]() -> gw_action {
    plugin_.on_attempt(&c, &attempt);
    return GW_CONTINUE;
  });
}

Explanation Instance::explain(const FilterCall& call) const {
  using Verdict = Explanation::Verdict;
  const bool authenticator = plugin_.authenticate != nullptr;
  gw_req frame{call.request, host_, handle_, authenticator ? Stage::authenticate : Stage::request_headers};
  const gw_call c = call_of(frame, call);
  call.request.auth = {};
  call.request.local.status = 0;
  gw_explanation said{sizeof(gw_explanation), GW_ON_UNKNOWN, {nullptr, 0}};
  const gw_action action = guarded("explain", call.request, [&] { return plugin_.explain(&c, &said); });
  Explanation out;
  if (action == GW_DEPENDS) {
    out.verdict = Verdict::depends;
    if (said.depends_on <= GW_ON_RANDOM) out.on = static_cast<Explanation::On>(said.depends_on);
    out.detail = call.request.arena.copy(view(said.detail));
  } else if (authenticator) {
    const AuthVerdict verdict = auth_verdict(frame, action, "explain");
    out.verdict = verdict == AuthVerdict::accept   ? Verdict::accept
                  : verdict == AuthVerdict::absent ? Verdict::absent
                                                   : Verdict::refuse;
  } else {
    // An error answers 500: the chain finds no recorded answer and says so.
    const Action would = request_action(frame, action, "explain");
    const bool goes_on =
        would == Action::next || (would == Action::error && on_error() == proxy::OnError::skip);
    out.verdict = goes_on ? Verdict::next : Verdict::answer;
  }
  return out;
}

}  // namespace penstock::plugin
