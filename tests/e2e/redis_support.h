// A real redis-server on a port of its own, and what its tools say.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "e2e/harness/gateway.h"
#include "e2e/harness/process.h"

namespace e2e {

class Redis {
 public:
  Redis() : port_(ClosedPort().port()) { start(); }
  uint16_t port() const { return port_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  Process& process() { return *process_; }
  // Everything that it knew is gone.
  void restart() {
    process_.reset();
    start();
  }
  void kill() { process_.reset(); }
  void start() {
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                 "--save", "", "--dir", folder_.path()},
        Process::Read::standard_output);
    process_->wait_for_line("Ready to accept connections");
  }
  std::string cli(std::vector<std::string> words) const {
    words.insert(words.begin(), {"redis-cli", "-p", std::to_string(port_)});
    return run(words).out;
  }

 private:
  TempFolder folder_;
  uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace e2e
