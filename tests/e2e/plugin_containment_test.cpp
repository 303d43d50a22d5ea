// What reaches others of a plugin that misbehaves: requests that fail alone, a slow hook's name in the log,
// the last words of a daemon that a plugin has crashed.
#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "base/sanitized.h"
#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"

using namespace e2e;

namespace {

std::string tortured(const std::string& backend, const std::string& settings = {},
                     const std::string& more = {}) {
  return basics(more + "plugin_libraries: [" + binary("tests/plugins/torture.so") +
                "]\nplugins: { t: { type: torture" + settings + " } }\n" + all_to(backend, ", plugins: t"));
}

std::string ask(const std::string& what) { return "GET / HTTP/1.1\r\nhost: a\r\ndo: " + what + "\r\n\r\n"; }

Response told(const Gateway& gateway, const std::string& what) {
  return get(gateway.port(), "/", "do: " + what + "\r\n");
}

// A daemon that dies of one request; what it said.
struct Crashed {
  Crashed(const std::string& what, const std::string& backend) {
    // No core files of these.
    Process process({"sh", "-c", "ulimit -c 0; exec \"$@\"", "sh", binary("penstock"), "run", "-c",
                     folder.write("gateway.yaml", tortured(backend))},
                    Process::Read::standard_error);
    const std::string line = process.wait_for_line("listener http on http://127.0.0.1:");
    process.wait_for_line("penstock: ready");
    Client client(static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1))));
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: 1\r\ndo: " + what + "\r\n\r\n");
    code = process.wait();
    said = process.output();
  }
  TempFolder folder;
  int code = 0;
  std::string said;
};

constexpr bool sanitized = penstock::address_sanitizer || penstock::thread_sanitizer;

}  // namespace

TEST_CASE("a hook that fails makes its request a 500, or is skipped where the configuration says so") {
  Backend backend;
  Gateway gateway(tortured(backend.endpoint()));
  for (const char* what : {"throw", "throw-int", "error", "junk", "buffer", "detach", "respond-nothing",
                           "accept", "pause-no-ticket", "response-throw", "response-junk"}) {
    CAPTURE(what);
    const Response response = told(gateway, what);
    CHECK(response.status == 500);
    CHECK(response.body.find("plugin.error") != std::string::npos);
  }
  for (const char* what : {"forbidden-writes", "forbidden-later", "wrong-arguments", "exhaust-arena",
                           "complete-throw", "ticket-no-pause"}) {
    CAPTURE(what);
    CHECK(told(gateway, what).status == 200);
  }
  CHECK(metric(gateway, "penstock_plugin_errors_total{plugin=\"t\",hook=\"on_request_headers\"}") == 9);
  CHECK(metric(gateway, "penstock_plugin_errors_total{plugin=\"t\",hook=\"on_response_headers\"}") == 4);
  await_metric(gateway, "penstock_plugin_errors_total{plugin=\"t\",hook=\"on_complete\"}", 1);
  CHECK(metric(gateway, "penstock_plugin_calls_total{plugin=\"t\",hook=\"on_request_headers\"}") == 17);

  REQUIRE(gateway.reload(tortured(backend.endpoint(), ", on_error: skip")).find("reloaded") !=
          std::string::npos);
  for (const char* what : {"throw", "error", "junk", "respond-nothing", "response-throw", "response-junk"}) {
    CAPTURE(what);
    await("the new configuration", [&] { return told(gateway, what).status == 200; });
  }
}

TEST_CASE("pauses that many threads end, or nobody, while clients leave in the middle") {
  Backend backend;
  Gateway gateway(tortured(backend.endpoint()));
  const std::vector<std::string> pauses{"pause-eight-threads", "pause-resumed-before", "pause-alarm",
                                        "pause-two-tickets"};
  std::vector<std::jthread> clients;
  std::atomic<int> wrong = 0;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 60; ++i) {
        try {
          Client client(gateway.port());
          const bool abandoned = (i + c) % 3 == 0;
          client.send(ask(abandoned ? "pause-abandoned" : pauses[static_cast<size_t>(i) % pauses.size()]));
          if (abandoned || i % 4 == 1)
            client.reset();
          else if (client.read_response().status != 200)
            ++wrong;
        } catch (const Failure&) {
          ++wrong;
        }
      }
    });
  }
  for (int i = 0; i < 5; ++i)
    CHECK(gateway.reload(tortured(backend.endpoint())).find("reloaded") != std::string::npos);
  clients.clear();
  CHECK(wrong == 0);
  CHECK(told(gateway, "nothing").status == 200);
  await_metric(gateway, "http_server_active_requests", 0);
  CHECK(gateway.stop(SIGTERM) == 0);  // deinit has found every ticket stale
}

TEST_CASE("a hook that keeps its worker waiting is named while it does, and counted once") {
  Backend backend;
  Gateway gateway(tortured(backend.endpoint(), {}, "limits: { plugin_hook: 40ms }\n"));
  CHECK(told(gateway, "sleep").status == 200);
  const std::string line = gateway.process().wait_for_line("has kept worker ");
  CHECK(line.find("on_request_headers of t (torture, torture.so) on route all") != std::string::npos);
  gateway.process().wait_for_line(" let go of worker ");
  CHECK(metric(gateway, "penstock_plugin_slow_hooks_total{plugin=\"t\",hook=\"on_request_headers\"}") == 1);
}

TEST_CASE("a daemon that a plugin crashes says whose hook it was, for which route and request") {
  Backend backend;
  for (const auto& [what, signal] : {std::pair{"crash", SIGSEGV},
                                     {"crash-abort", SIGABRT},
                                     {"crash-signal", SIGSEGV},
                                     {"crash-deep", SIGSEGV}}) {
    CAPTURE(what);
    const Crashed crashed(what, backend.endpoint());
    CAPTURE(crashed.said);
    CHECK(crashed.said.find(signal == SIGSEGV ? "fatal signal SIGSEGV" : "fatal signal SIGABRT") !=
          std::string::npos);
    CHECK(crashed.said.find(
              "ran on_request_headers of plugin 't' (torture, torture.so), route 'all', request ") !=
          std::string::npos);
    CHECK((crashed.code == 128 + signal || sanitized));
  }
}

TEST_CASE("a crash on a thread that a plugin made says so, and whose code it was") {
  Backend backend;
  const Crashed crashed("crash-thread", backend.endpoint());
  CAPTURE(crashed.said);
  CHECK(crashed.said.find("a thread that is no worker and not the main one") != std::string::npos);
  CHECK(crashed.said.find("the instruction is in torture.so") != std::string::npos);
  CHECK((crashed.code == 128 + SIGSEGV || sanitized));
}

TEST_CASE("check lists every instance whose failure lets requests pass") {
  TempFolder folder;
  const std::string file = folder.write("gateway.yaml", tortured("127.0.0.1:1", ", on_error: skip"));
  const Ran ran = run({binary("penstock"), "check", "-c", file, "--strict"});
  CAPTURE(ran.out);
  CHECK(ran.exit_code == 0);
  CHECK(ran.out.find("note[on-error-skip]: requests go on when 't' fails") != std::string::npos);
  CHECK(run({binary("penstock"), "check", "-c", file, "--format", "github"}).out.find("::notice ") !=
        std::string::npos);
}
