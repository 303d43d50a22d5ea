// A plugin that asks its host for what the header `do` says, through the SDK: work on the pool, calls on the
// main thread, a gauge, credentials.
#include <penstock_plugin.hpp>

#include <memory>
#include <stdexcept>
#include <string>

#include "probe.h"

namespace {

struct Release {
  void operator()(Probe* probe) const { ++probe->released; }
};

struct Work {
  std::unique_ptr<Probe, Release> probe;
  bool throws = false;
  int result = 0;
  void run() {
    probe->wait_open();
    if (!throws) result = 42;
    probe->ended();
    if (throws) throw std::runtime_error("in the work");
  }
};

class Services {
 public:
  static constexpr std::string_view type = "services", version = "1.0.0";
  struct config {
    std::string probe;
  };
  static constexpr auto fields() { return std::tuple{gw::req("probe", &config::probe, "An address")}; }

  Services(config c, gw::setup& setup)
      : self_(setup.self()),
        probe_(reinterpret_cast<Probe*>(std::stoull(c.probe))),
        level_(setup.gauge("services_level", "What was set last")) {
    setup.subscribe(GW_EVENT_START | GW_EVENT_TICK | GW_EVENT_REOPEN_LOGS | GW_EVENT_DRAIN, *this);
    probe_->poster = this;
    probe_->post = [](void* self) {
      auto& services = *static_cast<Services*>(self);
      return services.self_.post<&Services::on_post>(services);
    };
    for (const uint32_t kind : {GW_CREDENTIAL_BASIC, GW_CREDENTIAL_HMAC})
      setup.each_secret(kind, [&](std::string_view owner, std::string_view name, std::string_view secret) {
        probe_->secrets += std::string(owner) + "/" + std::string(name) + "=" + std::string(secret) + " ";
      });
  }
  ~Services() {
    ++probe_->destroyed;
    probe_->post(this);  // too late: it is never called
  }
  Services(const Services&) = delete;

  void on_event(uint32_t event) {
    probe_->events += event == GW_EVENT_START         ? 'S'
                      : event == GW_EVENT_TICK        ? 'T'
                      : event == GW_EVENT_REOPEN_LOGS ? 'R'
                                                      : 'D';
    probe_->told();
    if (event == GW_EVENT_DRAIN) throw std::runtime_error("in an event");
  }
  void on_post() { ++probe_->posted; }

  gw::verdict on_request_headers(gw::request r) {
    const std::string_view what = r.header(do_);
    if (what == "offload" || what == "throw" || what == "offload-continue") {
      if (!r.offload(Work{std::unique_ptr<Probe, Release>(probe_), what == "throw"}))
        return gw::problem(503, "services.busy");
      return what == "offload-continue" ? gw::next() : gw::pause();
    }
    if (what == "level") level_.set(2.5);
    if (what == "secret") return secret(r);
    return gw::next();
  }
  gw::verdict on_resume(gw::request r, void* data) {
    const Work done = gw::offloaded<Work>(data);
    ++probe_->resumed;
    return r.problem(static_cast<uint16_t>(400 + done.result), "services.done", "");
  }
  std::string status() const { return probe_->status; }

 private:
  gw::verdict secret(gw::request& r) const {
    std::string_view text;
    const gw_consumer* owner = r.find_secret(GW_CREDENTIAL_BASIC, r.header(name_), text);
    if (owner == nullptr) return gw::problem(404, "services.nobody");
    return r.problem(418, "services.secret", text);
  }

  gw::instance self_;
  Probe* probe_;
  gw::gauge level_;
  gw::header do_{"do"}, name_{"name"};
};

// As a plugin built before `status` was appended: what follows its struct is not its own.
constexpr gw_plugin older() {
  gw_plugin plugin = gw::detail::table<Services>::value;
  plugin.struct_size = offsetof(gw_plugin, status);
  plugin.type = {"services_old", 12};
  plugin.status = [](void*) -> gw_str { return {R"({"never":1})", 11}; };
  return plugin;
}
constexpr gw_plugin old_services = older();
const gw_plugin* const plugins[] = {&gw::detail::table<Services>::value, &old_services, nullptr};

}  // namespace

extern "C" {
const gw_entry gw_plugin_entry = {GW_MAGIC, sizeof(gw_entry),          GW_ABI_MAJOR, GW_ABI_MINOR,
                                  0,        &gw::detail::fetch_tables, nullptr,      plugins};
}
