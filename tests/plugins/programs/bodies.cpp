// A plugin that does with bodies what it is told by the headers `body` (requests) and `answer`: every
// verdict, junk, exceptions, pauses that other threads end. Written straight against the C tables. ctx says
// where the request is.
#include <penstock_plugin.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

const gw_host* host;
const gw_http_v0* http;
const gw_async_v0* async;
gw_id body_header, answer_header, seen_header, sum_trailer;

struct State {
  uint32_t calls, resumed;
};

gw_str str(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(gw_str text) { return {text.ptr, text.len}; }
std::string_view order(const gw_call* call, bool request) {
  return view(http->header_get(call->req, GW_REQUEST, request ? body_header : answer_header, 0));
}

// Without a word from the heap, so that a test can count that.
gw_action upper(const gw_call* call, std::string_view chunk) {
  static thread_local std::array<char, 1024 * 1024> text;
  if (chunk.size() > text.size()) return GW_ERROR;
  for (size_t i = 0; i < chunk.size(); ++i)
    text[i] = static_cast<char>(chunk[i] >= 'a' && chunk[i] <= 'z' ? chunk[i] - 32 : chunk[i]);
  return http->body_replace(call->req, {text.data(), chunk.size()});  // GW_OK is GW_CONTINUE
}

// Four threads at once, each twice: one of them counts.
void resume_from_everywhere(gw_ticket ticket) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([ticket] {
      async->resume(host, ticket, nullptr);
      async->resume(host, ticket, nullptr);
    });
  for (std::thread& thread : threads) thread.join();
}

gw_action forbidden(const gw_call* call, bool held) {
  const gw_id name = http->header_id(host, str("x-late"));
  int wrong = 0;
  const gw_rc want = held ? GW_OK : GW_ESTATE;
  wrong += http->header_set(call->req, GW_REQUEST, name, str("1")) != want;
  wrong += http->rewrite_path(call->req, str("/late")) != want;
  wrong += http->header_set(call->req, GW_RESPONSE, name, str("1")) != GW_ESTATE;
  wrong += http->header_set(call->req, GW_REQUEST_TRAILERS, name, str("1")) != GW_ESTATE;
  wrong += http->target_set(call->req, 999) != (held ? GW_ENOTFOUND : GW_ESTATE);
  wrong += http->body_replace(call->req, str(std::string(65u << 20, 'x'))) != GW_ELIMIT;
  return wrong == 0 ? gw_action{GW_CONTINUE} : gw_action{GW_ERROR};
}

gw_action act(const gw_call* call, std::string_view what, gw_str chunk, uint32_t flags) {
  auto& state = *static_cast<State*>(call->ctx);
  ++state.calls;
  const bool end = (flags & GW_BODY_END) != 0;
  if (what == "upper") return upper(call, view(chunk));
  if (what == "whole" || what == "hold") return end ? upper(call, view(chunk)) : gw_action{GW_BUFFER};
  if (what == "throw") throw std::runtime_error("on purpose");
  if (what == "throw-int") throw 7;
  if (what == "junk") return 4711;
  if (what == "error") return GW_ERROR;
  if (what == "buffer-end") return GW_BUFFER;
  if (what == "detach" || what == "hold-detach") return GW_DETACH;
  if (what == "respond-nothing") return GW_RESPOND;
  if (what == "pause-no-ticket") return GW_PAUSE;
  if (what == "forbidden") return forbidden(call, false);
  if (what == "hold-forbidden") return forbidden(call, state.calls == 1);  // which lets the head go
  if (what == "respond") {
    http->problem(call->req, 422, str("bodies.refused"), str("as asked"), {});
    return GW_RESPOND;
  }
  if (what == "pause" || what == "hold-pause") {
    if (end && state.calls > 1) return GW_CONTINUE;
    resume_from_everywhere(async->ticket(call->req));
    return GW_PAUSE;
  }
  if (what == "pause-again") {
    async->resume_after(call->req, async->ticket(call->req), 1'000'000, nullptr);
    return GW_PAUSE;
  }
  if (what == "sleep") {
    async->ticket(call->req);
    return GW_PAUSE;
  }
  return GW_CONTINUE;
}

gw_action on_request_headers(const gw_call* call) {
  const std::string_view what = order(call, true);
  if (what == "off") return GW_DETACH;
  return what.substr(0, 4) == "hold" ? GW_BUFFER : GW_CONTINUE;
}
gw_action on_request_body(const gw_call* call, gw_str chunk, uint32_t flags) {
  return act(call, order(call, true), chunk, flags);
}
gw_action on_response_headers(const gw_call* call) {
  const std::string_view what = order(call, false);
  if (what == "off") return GW_DETACH;
  return what.substr(0, 4) == "hold" ? GW_BUFFER : GW_CONTINUE;
}
gw_action on_response_body(const gw_call* call, gw_str chunk, uint32_t flags) {
  return act(call, order(call, false), chunk, flags);
}
gw_action on_resume(const gw_call* call, void*) {
  auto& state = *static_cast<State*>(call->ctx);
  if (order(call, true) == "pause-again" && ++state.resumed < 3) {
    async->resume_after(call->req, async->ticket(call->req), 1'000'000, nullptr);
    return GW_PAUSE;
  }
  http->body_replace(call->req, str("resumed;"));
  return GW_CONTINUE;
}
gw_action on_trailers(const gw_call* call, uint32_t block) {
  const gw_str sum = http->header_get(call->req, block, sum_trailer, 0);
  if (view(sum) == "refuse") {
    http->problem(call->req, 422, str("bodies.sum"), str("as asked"), {});
    return GW_RESPOND;
  }
  return http->header_set(call->req, block, seen_header, str("yes"));
}
gw_action on_request_trailers(const gw_call* call) { return on_trailers(call, GW_REQUEST_TRAILERS); }
gw_action on_response_trailers(const gw_call* call) { return on_trailers(call, GW_RESPONSE_TRAILERS); }
gw_action on_upgrade(const gw_call* call) {
  if (order(call, false) != "no-tunnel") return GW_CONTINUE;
  http->problem(call->req, 403, str("bodies.tunnel"), str("as asked"), {});
  return GW_RESPOND;
}

gw_rc configure(const gw_node*, void** inst) {
  static int instance;
  *inst = &instance;
  return GW_OK;
}

gw_rc init(const gw_host* h) {
  host = h;
  http = static_cast<const gw_http_v0*>(h->get_extension(h, GW_HTTP_V0));
  async = static_cast<const gw_async_v0*>(h->get_extension(h, GW_ASYNC_V0));
  body_header = http->header_id(h, str("body"));
  answer_header = http->header_id(h, str("answer"));
  seen_header = http->header_id(h, str("x-seen"));
  sum_trailer = http->header_id(h, str("x-sum"));
  return GW_OK;
}

constexpr gw_plugin make() {
  gw_plugin p{};
  p.struct_size = sizeof(gw_plugin);
  p.ctx_size = sizeof(State);
  p.type = {"bodies", 6};
  p.version = {"1.0.0", 5};
  p.configure = &configure;
  p.on_request_headers = &on_request_headers;
  p.on_request_body = &on_request_body;
  p.on_request_trailers = &on_request_trailers;
  p.on_response_headers = &on_response_headers;
  p.on_response_body = &on_response_body;
  p.on_response_trailers = &on_response_trailers;
  p.on_upgrade = &on_upgrade;
  p.on_resume = &on_resume;
  return p;
}
constexpr gw_plugin bodies = make();
const gw_plugin* const plugins[] = {&bodies, nullptr};

}  // namespace

extern "C" {
const gw_entry gw_plugin_entry = {GW_MAGIC, sizeof(gw_entry), GW_ABI_MAJOR, GW_ABI_MINOR, 0,
                                  &init,    nullptr,          plugins};
}
