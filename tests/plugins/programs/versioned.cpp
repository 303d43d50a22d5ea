// A plugin that answers with the build that it is: the test that replaces its file writes another number into
// the text below. With `do: wait` a request pauses, and says in the log by which ticket; `do: wake` with
// `ticket: SLOT.GEN` resumes it, whatever build it waits in.
#include <charconv>
#include <penstock_plugin.hpp>
#include <stdexcept>

namespace {

// Read at run time: the compiler must not know what a test will write there.
const char* volatile const build = "build=000000";

gw_ticket ticket_of(std::string_view text) {
  gw_ticket ticket{0, 0};
  const size_t dot = text.find('.');
  if (dot == text.npos) return ticket;
  std::from_chars(text.data(), text.data() + dot, ticket.slot);
  std::from_chars(text.data() + dot + 1, text.data() + text.size(), ticket.gen);
  return ticket;
}

}  // namespace

struct Versioned {
  static constexpr std::string_view type = "versioned", version = "1.0.0";
  struct config {
    std::string fail;
  };
  static constexpr auto fields() {
    return std::tuple{gw::opt("fail", &config::fail, "configure or worker_start: what fails")};
  }
  Versioned(config c, gw::setup& s) : cfg(std::move(c)), self(s.self()) {
    if (cfg.fail == "configure") s.error("this build was told to fail");
  }
  struct worker_state {
    explicit worker_state(Versioned& v) {
      if (v.cfg.fail == "worker_start") throw std::runtime_error("this build was told to fail");
    }
  };

  gw::verdict on_request_headers(gw::request r) {
    const auto what = r.header(order);
    if (what == "wait") {
      const gw_ticket ticket = r.ticket();
      self.log(gw::level::warning,
               "waits with " + std::to_string(ticket.slot) + "." + std::to_string(ticket.gen));
      return gw::pause();
    }
    if (what == "wake") gw::resume(ticket_of(r.header(which)), nullptr);
    return answer(r);
  }
  gw::verdict on_resume(gw::request r, void*) { return answer(r); }
  gw::verdict answer(gw::request r) { return r.respond(200, "", "text/plain", build); }

  config cfg;
  gw::instance self;
  gw::header order{"do"}, which{"ticket"};
};
GW_PLUGIN(Versioned)
