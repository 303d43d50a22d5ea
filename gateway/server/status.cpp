#include "server/status.h"

#include "observe/prometheus.h"

namespace penstock::server {

void StatusPages::serve(std::string_view path, std::function<void(LocalAnswer)> done) {
  if (path == "/livez") return done({.body = "alive\n"});
  if (path == "/readyz") {
    const bool ready = source_.ready();
    return done(
        {.status = static_cast<uint16_t>(ready ? 200 : 503), .body = ready ? "ready\n" : "not ready\n"});
  }
  if (path != "/metrics") return done({.status = 404});
  source_.collect([done = std::move(done)](std::string text) {
    done({.content_type = observe::PrometheusText::content_type, .body = std::move(text)});
  });
}

}  // namespace penstock::server
