#include "plugin/instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "net/transport.h"

namespace penstock::plugin {

namespace {
constexpr size_t max_status_bytes = 64 * 1024;
}  // namespace

using proxy::Action;
using proxy::AuthVerdict;
using proxy::Explanation;
using proxy::FilterCall;
using proxy::Way;

Instance::Instance(Host& host, const TypeSet::Type& type, const InstanceSpec& spec)
    : Filter(spec.name, spec.type, spec.at_text),
      plugin_(*type.plugin),
      host_(host),
      own_(std::make_unique<gw_instance>()),
      handle_(*own_) {
  handle_.library = type.library;
  handle_.plugin = type.plugin;
  handle_.owner = {&handle_, type.library->file_name()};
  handle_.counts = host.hook_counts().of(spec.name);
  handle_.host = &host;
  handle_.configuration = spec.configuration;
  handle_.name = spec.name;
  handle_.type = spec.type;
  handle_.kv_space = host.limits().space(spec.type, spec.name);
  handle_.store_space = spec.type + ":" + spec.name;
  on_error_ = spec.on_error;
  context_size_ = plugin_.ctx_size;
  if (plugin_.authenticate != nullptr) hooks_ |= authenticate_hook;
  if (plugin_.on_request_headers != nullptr) hooks_ |= request_headers_hook;
  if (plugin_.on_response_headers != nullptr) hooks_ |= response_headers_hook;
  if (plugin_.on_request_body != nullptr) hooks_ |= request_body_hook;
  if (plugin_.on_request_trailers != nullptr) hooks_ |= request_trailers_hook;
  if (plugin_.on_response_body != nullptr) hooks_ |= response_body_hook;
  if (plugin_.on_response_trailers != nullptr) hooks_ |= response_trailers_hook;
  if (plugin_.on_upgrade != nullptr) hooks_ |= upgrade_hook;
  // Who may pause must hear of the end: that is where its tickets go stale.
  if (plugin_.on_complete != nullptr || plugin_.on_resume != nullptr) hooks_ |= complete_hook;
  if (GW_HAS(&plugin_, on_attempt) && plugin_.on_attempt != nullptr) hooks_ |= attempt_hook;
  if (GW_HAS(&plugin_, explain) && plugin_.explain != nullptr) hooks_ |= explain_hook;
  name_codes();
}

// Hooks that the type has are counted; of those it has not there are no series.
void Instance::name_codes() {
  for (size_t i = 0; i < code_kinds; ++i)
    handle_.codes[i] = {&handle_.owner, static_cast<CodeKind>(i), nullptr};
  const std::pair<CodeKind, bool> hooks[] = {
      {CodeKind::authenticate, plugin_.authenticate != nullptr},
      {CodeKind::on_request_headers, plugin_.on_request_headers != nullptr},
      {CodeKind::on_request_body, plugin_.on_request_body != nullptr},
      {CodeKind::on_request_trailers, plugin_.on_request_trailers != nullptr},
      {CodeKind::on_response_headers, plugin_.on_response_headers != nullptr},
      {CodeKind::on_response_body, plugin_.on_response_body != nullptr},
      {CodeKind::on_response_trailers, plugin_.on_response_trailers != nullptr},
      {CodeKind::on_upgrade, plugin_.on_upgrade != nullptr},
      {CodeKind::on_resume, plugin_.on_resume != nullptr},
      {CodeKind::on_attempt, has(attempt_hook)},
      {CodeKind::on_complete, plugin_.on_complete != nullptr}};
  for (const auto& [kind, there] : hooks) {
    if (there)
      handle_.codes[static_cast<size_t>(kind)].counts = host_.hook_counts().add(*handle_.counts, kind);
  }
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
  contained(CodeKind::configure, [&] { rc = plugin_.configure(configuration.handle(&spec.node), &inst_); });
  handle_.inst = inst_;
  handle_.configured = rc >= 0 || inst_ != nullptr;
  if ((handle_.without_hooks & GW_HOOK_RESPONSE_HEADERS) != 0) hooks_ &= ~uint32_t{response_headers_hook};
  if ((handle_.without_hooks & GW_HOOK_COMPLETE) != 0) hooks_ &= ~uint32_t{complete_hook};
  if ((handle_.without_hooks & GW_HOOK_REQUEST_BODY) != 0) hooks_ &= ~uint32_t{request_body_hook};
  if ((handle_.without_hooks & GW_HOOK_RESPONSE_BODY) != 0) hooks_ &= ~uint32_t{response_body_hook};
  if (rc < 0 && configuration.errors == 0) {
    diagnostics.error("plugin-refused", spec.at, spec.path,
                      fmt::format("plugin type '{}' did not accept this configuration ({})", spec.type, rc));
  }
  return rc >= 0 && configuration.errors == 0;
}

Instance::~Instance() { host_.instances().retire(std::move(own_)); }

// Shown to operators as it is, within other JSON: whatever is none, or without an end, is left out.
std::string Instance::status() const {
  if (!GW_HAS(&plugin_, status) || plugin_.status == nullptr) return {};
  std::string said;
  contained(CodeKind::status, [&] {
    const gw_str text = plugin_.status(inst_);
    if (text.len <= max_status_bytes)
      said = view(text);
    else
      host_.log(LogLevel::error, &handle_, {}, "its status is longer than 64 KiB");
  });
  if (said.empty()) return {};
  if (nlohmann::json::parse(said, nullptr, false).is_object()) return said;
  host_.log(LogLevel::error, &handle_, {}, "its status is no JSON object");
  return {};
}

bool Instance::worker_start(uint32_t worker, net::Loop& loop, void** state) const {
  *state = nullptr;
  host_.enroll(worker);
  gw_rc rc = GW_OK;
  if (plugin_.worker_start != nullptr) {
    gw_worker self{worker};
    rc = GW_ERROR;
    contained(CodeKind::worker_start, [&] { rc = plugin_.worker_start(inst_, &self, state); });
  }
  if (rc < 0) {
    host_.log(LogLevel::error, &handle_, {}, fmt::format("could not start on worker {} ({})", worker, rc));
    return false;
  }
  for (const auto& store : handle_.stores) store->redis->attach(worker, loop);
  return true;
}

void Instance::worker_stop(uint32_t worker, void* state) const {
  for (const auto& store : handle_.stores) store->redis->detach(worker);
  gw_worker self{worker};
  if (plugin_.worker_stop != nullptr)
    contained(CodeKind::worker_stop, [&] { plugin_.worker_stop(inst_, &self, state); });
}

// Outside of any request: what it throws is in the log, and what it would have said stays an error.
template <class Call>
void Instance::contained(CodeKind what, Call call) const {
  const CodeRun run(code(what));
  try {
    call();
  } catch (const std::exception& e) {
    host_.log(LogLevel::error, &handle_, {}, fmt::format("{} threw: {}", plugin::name(what), e.what()));
  } catch (...) {
    host_.log(LogLevel::error, &handle_, {}, fmt::format("{} threw", plugin::name(what)));
  }
}

// Every hook of a request goes through here. The SDK catches inside the plugin; this is for those that do
// not use it. It costs nothing where nothing is thrown.
template <class Call>
gw_action Instance::guarded(CodeKind hook, gw_req& frame, Call call) const {
  // Known when this is compiled: a hook that is called is one that the type has.
  const Counted counted = hook == CodeKind::explain ? Counted::no : Counted::yes;
  const HookRun run(code(hook), counted, frame, frame.context.route, frame.context.worker);
  try {
    return call();
  } catch (const std::exception& e) {
    report(hook, frame, fmt::format("threw: {}", e.what()));
  } catch (...) {
    report(hook, frame, "threw");
  }
  frame.threw = true;
  return GW_ERROR;
}

void Instance::complain(CodeKind hook, gw_action action, const gw_req& frame) const {
  if (!frame.threw) report(hook, frame, fmt::format("failed: it returned {}", action));
}

void Instance::report(CodeKind hook, const gw_req& frame, std::string_view what) const {
  if (HookCount* counts = code(hook).counts; counts != nullptr) counts[frame.context.worker].failed();
  host_.log(LogLevel::error, &handle_, frame.context.request_id,
            fmt::format("{} {}", plugin::name(hook), what));
}

// A pause needs a ticket and somebody who can wake the request; a ticket without a pause leads nowhere.
bool Instance::paused(gw_req& frame, gw_action action) const {
  proxy::Resumable* waiting = frame.context.resumable;
  const bool hears_of_end = (hooks_ & complete_hook) != 0;
  if (action == GW_PAUSE && frame.took_ticket && waiting != nullptr && plugin_.on_resume != nullptr &&
      hears_of_end) {
    return true;
  }
  if (frame.took_ticket && waiting != nullptr) host_.tickets().forget(*waiting);
  return false;
}

AuthVerdict Instance::auth_verdict(gw_req& frame, gw_action action, CodeKind hook) const {
  if (paused(frame, action)) return AuthVerdict::pause;
  const proxy::AuthRecord& said = frame.context.auth;
  const bool accepts = action == GW_ACCEPT || (action == GW_ACCEPT_BUFFER && has(request_body_hook));
  if (accepts && (said.consumer != nullptr || !said.identity.empty())) {
    frame.context.auth.hold_head = action == GW_ACCEPT_BUFFER;
    return AuthVerdict::accept;
  }
  if (action == GW_ABSENT) return AuthVerdict::absent;
  if (action == GW_REFUSE) return AuthVerdict::refuse;
  complain(hook, action, frame);
  return AuthVerdict::error;
}

// What keeps or lets go of bodies is for plugins with a hook for them.
bool Instance::has_hook_for(Way way, gw_action action) const {
  const bool request = way == Way::request;
  if (action == GW_BUFFER) return has(request ? request_body_hook : response_body_hook);
  if (action != GW_DETACH) return false;
  return (hooks() & (request ? request_body_hook | request_trailers_hook
                             : response_body_hook | response_trailers_hook)) != 0;
}

Action Instance::request_action(gw_req& frame, gw_action action, CodeKind hook) const {
  if (paused(frame, action)) return Action::pause;
  const bool of_body = has_hook_for(Way::request, action) && frame.stage != Stage::request_trailers;
  if (action == GW_CONTINUE || of_body) {
    if (frame.context.local.status != 0) frame.context.local = {};
    return action == GW_BUFFER ? Action::buffer : action == GW_DETACH ? Action::detach : Action::next;
  }
  if (action == GW_RESPOND && frame.context.local.status != 0) return Action::respond;
  complain(hook, action, frame);
  frame.context.local = {};
  return Action::error;
}

AuthVerdict Instance::authenticate(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::authenticate};
  const gw_call c = call_of(frame, call);
  call.request.auth = {};
  const gw_action action = guarded(CodeKind::authenticate, frame, [&] { return plugin_.authenticate(&c); });
  return auth_verdict(frame, action, CodeKind::authenticate);
}

Action Instance::on_request_headers(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::request_headers};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action =
      guarded(CodeKind::on_request_headers, frame, [&] { return plugin_.on_request_headers(&c); });
  return request_action(frame, action, CodeKind::on_request_headers);
}

Action Instance::on_resume(const FilterCall& call, void* data) const {
  gw_req frame{call.request, host_, handle_, Stage::request_headers};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action = guarded(CodeKind::on_resume, frame, [&] { return plugin_.on_resume(&c, data); });
  return request_action(frame, action, CodeKind::on_resume);
}

AuthVerdict Instance::authenticate_resume(const FilterCall& call, void* data) const {
  gw_req frame{call.request, host_, handle_, Stage::authenticate};
  const gw_call c = call_of(frame, call);
  call.request.auth = {};
  const gw_action action = guarded(CodeKind::on_resume, frame, [&] { return plugin_.on_resume(&c, data); });
  return auth_verdict(frame, action, CodeKind::on_resume);
}

void Instance::pause_over(const FilterCall& call) const {
  if (call.request.resumable != nullptr) host_.tickets().forget(*call.request.resumable);
  const gw_req frame{call.request, host_, handle_, Stage::request_headers};
  report(CodeKind::on_resume, frame, "was never called: nobody resumed the request in time");
}

Action Instance::on_response_headers(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::response_headers};
  const gw_call c = call_of(frame, call);
  const gw_action action =
      guarded(CodeKind::on_response_headers, frame, [&] { return plugin_.on_response_headers(&c); });
  return response_action(frame, action, CodeKind::on_response_headers);
}

Action Instance::response_action(gw_req& frame, gw_action action, CodeKind hook) const {
  if (action == GW_CONTINUE) return Action::next;
  if (frame.stage != Stage::response_trailers && has_hook_for(Way::response, action))
    return action == GW_BUFFER ? Action::buffer : Action::detach;
  complain(hook, action, frame);
  return Action::error;
}

Action Instance::on_body(Way way, const FilterCall& call, std::string_view chunk, bool end) const {
  const bool request = way == Way::request;
  gw_req frame{call.request, host_, handle_, request ? Stage::request_body : Stage::response_body};
  const gw_call c = call_of(frame, call);
  const uint32_t flags = end ? GW_BODY_END : 0;
  if (!request) {
    const gw_action action = guarded(CodeKind::on_response_body, frame,
                                     [&] { return plugin_.on_response_body(&c, str(chunk), flags); });
    return response_action(frame, action, CodeKind::on_response_body);
  }
  call.request.local.status = 0;
  const gw_action action = guarded(CodeKind::on_request_body, frame,
                                   [&] { return plugin_.on_request_body(&c, str(chunk), flags); });
  return request_action(frame, action, CodeKind::on_request_body);
}

Action Instance::on_body_resume(const FilterCall& call, void* data) const {
  gw_req frame{call.request, host_, handle_, Stage::request_body};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action = guarded(CodeKind::on_resume, frame, [&] { return plugin_.on_resume(&c, data); });
  return request_action(frame, action, CodeKind::on_resume);
}

Action Instance::on_trailers(Way way, const FilterCall& call) const {
  const bool request = way == Way::request;
  gw_req frame{call.request, host_, handle_, request ? Stage::request_trailers : Stage::response_trailers};
  const gw_call c = call_of(frame, call);
  if (!request) {
    const gw_action action =
        guarded(CodeKind::on_response_trailers, frame, [&] { return plugin_.on_response_trailers(&c); });
    return response_action(frame, action, CodeKind::on_response_trailers);
  }
  call.request.local.status = 0;
  const gw_action action =
      guarded(CodeKind::on_request_trailers, frame, [&] { return plugin_.on_request_trailers(&c); });
  return request_action(frame, action, CodeKind::on_request_trailers);
}

Action Instance::on_upgrade(const FilterCall& call) const {
  gw_req frame{call.request, host_, handle_, Stage::upgrade};
  const gw_call c = call_of(frame, call);
  call.request.local.status = 0;
  const gw_action action = guarded(CodeKind::on_upgrade, frame, [&] { return plugin_.on_upgrade(&c); });
  return action == GW_RESPOND || action == GW_CONTINUE
             ? request_action(frame, action, CodeKind::on_upgrade)
             : response_action(frame, GW_ERROR, CodeKind::on_upgrade);
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
  guarded(CodeKind::on_complete, frame, [&]() -> gw_action {
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
  guarded(CodeKind::on_attempt, frame, [&]() -> gw_action {
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
  const gw_action action = guarded(CodeKind::explain, frame, [&] { return plugin_.explain(&c, &said); });
  Explanation out;
  if (action == GW_DEPENDS) {
    out.verdict = Verdict::depends;
    if (said.depends_on <= GW_ON_RANDOM) out.on = static_cast<Explanation::On>(said.depends_on);
    out.detail = call.request.arena.copy(view(said.detail));
  } else if (authenticator) {
    const AuthVerdict verdict = auth_verdict(frame, action, CodeKind::explain);
    out.verdict = verdict == AuthVerdict::accept   ? Verdict::accept
                  : verdict == AuthVerdict::absent ? Verdict::absent
                                                   : Verdict::refuse;
  } else {
    // An error answers 500: the chain finds no recorded answer and says so.
    const Action would = request_action(frame, action, CodeKind::explain);
    const bool goes_on = would == Action::next || would == Action::buffer || would == Action::detach ||
                         (would == Action::error && on_error() == proxy::OnError::skip);
    out.verdict = goes_on ? Verdict::next : Verdict::answer;
  }
  return out;
}

}  // namespace penstock::plugin
