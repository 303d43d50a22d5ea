#include "e2e/harness/gateway.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "e2e/harness/waiting.h"

namespace e2e {

Ran penstock(std::vector<std::string> words) {
  words.insert(words.begin(), binary("penstock"));
  return run(words);
}
std::string binary(const std::string& name) { return std::string(PENSTOCK_BINARY_DIR) + "/" + name; }
std::string source(const std::string& name) { return std::string(PENSTOCK_SOURCE_DIR) + "/" + name; }

Backend::Backend(const std::string& name, const std::string& address, uint16_t port)
    : address_(address),
      process_({binary("penstock_echo"), "--listen", address + ":" + std::to_string(port), "--name", name},
               Process::Read::standard_output),
      port_(static_cast<uint16_t>(std::stoi(process_.wait_for_line("")))) {}

Gateway::Gateway(const std::string& configuration, std::map<std::string, std::string> environment)
    : process_({binary("penstock"), "run", "-c", folder_.write("gateway.yaml", configuration)},
               Process::Read::standard_error, std::move(environment)) {
  process_.wait_for_line("penstock: ready");
  learn_ports();
}

// "penstock: listener http on http://127.0.0.1:4711", "penstock: status on http://..."
void Gateway::learn_ports() {
  const std::string& said = process_.output();
  for (size_t at = 0; (at = said.find("penstock: ", at)) != std::string::npos; ++at) {
    std::string line = said.substr(at + 10, said.find('\n', at) - at - 10);
    size_t on = line.find(" on http");
    if (on == std::string::npos) continue;
    std::string name = line.starts_with("listener ") ? line.substr(9, on - 9) : line.substr(0, on);
    ports_[name] = static_cast<uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  }
}

Gateway::~Gateway() {
  if (stopped_) return;
  try {
    int code = stop(SIGTERM);
    CHECK(code == 0);
  } catch (const Failure& failure) {
    FAIL_CHECK(failure.what());
  }
}

int Gateway::stop(int signal) {
  process_.signal(signal);
  return wait();
}

int Gateway::wait() {
  stopped_ = true;
  int code = process_.wait();
  bool sanitizer = process_.output().find("Sanitizer") != std::string::npos ||
                   process_.output().find("runtime error:") != std::string::npos;
  if (sanitizer) FAIL_CHECK(process_.output());
  return code;
}

std::string Gateway::reload(const std::string& configuration) {
  folder_.write("gateway.yaml", configuration);
  process_.signal(SIGHUP);
  std::string line = process_.wait_for_line("penstock: reload");
  learn_ports();
  return line;
}

size_t Gateway::resident_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(process_.pid()) + "/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

size_t Gateway::open_descriptors() const {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process_.pid()) + "/fd"))
    ++count;
  return count;
}

ClosedPort::ClosedPort() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  // Bound but not listening: nobody else is given the port, and the kernel refuses connections to it.
  if (::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), size) != 0) throw Failure("no port");
  ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

ClosedPort::~ClosedPort() { ::close(descriptor_); }

std::string basics(const std::string& more) {
  return "schema: 1\nworkers: 2\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners:\n  - { name: http, address: \"127.0.0.1:0\" }\n" +
         more;
}

std::string all_to(const std::string& endpoint, const std::string& route) {
  return "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u" + route +
         " }]\nupstreams: { u: { endpoints: \"" + endpoint + "\" } }\n";
}

}  // namespace e2e
