// Access logs to a real rsyslogd, over each of the ways, and to a real receiver over HTTPS.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/metrics.h"
#include "e2e/harness/process.h"
#include "e2e/harness/temp_folder.h"

using namespace e2e;

namespace {

constexpr const char* one_route =
    "routes: [{ name: r, match: { path_prefix: / }, public: true, respond: { status: 200 } }]\n";

// rsyslogd with the inputs that are given; it writes what it understood of each message.
class Rsyslog {
 public:
  explicit Rsyslog(const std::string& inputs) {
    const std::string configuration =
        "module(load=\"imudp\")\nmodule(load=\"imtcp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n" +
        inputs +
        "template(name=\"parts\" type=\"string\" "
        "string=\"%syslogfacility-text%|%syslogseverity-text%|%app-name%|%msgid%|%msg%\\n\")\n"
        "action(type=\"omfile\" file=\"" +
        folder.file("messages") + "\" template=\"parts\")\n";
    const std::string file = folder.write("rsyslog.conf", configuration);
    process = std::make_unique<Process>(
        std::vector<std::string>{"/usr/sbin/rsyslogd", "-n", "-f", file, "-i", folder.file("pid")},
        Process::Read::standard_error);
  }
  ~Rsyslog() {
    process->signal(SIGTERM);
    process->wait();
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::istringstream text(folder.read("messages"));
    for (std::string line; std::getline(text, line);) out.push_back(line);
    return out;
  }
  TempFolder folder;
  std::unique_ptr<Process> process;
};

uint16_t free_port() {
  ClosedPort port;
  return port.port();
}

std::string log_to(const std::string& destination, const std::string& more = {}) {
  std::string configuration = basics(one_route);
  const size_t begin = configuration.find("access_log:");
  const size_t end = configuration.find('\n', begin);
  configuration.replace(
      begin, end - begin,
      "access_log: [{ file: \"" + destination + "\", retry: { first: 10ms, longest: 50ms }" + more + " }]");
  return configuration;
}

void check_messages(Rsyslog& receiver, Gateway& gateway, const std::string& prefix) {
  for (int i = 0; i < 50; ++i) CHECK(get(gateway.port(), "/" + std::to_string(i)).status == 200);
  await("50 messages", [&] { return receiver.lines().size() == 50; });
  std::set<std::string> paths;  // two workers: no order between them
  for (const std::string& line : receiver.lines()) {
    CAPTURE(line);
    REQUIRE(line.starts_with(prefix));
    paths.insert(nlohmann::json::parse(line.substr(prefix.size()))["url.path"].get<std::string>());
  }
  CHECK(paths.size() == 50);
}

}  // namespace

TEST_CASE("rsyslog understands every record that comes over TCP, also when it is started last") {
  const std::string port = std::to_string(free_port());
  Gateway gateway(log_to("syslog:tcp:127.0.0.1:" + port, ", syslog: { facility: local3, app_name: edge }"));
  CHECK(get(gateway.port(), "/").status == 200);
  await("a retry",
        [&] { return metric(gateway, "penstock_log_retries_total{plugin=\"access_log[0]\"}") > 0; });
  Rsyslog receiver("input(type=\"imtcp\" address=\"127.0.0.1\" port=\"" + port + "\")\n");
  await("the first", [&] { return receiver.lines().size() == 1; });
  for (int i = 0; i < 50; ++i) CHECK(get(gateway.port(), "/" + std::to_string(i)).status == 200);
  await("the others", [&] { return receiver.lines().size() == 51; });
  for (const std::string& line : receiver.lines()) {
    CAPTURE(line);
    CHECK(line.starts_with("local3|info|edge|access|{\"timestamp\""));
    CHECK(line.ends_with("}"));
  }
}

TEST_CASE("rsyslog understands every record that comes over a unix socket") {
  TempFolder folder;
  Rsyslog receiver("input(type=\"imuxsock\" Socket=\"" + folder.file("log") +
                   "\" UseSpecialParser=\"off\")\n");
  Gateway gateway(log_to("syslog:unix:" + folder.file("log")));
  check_messages(receiver, gateway, "local0|info|penstock|access|");
}

TEST_CASE("rsyslog understands every record that comes over UDP") {
  const std::string port = std::to_string(free_port());
  Rsyslog receiver("input(type=\"imudp\" address=\"127.0.0.1\" port=\"" + port + "\")\n");
  Gateway gateway(log_to("syslog:udp:127.0.0.1:" + port));
  // Nobody says when its socket is there: requests until a message has come.
  await("the first", [&] {
    get(gateway.port(), "/");
    return !receiver.lines().empty();
  });
  const std::string first = receiver.lines().front();
  CHECK(first.starts_with("local0|info|penstock|access|{\"timestamp\""));
}

TEST_CASE("a reload opens the log anew, and what came before it is whole") {
  const std::string configuration = basics(one_route);
  Gateway gateway(configuration);
  const std::string log = gateway.folder().file("access.log");
  for (int i = 0; i < 20; ++i) CHECK(get(gateway.port(), "/before").status == 200);
  std::rename(log.c_str(), (log + ".1").c_str());
  gateway.reload(configuration);
  CHECK(get(gateway.port(), "/after").status == 200);
  CHECK(gateway.stop(SIGTERM) == 0);
  const std::string rotated = gateway.folder().read("access.log.1"),
                    fresh = gateway.folder().read("access.log");
  CHECK(std::count(rotated.begin(), rotated.end(), '\n') == 20);
  CHECK(fresh.find("/after") != std::string::npos);
  CHECK(fresh.find("/before") == std::string::npos);
}

TEST_CASE("an error in a log's settings has file, line and column") {
  TempFolder folder;
  const std::string file =
      folder.write("gateway.yaml", "schema: 1\nlisteners: [{ name: http, address: \"127.0.0.1:0\" }]\n" +
                                       std::string(one_route) +
                                       "access_log:\n  - file: stdout\n    format: \"{request.methd}\"\n"
                                       "  - file: \"http://127.0.0.1:1/\"\n    http: { bulk: Upper }\n");
  const Ran ran = run({binary("penstock"), "check", "-c", file});
  CHECK(ran.exit_code == 1);
  CAPTURE(ran.err);
  const std::string said = ran.out + ran.err;
  CHECK(said.find("gateway.yaml:6:13: ") != std::string::npos);
  CHECK(said.find("'request.methd' is no attribute") != std::string::npos);
  CHECK(said.find("gateway.yaml:8:19: ") != std::string::npos);
}
