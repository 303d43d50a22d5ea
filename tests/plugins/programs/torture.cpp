// A plugin that does what it is told by the header `do`: junk actions, exceptions, pauses that many threads
// end at once, forbidden calls, crashes. Written straight against the C tables, so that nothing of the SDK
// softens it.
#include <penstock_plugin.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

const gw_host* host;
const gw_http_v0* http;
const gw_consumer_v0* consumer;
const gw_async_v0* async;
const gw_config_v0* config;
const gw_log_v0* log_table;
const gw_metric_v0* metric;
const gw_kv_v0* kv;
const gw_clock_v0* clock_table;
const gw_event_v0* event;
const gw_connection_v0* connection;
gw_id do_header, test_header, length_header, first_header, second_header, client_address, test_claim;
gw_ticket last_ticket;

gw_str str(const char* text) { return {text, std::strlen(text)}; }

std::string order(const gw_call* call) {
  const gw_str text = http->header_get(call->req, GW_REQUEST, do_header, 0);
  return text.ptr == nullptr ? std::string() : std::string(text.ptr, text.len);
}

// What this library has seen of tickets, for the end: all of them are stale by then.
std::mutex seen_mutex;
std::vector<gw_ticket> seen;

gw_ticket take(const gw_call* call) {
  const gw_ticket ticket = async->ticket(call->req);
  const std::lock_guard lock(seen_mutex);
  seen.push_back(ticket);
  return ticket;
}

gw_ticket seen_last() {
  const std::lock_guard lock(seen_mutex);
  return seen.empty() ? gw_ticket{0, 0} : seen.back();
}

struct Instance {
  gw_instance* handle;
  std::vector<gw_metric*> series;
  std::mutex mutex;
  std::vector<std::thread> threads;  // joined before the code goes

  template <class Work>
  void start(Work work) {
    const std::lock_guard lock(mutex);
    threads.emplace_back(work);
  }
  ~Instance() {
    for (std::thread& thread : threads) thread.join();
  }
};
Instance& instance_of(const gw_call* call) { return *static_cast<Instance*>(call->inst); }

// Exactly one of them may be told that it was taken.
void resume_from_eight_threads(const gw_call* call) {
  static gw_action go_on = GW_CONTINUE;
  const gw_ticket ticket = take(call);
  for (int i = 0; i < 8; ++i) {
    instance_of(call).start([ticket] {
      async->resume(host, ticket, &go_on);
      async->resume(host, ticket, &go_on);
    });
  }
}

// Whatever is wrong with an argument that can be recognised is answered, in every hook.
int wrong_arguments(const gw_call* call) {
  const gw_id name = test_header;
  const gw_str lying{nullptr, 5}, nothing{nullptr, 0};
  const std::string long_text(1 << 20, 'x');
  const gw_str large{long_text.data(), long_text.size()};
  int wrong = 0;
  wrong += http->header_get(nullptr, GW_REQUEST, name, 0).ptr != nullptr;
  wrong += http->header_get(call->req, GW_REQUEST, 0, 0).ptr != nullptr;
  wrong += http->header_get(call->req, GW_REQUEST, do_header, UINT32_MAX).ptr != nullptr;
  wrong += http->header_get(call->req, UINT32_MAX, do_header, 0).ptr != nullptr;
  wrong += http->header_count(nullptr, GW_REQUEST, name) != 0;
  http->header_each(nullptr, GW_REQUEST, nullptr, nullptr);
  http->header_each(call->req, GW_REQUEST, nullptr, nullptr);
  wrong += http->header_set(nullptr, GW_REQUEST, name, nothing) >= 0;
  wrong += http->header_set(call->req, GW_REQUEST, 0, nothing) >= 0;
  wrong += http->header_set(call->req, GW_REQUEST, name, lying) >= 0;
  wrong += http->header_add(call->req, GW_REQUEST, name, large) >= 0;
  wrong += http->attribute_get(nullptr, name).ptr != nullptr;
  wrong += http->attribute_set(call->req, 0, nothing) >= 0;
  wrong += http->target_set(nullptr, 1) >= 0;
  wrong += http->target_set(call->req, UINT32_MAX) >= 0;
  wrong += http->rewrite_path(call->req, lying) >= 0;
  wrong += http->rewrite_path(call->req, nothing) >= 0;
  wrong += http->respond(nullptr, 200, nothing, nothing, nothing) >= 0;
  wrong += http->respond(call->req, UINT32_MAX, nothing, nothing, nothing) >= 0;
  wrong += http->respond(call->req, 200, large, nothing, nothing) >= 0;
  wrong += http->problem(nullptr, 200, nothing, nothing, nothing) >= 0;
  wrong += http->arena_alloc(nullptr, 1) != nullptr;
  wrong += http->arena_alloc(call->req, SIZE_MAX) != nullptr;
  wrong += consumer->lookup(call->req, nullptr, 1, str("k")) != nullptr;
  wrong += consumer->name(nullptr).ptr != nullptr;
  wrong += consumer->set_consumer(call->req, nullptr) >= 0;
  wrong += consumer->set_identity(call->req, nullptr, lying, nullptr, SIZE_MAX) >= 0;
  wrong += consumer->in_group(nullptr, lying) != 0;
  wrong += connection->server_name(nullptr).ptr != nullptr;
  wrong += clock_table->request_wall(nullptr) != 0;
  wrong += async->ticket(nullptr).gen != 0;
  wrong += async->resume(host, gw_ticket{UINT64_MAX, UINT64_MAX}, nullptr) != 0;
  wrong += async->resume(host, gw_ticket{0, 0}, nullptr) != 0;
  wrong += async->resume_after(call->req, gw_ticket{0, 0}, 1, nullptr) >= 0;
  wrong += kv->gcra(nullptr, nothing, nullptr, 0, 1, 0, 0, nullptr) >= 0;
  wrong += kv->gcra(instance_of(call).handle, lying, nullptr, SIZE_MAX, 1, 0, 0, nullptr) >= 0;
  wrong += metric->counter(nullptr, nothing, nothing, nothing, nothing) != nullptr;
  metric->add(nullptr, 1);
  metric->observe(nullptr, 1);
  log_table->write_request(nullptr, nullptr, UINT32_MAX, lying);
  wrong += config->kind(nullptr) != GW_NODE_NULL;
  wrong += config->get(nullptr, nothing) != nullptr;
  wrong += config->get_string(nullptr, nullptr) >= 0;
  wrong += config->instance(nullptr) != nullptr;
  wrong += config->instance_name(nullptr).ptr != nullptr;
  return wrong;
}

// What belongs to the request's hooks is answered with an error by the later ones.
int forbidden_later(const gw_call* call) {
  const gw_id name = test_header;
  int wrong = wrong_arguments(call);
  wrong += http->header_set(call->req, GW_REQUEST, name, str("x")) != GW_ESTATE;
  wrong += http->target_set(call->req, 1) != GW_ESTATE;
  wrong += http->rewrite_path(call->req, str("/x")) != GW_ESTATE;
  wrong += http->respond(call->req, 200, str("x"), str(""), str("")) != GW_ESTATE;
  wrong += http->problem(call->req, 403, str("x"), str(""), str("")) != GW_ESTATE;
  wrong += http->respond_header(call->req, name, str("x")) != GW_ESTATE;
  wrong += consumer->set_consumer_name(call->req, str("alice")) != GW_ESTATE;
  wrong += consumer->refuse(call->req, 401, str("auth.x"), str("")) != GW_ESTATE;
  wrong += async->ticket(call->req).gen != 0;
  return wrong;
}

// All of it may be written to, and there is an end to it.
gw_action exhaust_arena(const gw_call* call) {
  size_t got = 0;
  while (void* piece = http->arena_alloc(call->req, 1000)) {
    std::memset(piece, 0x5a, 1000);
    got += 1000;
    if (got > (1 << 20)) return GW_ERROR;
  }
  return got > 60'000 ? gw_action{GW_CONTINUE} : gw_action{GW_ERROR};
}

[[gnu::noinline]] int dig(volatile char* above) {
  if (above == nullptr) return 0;  // for the compiler
  volatile char here[4096];
  here[0] = above[0];
  return dig(here) + here[4095];
}

void crash(const gw_call* call, const std::string& how) {
  int* volatile nowhere = reinterpret_cast<int*>(64);  // not NULL, which a sanitizer would catch before us
  if (how == "crash") *nowhere = 1;
  if (how == "crash-abort") std::abort();
  if (how == "crash-signal") ::raise(SIGSEGV);
  if (how == "crash-deep") {
    volatile char top = 0;
    dig(&top);
  }
  if (how == "crash-thread") {
    std::thread thread([nowhere] { *nowhere = 1; });
    thread.join();
  }
  if (how == "call-from-thread") {
    std::thread thread([call] { http->header_count(call->req, GW_REQUEST, do_header); });
    thread.join();
  }
}

gw_action forbidden_writes(const gw_call* call) {
  const gw_id length = length_header, name = test_header, claim = test_claim;
  int wrong = 0;
  wrong += http->header_set(call->req, GW_REQUEST, length, str("5")) != GW_EINVAL;
  wrong += http->header_set(call->req, GW_REQUEST, name, str("a\r\nb: c")) != GW_EINVAL;
  wrong += http->header_set(call->req, GW_RESPONSE, name, str("x")) != GW_ESTATE;
  wrong += http->header_set(call->req, 99, name, str("x")) >= 0;
  wrong += http->header_set(call->req, GW_REQUEST, 123456, str("x")) != GW_EINVAL;
  wrong += http->attribute_set(call->req, client_address, str("x")) != GW_EINVAL;
  wrong += http->attribute_set(call->req, claim, str("a\r\nb: c")) != GW_EINVAL;
  wrong += http->attribute_set(call->req, claim, str("a\x7f")) != GW_EINVAL;
  wrong += http->attribute_get(call->req, claim).ptr != nullptr;
  wrong += http->attribute_get(call->req, 654321).ptr != nullptr;
  wrong += http->target_set(call->req, 999) != GW_ENOTFOUND;
  wrong += http->rewrite_path(call->req, str("no-slash")) != GW_EINVAL;
  wrong += http->rewrite_path(call->req, str("/a b")) != GW_EINVAL;
  wrong += http->respond(call->req, 101, str("x"), str(""), str("")) != GW_EINVAL;
  wrong += http->problem(call->req, 403, str("not a code"), str(""), str("")) != GW_EINVAL;
  wrong += http->respond_header(call->req, name, str("x")) != GW_ESTATE;
  wrong += consumer->set_consumer_name(call->req, str("alice")) != GW_ESTATE;
  wrong += consumer->refuse(call->req, 401, str("auth.x"), str("")) != GW_ESTATE;
  wrong += http->arena_alloc(call->req, 1 << 20) != nullptr;
  return wrong == 0 ? gw_action{GW_CONTINUE} : gw_action{GW_ERROR};
}

gw_action act(const gw_call* call, bool authenticator) {
  const std::string what = order(call);
  if (what == "throw") throw std::runtime_error("on purpose");
  if (what == "throw-int") throw 7;
  if (what == "error") return GW_ERROR;
  if (what == "junk") return 4711;
  if (what == "buffer") return GW_BUFFER;
  if (what == "detach") return GW_DETACH;
  if (what == "respond-nothing") return GW_RESPOND;
  if (what == "accept-nothing") return GW_ACCEPT;
  if (what == "accept") {
    consumer->set_consumer_name(call->req, str("alice"));
    return GW_ACCEPT;
  }
  if (what == "record-but-absent") {
    consumer->set_consumer_name(call->req, str("alice"));
    return GW_ABSENT;
  }
  if (what == "pause-no-ticket") return GW_PAUSE;
  if (what == "pause-abandoned") return take(call), GW_PAUSE;
  if (what == "pause") {
    last_ticket = take(call);
    return GW_PAUSE;
  }
  if (what == "pause-eight-threads") return resume_from_eight_threads(call), GW_PAUSE;
  if (what == "pause-resumed-before") {
    async->resume(host, take(call), nullptr);
    return GW_PAUSE;
  }
  if (what == "pause-alarm") {
    const gw_ticket ticket = take(call);
    async->resume_after(call->req, ticket, 1'000'000, nullptr);
    async->resume_after(call->req, ticket, 1'000'000, nullptr);
    return GW_PAUSE;
  }
  if (what == "pause-two-tickets") {
    const gw_ticket older = take(call), newer = take(call);
    if (async->resume(host, older, nullptr) != 0) return GW_ERROR;
    async->resume(host, newer, nullptr);
    return GW_PAUSE;
  }
  if (what == "ticket-no-pause") {
    last_ticket = async->ticket(call->req);
    return GW_CONTINUE;
  }
  if (what == "respond") {
    http->problem(call->req, 418, str("torture.teapot"), str("as asked"), str("\"pot\":1"));
    http->respond_header(call->req, first_header, str("1"));
    http->respond_header(call->req, second_header, str("2"));
    return GW_RESPOND;
  }
  if (what == "problem-but-continue") {
    http->problem(call->req, 418, str("torture.teapot"), str(""), str(""));
    return GW_CONTINUE;
  }
  if (what == "forbidden-writes") return forbidden_writes(call);
  if (what == "wrong-arguments") return wrong_arguments(call) == 0 ? gw_action{GW_CONTINUE} : GW_ERROR;
  if (what == "exhaust-arena") return exhaust_arena(call);
  if (what == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(300));
  crash(call, what);
  return authenticator ? GW_ABSENT : GW_CONTINUE;
}

gw_action on_request_headers(const gw_call* call) { return act(call, false); }
gw_action authenticate(const gw_call* call) { return act(call, true); }
gw_action on_resume(const gw_call*, void* data) {
  return data == nullptr ? GW_CONTINUE : *static_cast<gw_action*>(data);
}
gw_action on_response_headers(const gw_call* call) {
  const std::string what = order(call);
  if (what == "response-throw") throw std::runtime_error("late");
  if (what == "response-junk") return -4711;
  return what == "forbidden-later" && forbidden_later(call) != 0 ? gw_action{GW_ERROR} : GW_CONTINUE;
}
void on_complete(const gw_call* call, const gw_summary*) {
  const std::string what = order(call);
  if (what == "complete-throw") throw std::runtime_error("last");
  if (what == "forbidden-later" && forbidden_later(call) != 0) throw std::runtime_error("was let");
  // The request ends: whoever resumes it from now on is too late.
  if (what == "pause-abandoned") {
    const gw_ticket ticket = seen_last();
    instance_of(call).start([ticket] { async->resume(host, ticket, nullptr); });
  }
}

gw_rc many_series(Instance& made) {
  for (int i = 0; i < 10'100; ++i) {
    made.series.push_back(metric->counter(made.handle, str("torture_total"), str("Many."), str("i"),
                                          str(std::to_string(i).c_str())));
  }
  for (gw_metric* series : made.series) metric->add(series, 1);
  return made.series.front() != nullptr && made.series.back() == nullptr ? GW_OK : GW_ERROR;
}

std::atomic<bool> throws_at_end = false;
void on_event(void*, uint32_t) { throw std::runtime_error("in an event"); }

gw_rc configure(const gw_node* node, void** inst) {
  gw_str text{};
  if (const gw_node* mode = config->get(node, str("mode"));
      mode != nullptr && config->get_string(mode, &text) >= 0) {
    const std::string how(text.ptr, text.len);
    if (how == "throw") throw std::runtime_error("in configure");
    if (how == "error") return GW_ERROR;
    throws_at_end = how == "throw-at-end";
    if (how == "event") event->subscribe(config->instance(node), GW_EVENT_REOPEN_LOGS, &on_event, nullptr);
    if (how == "many-series") {
      auto* made = new Instance{config->instance(node), {}, {}, {}};
      *inst = made;
      return many_series(*made);
    }
  }
  *inst = new Instance{config->instance(node), {}, {}, {}};
  return GW_OK;
}
void destroy(void* inst) {
  const bool throws = throws_at_end;
  delete static_cast<Instance*>(inst);
  if (throws) throw std::runtime_error("in destroy");
}

gw_rc worker_start(void*, gw_worker*, void** state) {
  *state = new int(1);
  return GW_OK;
}
void worker_stop(void*, gw_worker*, void* state) {
  delete static_cast<int*>(state);
  if (throws_at_end) throw std::runtime_error("in worker_stop");
}

gw_rc init(const gw_host* h) {
  host = h;
  http = static_cast<const gw_http_v0*>(h->get_extension(h, GW_HTTP_V0));
  consumer = static_cast<const gw_consumer_v0*>(h->get_extension(h, GW_CONSUMER_V0));
  async = static_cast<const gw_async_v0*>(h->get_extension(h, GW_ASYNC_V0));
  config = static_cast<const gw_config_v0*>(h->get_extension(h, GW_CONFIG_V0));
  log_table = static_cast<const gw_log_v0*>(h->get_extension(h, GW_LOG_V0));
  metric = static_cast<const gw_metric_v0*>(h->get_extension(h, GW_METRIC_V0));
  kv = static_cast<const gw_kv_v0*>(h->get_extension(h, GW_KV_V0));
  clock_table = static_cast<const gw_clock_v0*>(h->get_extension(h, GW_CLOCK_V0));
  event = static_cast<const gw_event_v0*>(h->get_extension(h, GW_EVENT_V0));
  connection = static_cast<const gw_connection_v0*>(h->get_extension(h, GW_CONNECTION_V0));
  do_header = http->header_id(h, str("do"));
  test_header = http->header_id(h, str("x-test"));
  length_header = http->header_id(h, str("content-length"));
  first_header = http->header_id(h, str("x-first"));
  second_header = http->header_id(h, str("x-second"));
  client_address = http->attribute_id(h, str("client.address"));
  test_claim = http->attribute_id(h, str("claim.torture"));
  const gw_str lying{nullptr, 5}, nothing{nullptr, 0};
  const bool named =
      http->header_id(h, lying) != 0 || http->header_id(h, nothing) != 0 || http->attribute_id(h, lying) != 0;
  if (named) return GW_ERROR;
  return h->get_extension(h, "gw.unheard_of/0") == nullptr ? GW_OK : GW_ERROR;
}

// The last word of the library: what it paused is over, and says so.
void deinit() {
  const std::lock_guard lock(seen_mutex);
  for (const gw_ticket ticket : seen)
    if (async->resume(host, ticket, nullptr) != 0) std::abort();
}

// resume from outside a request: the test reaches it through the schema hook, the only call without a
// request.
gw_str schema() {
  static std::string out;
  static gw_action go_on = GW_CONTINUE;
  out = std::to_string(async->resume(host, last_ticket, &go_on));
  return {out.data(), out.size()};
}

constexpr gw_plugin make(const char* type, size_t length, bool authenticator) {
  gw_plugin p{};
  p.struct_size = sizeof(gw_plugin);
  p.ctx_size = 24;
  p.type = {type, length};
  p.version = {"1.0.0", 5};
  p.schema = &schema;
  p.configure = &configure;
  p.destroy = &destroy;
  p.worker_start = &worker_start;
  p.worker_stop = &worker_stop;
  (authenticator ? p.authenticate : p.on_request_headers) =
      authenticator ? &authenticate : &on_request_headers;
  p.on_response_headers = &on_response_headers;
  p.on_resume = &on_resume;
  p.on_complete = &on_complete;
  return p;
}
constexpr gw_plugin torture = make("torture", 7, false), torture_auth = make("torture_auth", 12, true);
const gw_plugin* const plugins[] = {&torture, &torture_auth, nullptr};

}  // namespace

extern "C" {
const gw_entry gw_plugin_entry = {GW_MAGIC, sizeof(gw_entry), GW_ABI_MAJOR, GW_ABI_MINOR, 0,
                                  &init,    &deinit,          plugins};
}
