// What a hook sees of one request, and what it may answer. A gw::request is a view: valid until the hook
// returns, on the thread that called it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "fetch.hpp"

#pragma GCC visibility push(hidden)
namespace gw {

// What a hook answers. The free functions below carry views, so their text must outlive the hook: literals
// and members of the plugin. Text made inside the hook goes through the functions of gw::request, which
// record it at once.
struct verdict {
  gw_action action = GW_CONTINUE;
  uint16_t status = 0;
  uint32_t on = GW_ON_UNKNOWN;
  std::string_view reason, text;
  enum class pending : uint8_t { nothing, problem, name, refusal } record = pending::nothing;
};

inline verdict acted(gw_action action) {
  verdict v;
  v.action = action;
  return v;
}
inline verdict next() { return {}; }
inline verdict absent() { return acted(GW_ABSENT); }
// The consumer of that name; the name must come from the configuration, never from the request.
inline verdict accept(std::string_view consumer) {
  return {GW_ACCEPT, 0, 0, {}, consumer, verdict::pending::name};
}
// Text that dies with the hook: use gw::request, which records it at once.
template <class Text, std::enable_if_t<std::is_same_v<Text, std::string>, int> = 0>
verdict accept(Text&&) = delete;
inline verdict refuse(std::string_view reason, std::string_view challenge = {}) {
  return {GW_REFUSE, 401, 0, reason, challenge, verdict::pending::refusal};
}
inline verdict forbid(std::string_view reason) {
  return {GW_REFUSE, 403, 0, reason, {}, verdict::pending::refusal};
}
inline verdict problem(uint16_t status, std::string_view reason, std::string_view detail = {}) {
  return {GW_RESPOND, status, 0, reason, detail, verdict::pending::problem};
}
template <class Text, std::enable_if_t<std::is_same_v<Text, std::string>, int> = 0>
verdict problem(uint16_t, std::string_view, Text&&) = delete;
// For explain(): the answer depends on something that explain cannot know.
inline verdict depends(uint32_t on, std::string_view detail) { return {GW_DEPENDS, 0, on, {}, detail}; }

// Body hooks: keep this chunk; the next one begins with it. Header hooks of a class that has the body hook of
// its direction: the head waits until something comes out of the body hooks, which may still write it.
inline verdict buffer() { return acted(GW_BUFFER); }
// Body and header hooks: go on, and call no further body or trailers hook of this direction.
inline verdict detach() { return acted(GW_DETACH); }
// Of an authenticator that has to see the body, too: accepted, but nothing goes upstream before its body hook
// has let something through.
inline verdict buffered(verdict accepted) {
  if (accepted.action == GW_ACCEPT) accepted.action = GW_ACCEPT_BUFFER;
  return accepted;
}

struct body_chunk {
  std::string_view bytes;
  bool last;
};

namespace detail {
// Work on its way to the host's pool and back.
template <class Work>
struct piece {
  Work work;
  std::exception_ptr thrown{};
  static void run(void* data) noexcept {
    auto& self = *static_cast<piece*>(data);
    try {
      self.work.run();
    } catch (...) {
      self.thrown = std::current_exception();
    }
  }
  static void discard(void* data) noexcept { delete static_cast<piece*>(data); }
};
}  // namespace detail

class exchange {
 public:
  explicit exchange(const gw_call* call) : call_(call) {}

  std::string_view request_header(const header& h, uint32_t index = 0) const {
    return get(GW_REQUEST, h, index);
  }
  uint32_t request_header_count(const header& h) const {
    return http().header_count(req(), GW_REQUEST, h.id());
  }

  // Empty with data() == nullptr: not known for this request.
  std::string_view attribute(const gw::attribute& a) const {
    return view(http().attribute_get(req(), a.id()));
  }
  gw_rc set_attribute(const gw::attribute& a, std::string_view v) const {
    return http().attribute_set(req(), a.id(), str(v));
  }
  bool in_group(std::string_view group) const {
    return detail::host.consumer->in_group(req(), str(group)) == 1;
  }

  // GW_CERTIFICATE_... of the client's verified certificate; data() == nullptr: there is none.
  std::string_view client_certificate(uint32_t fact, size_t index = 0) const {
    const gw_connection_v0* connection = detail::host.connection;
    if (!GW_HAS(connection, client_certificate)) return {};
    return view(connection->client_certificate(req(), fact, index));
  }

  int64_t wall_now() const { return detail::host.clock->request_wall(req()); }
  int64_t monotonic_now() const { return detail::host.clock->request_monotonic(req()); }

  // This request in its trace, which the first call begins; see gw_trace_v0.
  gw_trace_context trace() const {
    gw_trace_context out{};
    out.struct_size = sizeof out;
    if (detail::host.trace != nullptr) detail::host.trace->context(req(), &out);
    return out;
  }

  // The class's `state`: zeroed at the start of the request.
  template <class State>
  State& state() const {
    return *static_cast<State*>(call_->ctx);
  }
  // The class's `worker_state`; null in explain.
  template <class Worker>
  Worker* worker() const {
    return static_cast<Worker*>(call_->wstate);
  }
  void log(level l, const instance& i, std::string_view message) const {
    detail::host.log->write_request(req(), i.handle(), static_cast<uint32_t>(l), str(message));
  }
  void* arena(size_t size) const { return http().arena_alloc(req(), size); }
  // Body hooks: these bytes go on in place of the chunk; `then` is GW_CONTINUE or GW_DETACH. More than
  // limits.body_buffer is an error, never the chunk as it was.
  verdict replace_body(std::string_view bytes, gw_action then = GW_CONTINUE) const {
    const gw_rc rc = http().body_replace(req(), str(bytes));
    return acted(rc < 0 ? rc : then);
  }
  gw_req* req() const { return call_->req; }

 protected:
  static const gw_http_v0& http() { return *detail::host.http; }
  std::string_view get(uint32_t block, const header& h, uint32_t index) const {
    return view(http().header_get(req(), block, h.id(), index));
  }
  const gw_call* call_;
};

class request : public exchange {
 public:
  using exchange::exchange;

  std::string_view header(const gw::header& h, uint32_t index = 0) const { return get(GW_REQUEST, h, index); }
  uint32_t header_count(const gw::header& h) const { return request_header_count(h); }
  gw_rc set_header(const gw::header& h, std::string_view v) const {
    return http().header_set(req(), GW_REQUEST, h.id(), str(v));
  }
  gw_rc add_header(const gw::header& h, std::string_view v) const {
    return http().header_add(req(), GW_REQUEST, h.id(), str(v));
  }
  gw_rc remove_header(const gw::header& h) const { return http().header_remove(req(), GW_REQUEST, h.id()); }
  // In on_request_trailers.
  std::string_view trailer(const gw::header& h, uint32_t index = 0) const {
    return get(GW_REQUEST_TRAILERS, h, index);
  }
  gw_rc set_trailer(const gw::header& h, std::string_view v) const {
    return http().header_set(req(), GW_REQUEST_TRAILERS, h.id(), str(v));
  }
  gw_rc remove_trailer(const gw::header& h) const {
    return http().header_remove(req(), GW_REQUEST_TRAILERS, h.id());
  }
  gw_rc set_target(const target& t) const { return http().target_set(req(), t.id); }
  gw_rc rewrite_path(std::string_view path) const { return http().rewrite_path(req(), str(path)); }

  // Whether the trace is recorded: what the backend is told.
  gw_rc sample(bool sampled) const {
    return detail::host.trace != nullptr ? detail::host.trace->sample(req(), sampled ? 1 : 0) : GW_ENOTFOUND;
  }

  verdict respond(uint16_t status, std::string_view reason, std::string_view type,
                  std::string_view body) const {
    const gw_rc rc = http().respond(req(), status, str(reason), str(type), str(body));
    return acted(rc < 0 ? rc : GW_RESPOND);
  }
  verdict problem(uint16_t status, std::string_view reason, std::string_view detail,
                  std::string_view members = {}) const {
    const gw_rc rc = http().problem(req(), status, str(reason), str(detail), str(members));
    return acted(rc < 0 ? rc : GW_RESPOND);
  }
  void answer_header(const gw::header& h, std::string_view v) const {
    http().respond_header(req(), h.id(), str(v));
  }

  // Authenticators.
  const gw_consumer* lookup(const instance& self, uint32_t credential, std::string_view value) const {
    return detail::host.consumer->lookup(req(), self.handle(), credential, str(value));
  }
  // The consumer that has this user (GW_CREDENTIAL_BASIC) or key (GW_CREDENTIAL_HMAC), or nullptr; `secret`
  // is then the password's hash or the key, as long as the instance.
  const gw_consumer* find_secret(uint32_t credential, std::string_view name, std::string_view& secret) const {
    if (!GW_HAS(detail::host.consumer, find_secret)) return nullptr;
    gw_str text{};
    const gw_consumer* found = detail::host.consumer->find_secret(req(), credential, str(name), &text);
    secret = view(text);
    return found;
  }
  verdict accept(const gw_consumer* c) const {
    const gw_rc rc = detail::host.consumer->set_consumer(req(), c);
    return acted(rc < 0 ? rc : GW_ACCEPT);
  }
  verdict identify(const instance& self, std::string_view id, const gw_str* groups, size_t count) const {
    const gw_rc rc = detail::host.consumer->set_identity(req(), self.handle(), str(id), groups, count);
    return acted(rc < 0 ? rc : GW_ACCEPT);
  }
  verdict refuse(uint16_t status, std::string_view reason, std::string_view challenge = {}) const {
    const gw_rc rc = detail::host.consumer->refuse(req(), status, str(reason), str(challenge));
    return acted(rc < 0 ? rc : GW_REFUSE);
  }

  // Asks, for this request. Good: return gw::pause(), and on_resume gets what gw::answer is made of.
  // Negative, GW_ELIMIT say: nothing is asked, and the hook has to answer without.
  gw_rc fetch(const instance& self, const endpoint& whom, const question& q) const {
    const gw_ticket waiting = ticket();
    if (waiting.gen == 0) return GW_ESTATE;  // explain
    const gw_fetch_request asked = q.request();
    return detail::host.fetch->start(req(), waiting, self.handle(), whom.id, &asked);
  }

  // Take a ticket, hand it to whoever will call gw::resume, and return gw::pause().
  gw_ticket ticket() const { return detail::host.async->ticket(req()); }

  // work.run() on a thread of the host's pool, for what takes long. True: return gw::pause(), and on_resume
  // gets the work back by gw::offloaded<Work>(data). False: nothing was begun, because too much waits already
  // or this request cannot wait. A request that ends first takes its work along. run() may use what is
  // [ANY THREAD] and what lives as long as the instance, and nothing of the request.
  template <class Work>
  bool offload(Work work) const {
    using piece = detail::piece<Work>;
    if (!GW_HAS(detail::host.async, offload)) return false;
    std::unique_ptr<piece> made(new piece{std::move(work)});
    const gw_rc rc = detail::host.async->offload(req(), ticket(), &piece::run, &piece::discard, made.get());
    if (rc < 0) return false;
    made.release();
    return true;
  }
};

// In on_resume, once: what the offloaded work has become. Throws what run() threw.
template <class Work>
Work offloaded(void* data) {
  const std::unique_ptr<detail::piece<Work>> done(static_cast<detail::piece<Work>*>(data));
  if (done->thrown) std::rethrow_exception(done->thrown);
  return std::move(done->work);
}

inline verdict pause() { return acted(GW_PAUSE); }
// [ANY THREAD] False: the request is gone, `data` stays with the caller.
inline bool resume(gw_ticket t, void* data) {
  return detail::host.async->resume(detail::host.host, t, data) == 1;
}

class response : public exchange {
 public:
  using exchange::exchange;

  std::string_view header(const gw::header& h, uint32_t index = 0) const {
    return get(GW_RESPONSE, h, index);
  }
  gw_rc set_header(const gw::header& h, std::string_view v) const {
    return http().header_set(req(), GW_RESPONSE, h.id(), str(v));
  }
  gw_rc add_header(const gw::header& h, std::string_view v) const {
    return http().header_add(req(), GW_RESPONSE, h.id(), str(v));
  }
  gw_rc remove_header(const gw::header& h) const { return http().header_remove(req(), GW_RESPONSE, h.id()); }
  // In on_response_trailers.
  std::string_view trailer(const gw::header& h, uint32_t index = 0) const {
    return get(GW_RESPONSE_TRAILERS, h, index);
  }
  gw_rc set_trailer(const gw::header& h, std::string_view v) const {
    return http().header_set(req(), GW_RESPONSE_TRAILERS, h.id(), str(v));
  }
  gw_rc remove_trailer(const gw::header& h) const {
    return http().header_remove(req(), GW_RESPONSE_TRAILERS, h.id());
  }
};

}  // namespace gw
#pragma GCC visibility pop
