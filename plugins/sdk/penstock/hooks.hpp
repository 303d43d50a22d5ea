// From a class to the C tables: finds the hooks that the class has, wraps each in a function that lets no
// exception out, and makes the exported entry. A hook is found by its name; one with a wrong signature does
// not compile.
//
//   verdict authenticate(request)             verdict on_resume(request, void* data)
//   verdict|void on_request_headers(request)  verdict|void on_response_headers(response)
//   verdict|void on_request_body(request, body_chunk)   verdict|void on_response_body(response, body_chunk)
//   verdict|void on_request_trailers(request)           verdict|void on_response_trailers(response)
//   verdict|void on_upgrade(request)
//   void on_attempt(exchange, const gw_attempt&)
//   void on_complete(exchange, const gw_summary&)       verdict explain(request)
//   std::string status()   what an operator should know, as one JSON object; main thread
//   struct state           one per request, zeroed, no destructor
//   struct worker_state    one per worker, made from (Class&)
//   static constexpr bool pure = true    the request hook changes nothing outside the request: explain runs
//   it
#pragma once
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "fields.hpp"
#include "request.hpp"

#pragma GCC visibility push(hidden)
namespace gw {

// What a constructor may ask for besides its config: Class(config, gw::setup&).
class setup {
 public:
  setup(const gw_node* node, instance self) : node_(node), self_(self) {}
  const instance& self() const { return self_; }
  std::string_view name() const { return self_.name(); }

  // Any error makes the configuration invalid; the constructor may go on to find more. A key within a map is
  // written "map.key"; what is not there stands for the map around it.
  void error(std::string_view message) { detail::host.config->error(node_, str(message)); }
  void error(std::string_view key, std::string_view message) {
    detail::host.config->error(at(key), str(message));
  }
  void warning(std::string_view key, std::string_view message) {
    detail::host.config->warning(at(key), str(message));
  }

  void challenge(std::string_view text) { detail::host.consumer->challenge(self_.handle(), str(text)); }
  void carrier(uint32_t kind, std::string_view name) {
    detail::host.consumer->carrier(self_.handle(), kind, str(name));
  }
  // fn(GW_CARRIER_..., name) for each place where an authenticator of this configuration reads credentials.
  template <class Fn>
  void each_credential(Fn fn) const {
    const gw_config_v0* config = detail::host.config;
    if (!GW_HAS(config, credential)) return;
    uint32_t kind = 0;
    gw_str name{};
    for (size_t i = 0; config->credential(node_, i, &kind, &name) >= 0; ++i) fn(kind, view(name));
  }
  // fn(name) for each consumer of this configuration.
  template <class Fn>
  void each_consumer(Fn fn) const {
    const gw_consumer_v0* consumers = detail::host.consumer;
    if (!GW_HAS(consumers, consumer_at)) return;
    gw_str name{};
    for (size_t i = 0; consumers->consumer_at(node_, i, &name) >= 0; ++i) fn(view(name));
  }
  gw::counter counter(std::string_view name, std::string_view help, std::string_view label = {},
                      std::string_view value = {}) {
    return gw::counter(
        detail::host.metric->counter(self_.handle(), str(name), str(help), str(label), str(value)));
  }
  gw::gauge gauge(std::string_view name, std::string_view help, std::string_view label = {},
                  std::string_view value = {}) {
    if (!GW_HAS(detail::host.metric, gauge)) return {};
    return gw::gauge(
        detail::host.metric->gauge(self_.handle(), str(name), str(help), str(label), str(value)));
  }
  void subscribe(uint32_t mask, void (*fn)(void*, uint32_t), void* user) {
    detail::host.event->subscribe(self_.handle(), mask, fn, user);
  }
  // plugin.on_event(GW_EVENT_...) on the main thread, for the events of the mask.
  template <class T>
  void subscribe(uint32_t mask, T& plugin) {
    subscribe(
        mask,
        [](void* user, uint32_t event) { detail::call_method<&T::on_event>(*static_cast<T*>(user), event); },
        &plugin);
  }
  // fn(consumer, name, secret) for each credential of a kind with a secret (GW_CREDENTIAL_BASIC,
  // GW_CREDENTIAL_HMAC) of all consumers. The views live as long as the instance.
  template <class Fn>
  void each_secret(uint32_t credential, Fn fn) const {
    const gw_consumer_v0* consumers = detail::host.consumer;
    if (!GW_HAS(consumers, secret_at)) return;
    gw_str owner{}, name{}, secret{};
    for (size_t i = 0; consumers->consumer_at(node_, i, &owner) >= 0; ++i)
      for (size_t j = 0; consumers->secret_at(node_, owner, credential, j, &name, &secret) >= 0; ++j)
        fn(view(owner), view(name), view(secret));
  }
  // An absolute path for one that is relative to the file of the configuration that names it.
  std::string path(std::string_view relative) const {
    return std::string(view(detail::host.config->path(node_, str(relative))));
  }
  // The store of that name, which several processes share; null: the error was recorded at the key.
  gw_store* store(std::string_view key, std::string_view name) {
    return detail::host.kv->store(at(key), str(name));
  }
  // This instance, as it is configured, has nothing to do in these hooks (GW_HOOK_...).
  void without(uint32_t hooks) {
    if (GW_HAS(detail::host.config, without)) detail::host.config->without(node_, hooks);
  }
  const gw_node* node() const { return node_; }

 private:
  const gw_node* at(std::string_view key) const {
    const gw_node* node = node_;
    while (!key.empty()) {
      const std::string_view one = key.substr(0, key.find('.'));
      const gw_node* child = detail::host.config->get(node, str(one));
      if (child == nullptr) break;
      node = child;
      key.remove_prefix(one.size() < key.size() ? one.size() + 1 : key.size());
    }
    return node;
  }
  const gw_node* node_;
  instance self_;
};

namespace detail {

#define GW_DETECT(hook)                   \
  template <class T, class = void>        \
  struct has_##hook : std::false_type {}; \
  template <class T>                      \
  struct has_##hook<T, std::void_t<decltype(&T::hook)>> : std::true_type {};
GW_DETECT(authenticate)
GW_DETECT(on_request_headers)
GW_DETECT(on_request_body)
GW_DETECT(on_request_trailers)
GW_DETECT(on_response_headers)
GW_DETECT(on_response_body)
GW_DETECT(on_response_trailers)
GW_DETECT(on_upgrade)
GW_DETECT(on_resume)
GW_DETECT(on_attempt)
GW_DETECT(on_complete)
GW_DETECT(explain)
GW_DETECT(pure)
GW_DETECT(needs)
GW_DETECT(status)
#undef GW_DETECT

template <class T, class = void>
struct state_size {
  static constexpr uint32_t value = 0;
};
template <class T>
struct state_size<T, std::void_t<typename T::state>> {
  static_assert(std::is_trivially_destructible_v<typename T::state>, "state has no destructor");
  static constexpr uint32_t value = sizeof(typename T::state);
};
template <class T, class = void>
struct has_worker : std::false_type {};
template <class T>
struct has_worker<T, std::void_t<typename T::worker_state>> : std::true_type {};
template <class T, class = void>
struct has_config : std::false_type {};
template <class T>
struct has_config<T, std::void_t<decltype(T::fields())>> : std::true_type {};

template <class T>
struct holder {
  T plugin;
  instance self;
  std::string status_text{};  // what was told last
};

inline void report(const gw_call* call, gw_instance* inst, const char* hook, const char* what) noexcept {
  char text[512];
  size_t n = 0;
  for (const char* part : {hook, ": ", what}) {
    while (*part != '\0' && n < sizeof text) text[n++] = *part++;
  }
  if (call != nullptr) {
    host.log->write_request(call->req, inst, GW_LOG_ERROR, {text, n});
  } else {
    host.log->write(host.host, inst, GW_LOG_ERROR, {text, n});
  }
}

inline gw_rc record(const gw_call* call, const verdict& v) {
  switch (v.record) {
    case verdict::pending::nothing: return GW_OK;
    case verdict::pending::problem:
      return host.http->problem(call->req, v.status, str(v.reason), str(v.text), {});
    case verdict::pending::name: return host.consumer->set_consumer_name(call->req, str(v.text));
    case verdict::pending::refusal:
      return host.consumer->refuse(call->req, v.status, str(v.reason), str(v.text));
  }
  return GW_ERROR;
}

inline gw_action finish(const gw_call* call, const verdict& v) {
  const gw_rc rc = record(call, v);
  return rc < 0 ? rc : v.action;
}

// Runs the hook; whatever it throws becomes a log line and an error return.
template <class T, class Hook>
gw_action guarded(const gw_call* call, const char* name, Hook&& hook) noexcept {
  auto& h = *static_cast<holder<T>*>(call->inst);
  try {
    if constexpr (std::is_void_v<decltype(hook(h.plugin))>) {
      hook(h.plugin);
      return GW_CONTINUE;
    } else {
      return finish(call, hook(h.plugin));
    }
  } catch (const std::exception& e) {
    report(call, h.self.handle(), name, e.what());
  } catch (...) {
    report(call, h.self.handle(), name, "an exception of unknown type");
  }
  return GW_ERROR;
}

// fields() of the plugin class, bound to T::config.
template <class T>
gw_rc read_plugin_fields(const gw_node* cfg, typename T::config& config) {
  gw_rc result = GW_OK;
  std::vector<gw_str> known;
  std::apply(
      [&](const auto&... f) {
        ((result = std::min(result, read_field(cfg, config, f))), ...);
        (known.push_back(str(field_name(f))), ...);
      },
      T::fields());
  host.config->check_keys(cfg, known.data(), known.size());
  return result;
}

template <class T>
std::unique_ptr<holder<T>> make(const gw_node* cfg, instance self) {
  setup s(cfg, self);
  if constexpr (has_config<T>::value) {
    typename T::config config{};
    if (read_plugin_fields<T>(cfg, config) < 0) return nullptr;
    if constexpr (std::is_constructible_v<T, typename T::config, setup&>) {
      return std::unique_ptr<holder<T>>(new holder<T>{T(std::move(config), s), self});
    } else {
      return std::unique_ptr<holder<T>>(new holder<T>{T(std::move(config)), self});
    }
  } else {
    host.config->check_keys(cfg, nullptr, 0);
    if constexpr (std::is_constructible_v<T, setup&>) {
      return std::unique_ptr<holder<T>>(new holder<T>{T(s), self});
    } else {
      return std::unique_ptr<holder<T>>(new holder<T>{T(), self});
    }
  }
}

template <class T>
struct hooks {
  static gw_str schema() {
    static const std::string text = [] {
      std::string out = R"({"$schema":"http://json-schema.org/draft-07/schema#","title":)";
      json_text(out, T::type);
      out += R"(,"type":"object","properties":{)";
      std::string required;
      if constexpr (has_config<T>::value) {
        std::apply([&](const auto&... f) { (field_schema(out, required, f), ...); }, T::fields());
      }
      out += "}";
      if (!required.empty()) out += ",\"required\":[" + required + "]";
      return out + "}";
    }();
    return str(text);
  }

  static gw_rc configure(const gw_node* cfg, void** inst) noexcept {
    const instance self(host.config->instance(cfg));
    try {
      auto made = make<T>(cfg, self);
      if (made == nullptr) return GW_EINVAL;
      *inst = made.release();
      return GW_OK;
    } catch (const std::exception& e) {
      host.config->error(cfg, str(e.what()));
    } catch (...) {
      host.config->error(cfg, str("an exception of unknown type"));
    }
    return GW_ERROR;
  }
  static void destroy(void* inst) noexcept { delete static_cast<holder<T>*>(inst); }

  static gw_rc worker_start(void* inst, gw_worker*, void** wstate) noexcept {
    if constexpr (has_worker<T>::value) {
      auto& h = *static_cast<holder<T>*>(inst);
      try {
        *wstate = new typename T::worker_state(h.plugin);
        return GW_OK;
      } catch (const std::exception& e) {
        report(nullptr, h.self.handle(), "worker_start", e.what());
      } catch (...) {
        report(nullptr, h.self.handle(), "worker_start", "an exception of unknown type");
      }
      return GW_ERROR;
    }
    return GW_OK;
  }
  static void worker_stop(void*, gw_worker*, void* wstate) noexcept {
    if constexpr (has_worker<T>::value) delete static_cast<typename T::worker_state*>(wstate);
  }

  static gw_action authenticate(const gw_call* c) {
    return guarded<T>(c, "authenticate", [c](T& t) -> verdict { return t.authenticate(request(c)); });
  }
  static gw_action on_request_headers(const gw_call* c) {
    return guarded<T>(c, "on_request_headers", [c](T& t) { return t.on_request_headers(request(c)); });
  }
  static gw_action on_request_body(const gw_call* c, gw_str chunk, uint32_t flags) {
    return guarded<T>(c, "on_request_body", [&](T& t) {
      return t.on_request_body(request(c), body_chunk{view(chunk), (flags & GW_BODY_END) != 0});
    });
  }
  static gw_action on_response_headers(const gw_call* c) {
    return guarded<T>(c, "on_response_headers", [c](T& t) { return t.on_response_headers(response(c)); });
  }
  static gw_action on_response_body(const gw_call* c, gw_str chunk, uint32_t flags) {
    return guarded<T>(c, "on_response_body", [&](T& t) {
      return t.on_response_body(response(c), body_chunk{view(chunk), (flags & GW_BODY_END) != 0});
    });
  }
  static gw_action on_request_trailers(const gw_call* c) {
    return guarded<T>(c, "on_request_trailers", [c](T& t) { return t.on_request_trailers(request(c)); });
  }
  static gw_action on_response_trailers(const gw_call* c) {
    return guarded<T>(c, "on_response_trailers", [c](T& t) { return t.on_response_trailers(response(c)); });
  }
  static gw_action on_upgrade(const gw_call* c) {
    return guarded<T>(c, "on_upgrade", [c](T& t) { return t.on_upgrade(request(c)); });
  }
  static gw_action on_resume(const gw_call* c, void* data) {
    return guarded<T>(c, "on_resume", [&](T& t) -> verdict { return t.on_resume(request(c), data); });
  }
  static void on_complete(const gw_call* c, const gw_summary* s) {
    guarded<T>(c, "on_complete", [&](T& t) { t.on_complete(exchange(c), *s); });
  }
  static void on_attempt(const gw_call* c, const gw_attempt* a) {
    guarded<T>(c, "on_attempt", [&](T& t) { t.on_attempt(exchange(c), *a); });
  }
  static gw_action explain(const gw_call* c, gw_explanation* out) {
    return guarded<T>(c, "explain", [&](T& t) -> verdict {
      verdict v;
      if constexpr (has_explain<T>::value) {
        v = t.explain(request(c));
      } else if constexpr (has_authenticate<T>::value) {
        v = t.authenticate(request(c));
      } else if constexpr (has_on_request_headers<T>::value) {
        if constexpr (std::is_void_v<decltype(t.on_request_headers(request(c)))>) {
          t.on_request_headers(request(c));
        } else {
          v = t.on_request_headers(request(c));
        }
      }
      if (v.action == GW_DEPENDS) {
        out->depends_on = v.on;
        out->detail = str(v.text);
      }
      return v;
    });
  }
};

template <class T>
gw_str status_of(void* inst) noexcept {
  auto& h = *static_cast<holder<T>*>(inst);
  try {
    h.status_text = h.plugin.status();
    return str(h.status_text);
  } catch (const std::exception& e) {
    report(nullptr, h.self.handle(), "status", e.what());
  } catch (...) {
    report(nullptr, h.self.handle(), "status", "an exception of unknown type");
  }
  return {nullptr, 0};
}

template <class T>
constexpr bool is_explained() {
  if constexpr (has_pure<T>::value) return T::pure;
  return has_explain<T>::value;
}

template <class T>
struct table {
  static constexpr const char* base_needs[] = {GW_HTTP_V0,   GW_CONSUMER_V0, GW_CONNECTION_V0, GW_CLOCK_V0,
                                               GW_ASYNC_V0,  GW_KV_V0,       GW_CONFIG_V0,     GW_LOG_V0,
                                               GW_METRIC_V0, GW_EVENT_V0,    nullptr};
  static constexpr const char* const* needs() {
    if constexpr (has_needs<T>::value) {
      return T::needs;
    } else {
      return base_needs;
    }
  }
  static_assert(has_authenticate<T>::value || has_on_request_headers<T>::value ||
                    has_on_request_body<T>::value || has_on_response_headers<T>::value ||
                    has_on_response_body<T>::value || has_on_request_trailers<T>::value ||
                    has_on_response_trailers<T>::value || has_on_upgrade<T>::value ||
                    has_on_complete<T>::value || has_on_attempt<T>::value,
                "a plugin class needs at least one hook; is a name misspelt?");

  // A hook that the class lacks must not even be instantiated, hence the if constexpr.
  static constexpr gw_plugin make() {
    using H = hooks<T>;
    gw_plugin p{};
    p.struct_size = sizeof(gw_plugin);
    p.ctx_size = state_size<T>::value;
    p.type = str(T::type);
    p.version = str(T::version);
    p.schema = &H::schema;
    p.needs = needs();
    p.configure = &H::configure;
    p.destroy = &H::destroy;
    if constexpr (has_worker<T>::value) p.worker_start = &H::worker_start, p.worker_stop = &H::worker_stop;
    if constexpr (has_authenticate<T>::value) p.authenticate = &H::authenticate;
    if constexpr (has_on_request_headers<T>::value) p.on_request_headers = &H::on_request_headers;
    if constexpr (has_on_request_body<T>::value) p.on_request_body = &H::on_request_body;
    if constexpr (has_on_response_headers<T>::value) p.on_response_headers = &H::on_response_headers;
    if constexpr (has_on_response_body<T>::value) p.on_response_body = &H::on_response_body;
    if constexpr (has_on_request_trailers<T>::value) p.on_request_trailers = &H::on_request_trailers;
    if constexpr (has_on_response_trailers<T>::value) p.on_response_trailers = &H::on_response_trailers;
    if constexpr (has_on_upgrade<T>::value) p.on_upgrade = &H::on_upgrade;
    if constexpr (has_on_resume<T>::value) p.on_resume = &H::on_resume;
    if constexpr (has_on_complete<T>::value) p.on_complete = &H::on_complete;
    if constexpr (has_on_attempt<T>::value) p.on_attempt = &H::on_attempt;
    if constexpr (is_explained<T>()) p.explain = &H::explain;
    if constexpr (has_status<T>::value) p.status = &status_of<T>;
    return p;
  }
  static constexpr gw_plugin value = make();
};

template <class... T>
struct entry {
  static constexpr const gw_plugin* plugins[] = {&table<T>::value..., nullptr};
  static gw_rc init(const gw_host* h) noexcept { return fetch_tables(h); }
  static constexpr gw_entry make() {
    return {GW_MAGIC, sizeof(gw_entry), GW_ABI_MAJOR, GW_ABI_MINOR, 0, &init, nullptr, plugins};
  }
};

}  // namespace detail
}  // namespace gw
#pragma GCC visibility pop

// Once in a shared object, at namespace scope outside any namespace: GW_PLUGIN(Class) or GW_PLUGIN(A, B).
#define GW_PLUGIN(...)                                                         \
  extern "C" {                                                                 \
  constexpr gw_entry gw_plugin_entry = gw::detail::entry<__VA_ARGS__>::make(); \
  }
